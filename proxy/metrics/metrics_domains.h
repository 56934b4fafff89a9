/* SPDX-License-Identifier: MIT */
/*
 * metrics_domains - the numbers of each domain for metrics_text.c, and of the others together.
 *
 * Only the busiest domains are named. What a domain does while it is not named is added to `other`,
 * bit by bit from one text to the next, so that no counter of it ever goes down.
 */
#ifndef XSPROXY_PROXY_METRICS_METRICS_DOMAINS_H
#define XSPROXY_PROXY_METRICS_METRICS_DOMAINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/observe/stats.h"

enum metrics_field {
	METRICS_REQUESTS,
	METRICS_ERRORS,
	METRICS_COUNTED, /* one for each of counters.def */
	METRICS_ANSWERED = METRICS_COUNTED + COUNTERS,
	METRICS_TIME,
	METRICS_REFUSED, /* one for each error, as stats_error_name() has it */
	METRICS_COUNTERS = METRICS_REFUSED + STATS_ERRORS, /* what follows can go down */
	METRICS_UNDER_WAY = METRICS_COUNTERS,
	METRICS_WATCHES,
	METRICS_TRANSACTIONS,
	METRICS_FIELDS,
};

struct metrics_row {
	uint32_t domid, session;
	bool named;
	uint64_t value[METRICS_FIELDS];
};

struct metrics_domains {
	struct metrics_row *rows, *before; /* all, by domain */
	size_t nr, nr_before;
	uint64_t other[METRICS_FIELDS];
};

struct daemon;

/**
 * metrics_domains_take() - take all numbers as of now.
 * @domains: zero at first, then what the last call left; metrics_domains_fini() it
 *
 * Return: 0, or -ENOMEM: nothing has changed.
 */
int metrics_domains_take(struct metrics_domains *domains, const struct daemon *daemon);

void metrics_domains_fini(struct metrics_domains *domains);

/** metrics_count() - the counters of @stats as a row has them. */
void metrics_count(uint64_t value[METRICS_FIELDS], const struct stats *stats);

#endif
