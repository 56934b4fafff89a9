/* SPDX-License-Identifier: MIT */
/* logged - what is logged goes into a pipe, and is read from there. */
#ifndef XSPROXY_TESTS_UNIT_LOGGED_H
#define XSPROXY_TESTS_UNIT_LOGGED_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/log.h"

static int saved_stderr, out[2];

static inline void logged_start(void)
{
	assert_int_equal(pipe2(out, O_NONBLOCK), 0);
	saved_stderr = dup(STDERR_FILENO);
	dup2(out[1], STDERR_FILENO);
	unsetenv("JOURNAL_STREAM");
	log_open(LOG_INFO);
}

static inline void logged_end(void)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(out[0]);
	close(out[1]);
}

/* What was logged since the last call. */
static inline const char *logged(void)
{
	static char text[16384];
	ssize_t n = read(out[0], text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = 0;
	return text;
}

#endif
