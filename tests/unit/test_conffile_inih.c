// SPDX-License-Identifier: MIT
/*
 * What inih gets to see of xsproxy.conf is read alike by all its versions. One before 57 takes the
 * rest of a line that does not fit its buffer for a line of its own; a later one drops what comes
 * up to the next line feed, which may be the next line. So each piece must be one whole line.
 *
 * The inih here is a stand-in that only looks at the pieces, in a buffer of each size.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>
#include <ini.h>

#include "config/conffile.h"

#define BUFFER 200 /* INI_MAX_LINE of both versions that Debian has */

static char path[] = "/tmp/test_conffile.XXXXXX";
static int pieces;     /* that inih saw */
static int wrong_line; /* the first one that was told, or 0 */

int ini_parse_stream(ini_reader reader, void *stream, ini_handler handler, void *user)
{
	char line[BUFFER];

	memset(line, 'x', sizeof(line));
	while (reader(line, BUFFER, stream)) {
		size_t len = strlen(line);

		pieces++;
		assert_in_range(len, 1, BUFFER - 1);
		assert_int_equal(strcspn(line, "\n"), len - 1);
		/* Nor one that goes on with the line before. */
		assert_true(len == 1 || line[0] != ' ');
		if (strchr(line, '='))
			handler(user, "log", "level", "debug");
	}
	return 0;
}

static void on_wrong(void *arg, const char *what)
{
	(void)arg;
	if (!wrong_line)
		wrong_line = atoi(what + strlen(path) + 1);
}

static int setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

/* A line that begins with @begin and has @len characters in all, then a good one. */
static int read_line_of(const char *begin, int len, const char *end)
{
	struct config config;
	FILE *file = fopen(path, "w");
	int err;

	assert_non_null(file);
	fputs("[log]\n", file);
	fputs(begin, file);
	for (int i = (int)strlen(begin); i < len; i++)
		fputc('x', file);
	fprintf(file, "%slevel = debug%s", end, end);
	fclose(file);
	pieces = wrong_line = 0;
	config_defaults(&config);
	err = conffile_read(&config, path, on_wrong, NULL);
	assert_int_equal(pieces, 3);
	/* The line that follows is taken, whatever this one was. */
	assert_int_equal(config.log_level, LOG_DEBUG);
	return err;
}

static void comments_of_any_length(void **state)
{
	static const char *const begins[] = { "#", ";", "   # ", "\t;" };
	static const char *const ends[] = { "\n", "\r\n" };

	(void)state;
	for (int len = 10; len < 3 * BUFFER; len++)
		for (int i = 0; i < 8; i++)
			assert_int_equal(read_line_of(begins[i % 4], len, ends[i / 4]), 0);
	assert_int_equal(read_line_of("# ", 1 << 20, "\n"), 0);
}

static void lines_that_are_too_long(void **state)
{
	(void)state;
	for (int len = 10; len < 3 * BUFFER; len++) {
		int err = read_line_of("junk ", len, "\n");

		/* The stand-in finds no '=' in it, so all are wrong; the message is another. */
		assert_int_equal(err, -EINVAL);
		assert_int_equal(wrong_line, 2);
	}
	assert_int_equal(read_line_of("run-dir = /", BUFFER - 1, "\n"), -EINVAL);
	assert_int_equal(wrong_line, 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(comments_of_any_length),
		cmocka_unit_test(lines_that_are_too_long),
	};

	return cmocka_run_group_tests_name("conffile, any inih", tests, setup, teardown);
}
