// SPDX-License-Identifier: MIT
/*
 * options_stream - options of export and import: what becomes of the domain, and of what a stream
 * cannot hold, or this host does not take. See options_set.h.
 */
#include "ctl/options_set.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_NODES_LIMIT 1000000 /* they are kept in memory */

int options_set_keep(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->keep = true;
	return 0;
}

int options_set_command(struct parsing *parsing, const char *value)
{
	parsing->options->command = value;
	return 0;
}

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

int options_set_keep_permissions(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->keep_permissions = true;
	return 0;
}

int options_set_map_values(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->map_values = true;
	return 0;
}

int options_set_drop_foreign(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->drop_foreign = true;
	return 0;
}

int options_set_overwrite(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->overwrite = true;
	return 0;
}

int options_set_recover(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->recover = true;
	return 0;
}

int options_set_max_nodes(struct parsing *parsing, const char *value)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno || *end || value[0] < '0' || value[0] > '9' || n > MAX_NODES_LIMIT)
		return wrong(parsing, "--max-nodes %s: must be a number up to %d", value,
			     MAX_NODES_LIMIT);
	parsing->options->max_nodes = n;
	return 0;
}

int options_set_journal(struct parsing *parsing, const char *value)
{
	parsing->options->journal = value;
	return 0;
}
