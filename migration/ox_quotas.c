// SPDX-License-Identifier: MIT
/*
 * ox_quotas - see ox_quotas.h. A line is KEY = VALUE, or a comment.
 */
#include "migration/ox_quotas.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r\n"

struct quotas {
	bool active;
	long size, watches, path; /* -1: not said */
};

/* Of @text up to @end, without blanks around it. */
static char *strip(char *text, char *end)
{
	text += strspn(text, BLANKS);
	while (end > text && strchr(BLANKS, end[-1]))
		end--;
	*end = '\0';
	return text;
}

static void take(struct quotas *quotas, const char *key, const char *value)
{
	char *end;
	long number = strtol(value, &end, 0);
	bool is_number = *value && !*end && number >= 0;

	if (!strcmp(key, "quota-activate"))
		quotas->active = strcmp(value, "false") != 0;
	else if (!strcmp(key, "quota-maxsize") && is_number)
		quotas->size = number;
	else if (!strcmp(key, "quota-maxwatch") && is_number)
		quotas->watches = number;
	else if (!strcmp(key, "quota-path-max") && is_number)
		quotas->path = number;
}

static void read_file(struct quotas *quotas, FILE *file)
{
	char *line = NULL, *at;
	size_t size = 0;

	while (getline(&line, &size, file) >= 0) {
		char *begin = line + strspn(line, BLANKS);

		at = strchr(begin, '=');
		if (*begin == '#' || !at)
			continue;
		*at = '\0';
		take(quotas, strip(begin, at), strip(at + 1, at + 1 + strlen(at + 1)));
	}
	free(line);
}

void ox_quotas_read(struct conversion_options *options, const char *path)
{
	struct quotas quotas = { .active = true, .size = -1, .watches = -1, .path = -1 };
	FILE *file = fopen(path, "re");

	if (file) {
		read_file(&quotas, file);
		fclose(file);
	}
	options->max_value = quotas.size > 0 ? (size_t)quotas.size : 0;
	options->max_path = quotas.path > 0 ? (size_t)quotas.path : CONVERSION_PATH;
	options->max_watches = 0;
	/* It compares too late: one more than it says. */
	if (quotas.watches > 0 && quotas.watches < INT_MAX)
		options->max_watches = (unsigned int)quotas.watches + 1;
	if (!quotas.active || !quotas.watches)
		options->max_watches = UINT_MAX;
	if (!quotas.active)
		options->max_value = SIZE_MAX;
}
