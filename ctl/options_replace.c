// SPDX-License-Identifier: MIT
/*
 * options_replace - options of xenstored replace, enter and leave: which daemon, and at what price.
 * See options_set.h.
 */
#include "ctl/options_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MAX 3600 /* s */

int options_set_with(struct parsing *parsing, const char *value)
{
	if (strcmp(value, "c") && strcmp(value, "oxenstored") && !strchr(value, '/'))
		return wrong(parsing, "--with %s: must be c, oxenstored, or the path of one",
			     value);
	parsing->options->with = value;
	return 0;
}

int options_set_dry_run(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->dry_run = true;
	return 0;
}

int options_set_force(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->force = true;
	return 0;
}

int options_set_verbose(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->verbose = true;
	return 0;
}

int options_set_timeout(struct parsing *parsing, const char *value)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno || *end || value[0] < '0' || value[0] > '9' || n > TIMEOUT_MAX)
		return wrong(parsing, "--timeout %s: must be a number of seconds, up to %d", value,
			     TIMEOUT_MAX);
	parsing->options->timeout_s = (uint32_t)n;
	return 0;
}

int options_set_config(struct parsing *parsing, const char *value)
{
	parsing->options->config = value;
	return 0;
}
