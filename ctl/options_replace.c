// SPDX-License-Identifier: MIT
/*
 * options_replace - options of xenstored replace: which daemon, and at what price. See
 * options_set.h.
 */
#include "ctl/options_set.h"

#include <errno.h>
#include <string.h>

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
