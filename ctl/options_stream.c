/* SPDX-License-Identifier: MIT */
/*
 * options_stream - the options of export and import about what becomes of what a stream cannot
 * hold, or this host does not take. See options_set.h.
 */
#include "ctl/options_set.h"

int options_set_list(struct parsing *parsing, const char *value)
{
	parsing->options->list = value;
	return 0;
}

int options_set_strict(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->strict = true;
	return 0;
}
