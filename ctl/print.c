// SPDX-License-Identifier: MIT
/*
 * print - see print.h.
 */
#include "ctl/print.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int print_json(const json_t *value)
{
	int r;

	if (!value)
		return -ENOMEM;
	r = json_dumpf(value, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	fputc('\n', stdout);
	return r && !ferror(stdout) ? -ENOMEM : 0;
}

int print_json_new(json_t *value)
{
	int r = print_json(value);

	json_decref(value);
	return r;
}

int print_end(int r, const struct report *report)
{
	errno = 0;
	if (!r && (fflush(stdout) || ferror(stdout)))
		r = errno ? -errno : -EIO;
	return r ? report_fail(report, r, "cannot print: %s", report_local_reason(r)) : 0;
}

const char *print_text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "-";
}

int64_t print_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static bool want_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

void print_look(struct text *text)
{
	setlocale(LC_CTYPE, "");
	*text = (struct text){ .colour = want_colour(),
			       .utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8") };
}
