/* SPDX-License-Identifier: MIT */
/*
 * options_bed - command lines of xsproxyctl for the tests of their parser.
 */
#ifndef XSPROXY_TESTS_UNIT_OPTIONS_BED_H
#define XSPROXY_TESTS_UNIT_OPTIONS_BED_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the above */

/* Part of xsproxyctl alone, so not in the library that unit tests are linked with. */
#include "ctl/options.c"
#include "ctl/options_capture.c"
#include "ctl/options_filter.c"
#include "ctl/options_replace.c"
#include "ctl/options_stream.c"
#include "ctl/options_table.c"

#define WORDS  32
#define OUTPUT 4096

struct result {
	int r;
	struct options options;
	char said[OUTPUT];
	char line[OUTPUT]; /* what options points at */
	char *argv[WORDS];
};

/* Parse "command word word ...". */
static inline void parse(struct result *result, unsigned int accepts, enum option_argument argument,
			 const char *line)
{
	struct report report = { NULL, "test" };
	char *rest = result->line;
	int argc = 0;

	memset(result->said, 0, sizeof(result->said));
	report.out = fmemopen(result->said, sizeof(result->said), "w");
	assert_non_null(report.out);
	strcpy(result->line, line);
	while (rest)
		result->argv[argc++] = strsep(&rest, " ");
	result->argv[argc] = NULL;
	result->r = options_parse(&result->options, accepts, argument, argc, result->argv, &report);
	fclose(report.out);
}

static inline void assert_refused(unsigned int accepts, enum option_argument argument,
				  const char *line, const char *said)
{
	struct result result;

	parse(&result, accepts, argument, line);
	assert_int_equal(result.r, -EINVAL);
	assert_string_equal(result.said, said);
	options_free(&result.options);
}

#endif
