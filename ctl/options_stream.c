// SPDX-License-Identifier: MIT
/*
 * options_stream - options of export, import and convert: what becomes of the domain, and of what a
 * stream cannot hold, or this host does not take; files of splice and split. See options_set.h.
 */
#include "ctl/options_set.h"

#include "migration/format/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NODES_LIMIT	 1000000	      /* they are kept in memory */
#define MAX_STREAM_LIMIT ((uint64_t)32 << 30) /* what a reader can count (libxl_stream.h) */

int options_set_root(struct parsing *parsing, const char *value)
{
	struct options *options = parsing->options;
	struct record_fault fault;
	const char **roots;

	if (rules_node_path(value, strlen(value), 0, &fault))
		return wrong(parsing, "--root %s: %s", value, fault.reason);
	roots = reallocarray(options->roots, options->nr_roots + 1, sizeof(*roots));
	if (!roots)
		return -ENOMEM;
	options->roots = roots;
	roots[options->nr_roots++] = value;
	return 0;
}

int options_set_map(struct parsing *parsing, const char *value)
{
	struct options *options = parsing->options;
	struct confine_map map, *maps;

	if (confine_map_parse(&map, value))
		return wrong(parsing,
			     "--map-domid %s: must be OLD=NEW, two numbers from 0 to %d; say 7=12",
			     value, CONFINE_DOMID_MAX);
	maps = reallocarray(options->maps, options->nr_maps + 1, sizeof(*maps));
	if (!maps)
		return -ENOMEM;
	options->maps = maps;
	maps[options->nr_maps++] = map;
	return 0;
}

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

bool options_octets(const char *value, uint64_t most, uint64_t *out)
{
	static const char units[] = "KMG";
	unsigned int shift = 0;
	unsigned long long n;
	const char *unit;
	char *end;

	errno = 0;
	n = strtoull(value, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (unsigned int)(unit - units + 1);
		end++;
	}
	if (errno || *end || value[0] < '0' || value[0] > '9' || n > most >> shift)
		return false;
	*out = (uint64_t)n << shift;
	return true;
}

int options_set_max_stream(struct parsing *parsing, const char *value)
{
	if (!options_octets(value, MAX_STREAM_LIMIT, &parsing->options->max_stream))
		return wrong(
			parsing,
			"--max-stream %s: must be a number of octets up to 32G; K, M and G may "
			"follow it",
			value);
	return 0;
}

int options_set_format(struct parsing *parsing, const char *value)
{
	static const char *const names[] = {
		[STATE_LIBXL] = "libxl",   [STATE_C] = "c",	      [STATE_C_2] = "c2",
		[STATE_OX] = "oxenstored", [STATE_OX_DEPTH] = "xapi",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(value, names[i]))
			continue;
		parsing->options->format = (enum state_format)i;
		parsing->options->has_format = true;
		return 0;
	}
	return wrong(parsing, "--to %s: must be libxl, c, c2, oxenstored or xapi", value);
}

int options_set_domain(struct parsing *parsing, const char *value)
{
	struct options *options = parsing->options;

	options->has_domid = strcmp(value, "all");
	return options->has_domid ? options_domid(parsing, value, 0, &options->domid, NULL) : 0;
}

int options_set_stream(struct parsing *parsing, const char *value)
{
	parsing->options->stream = value;
	return 0;
}

int options_splice(struct parsing *parsing, int nr, char **words)
{
	if (nr < 2)
		return wrong(parsing, "%s is missing; see --help", nr ? "STREAM" : "IMAGE");
	if (nr > 2)
		return wrong(parsing, "'%s' is one argument too many; see --help", words[2]);
	if (!strcmp(words[0], "-") && !strcmp(words[1], "-"))
		return wrong(parsing, "IMAGE and STREAM cannot both be standard input");
	parsing->options->argument = words[0];
	parsing->options->stream = words[1];
	return 0;
}

int options_split(struct parsing *parsing)
{
	const struct options *options = parsing->options;

	if (!options->stream)
		return wrong(parsing, "--stream FILE is missing; see --help");
	if (!options->file && !strcmp(options->stream, "-"))
		return wrong(parsing, "--output and --stream cannot both be standard output");
	return 0;
}
