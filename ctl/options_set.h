/* SPDX-License-Identifier: MIT */
/*
 * options_set - how the value of an option is taken; shared by options.c, options_filter.c,
 * options_stream.c, options_replace.c and options_capture.c, and nobody else's business.
 */
#ifndef XSPROXY_CTL_OPTIONS_SET_H
#define XSPROXY_CTL_OPTIONS_SET_H

#include "ctl/options.h"

/* A command line while it is parsed. */
struct parsing {
	struct options *options;
	const struct report *report;
};

/**
 * options_domid() - a domain, from @least on.
 * @name: set when it is one, and not a number; NULL: only numbers will do
 *
 * Return: 0, or -EINVAL, which has been reported.
 */
int options_domid(struct parsing *parsing, const char *text, uint16_t least, uint16_t *out,
		  const char **name);

/**
 * options_octets() - a number of octets, with K, M or G if it likes. Return: whether it is one, up
 * to @most; @out gets it.
 */
bool options_octets(const char *value, uint64_t most, uint64_t *out);

/**
 * options_splice() - the arguments of splice, IMAGE and STREAM. Return: 0, or -EINVAL, which has
 * been reported.
 */
int options_splice(struct parsing *parsing, int nr, char **words);

/** options_split() - whether split's files exclude each other. Return: as options_splice(). */
int options_split(struct parsing *parsing);

/** options_capture() - whether capture's options go together. Return: as options_splice(). */
int options_capture(struct parsing *parsing);

#define wrong(parsing, ...) report_fail((parsing)->report, -EINVAL, __VA_ARGS__)

int options_set_root(struct parsing *parsing, const char *value);
int options_set_map(struct parsing *parsing, const char *value);
int options_set_keep(struct parsing *parsing, const char *value);
int options_set_command(struct parsing *parsing, const char *value);
int options_set_list(struct parsing *parsing, const char *value);
int options_set_strict(struct parsing *parsing, const char *value);
int options_set_keep_permissions(struct parsing *parsing, const char *value);
int options_set_map_values(struct parsing *parsing, const char *value);
int options_set_drop_foreign(struct parsing *parsing, const char *value);
int options_set_overwrite(struct parsing *parsing, const char *value);
int options_set_recover(struct parsing *parsing, const char *value);
int options_set_max_nodes(struct parsing *parsing, const char *value);
int options_set_format(struct parsing *parsing, const char *value);
int options_set_domain(struct parsing *parsing, const char *value);
int options_set_max_stream(struct parsing *parsing, const char *value);
int options_set_journal(struct parsing *parsing, const char *value);
int options_set_stream(struct parsing *parsing, const char *value);

int options_set_with(struct parsing *parsing, const char *value);
int options_set_dry_run(struct parsing *parsing, const char *value);
int options_set_force(struct parsing *parsing, const char *value);
int options_set_verbose(struct parsing *parsing, const char *value);
int options_set_timeout(struct parsing *parsing, const char *value);
int options_set_config(struct parsing *parsing, const char *value);

int options_set_interval(struct parsing *parsing, const char *value);
int options_set_sort(struct parsing *parsing, const char *value);
int options_set_batch(struct parsing *parsing, const char *value);
int options_set_count(struct parsing *parsing, const char *value);
int options_set_state(struct parsing *parsing, const char *value);
int options_set_match(struct parsing *parsing, const char *value);
int options_session(struct parsing *parsing, const char *value);
int options_set_order(struct parsing *parsing, const char *value);

int options_set_op(struct parsing *parsing, const char *value);
int options_set_path(struct parsing *parsing, const char *value);
int options_set_errors(struct parsing *parsing, const char *value);
int options_set_slower(struct parsing *parsing, const char *value);
int options_set_events(struct parsing *parsing, const char *value);
int options_set_new_only(struct parsing *parsing, const char *value);
int options_set_snap(struct parsing *parsing, const char *value);

int options_set_duration(struct parsing *parsing, const char *value);
int options_set_file_size(struct parsing *parsing, const char *value);
int options_set_files(struct parsing *parsing, const char *value);

#endif
