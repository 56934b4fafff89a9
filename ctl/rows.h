/* SPDX-License-Identifier: MIT */
/*
 * rows - which domains a table shows, and in which order.
 *
 * Used by domains and top.
 */
#ifndef XSPROXY_CTL_ROWS_H
#define XSPROXY_CTL_ROWS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctl/options.h"

/** rows_wanted() - whether one is. @words: of its row, that --match looks at */
bool rows_wanted(const struct options *options, const char *state, const char *const *words,
		 size_t nr);

/** rows_refusals() - how often a domain, as xsproxyd has it, was refused something. */
int64_t rows_refusals(const json_t *domain);

/** rows_quota() - how often because it had too much, or too many. */
int64_t rows_quota(const json_t *domain);

/**
 * rows_arrange() - leave out what is not wanted of a list of domains, as xsproxyd has them and
 * names_join() has named them, and sort the rest.
 *
 * Return: 0 or -ENOMEM.
 */
int rows_arrange(json_t *domains, const struct options *options);

#endif
