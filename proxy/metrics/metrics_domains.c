// SPDX-License-Identifier: MIT
#include "proxy/metrics/metrics_domains.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/observe/tap.h"
#include "proxy/session/session.h"

void metrics_count(uint64_t value[METRICS_FIELDS], const struct stats *stats)
{
	value[METRICS_REQUESTS] = stats_sum(stats->requests, STATS_OPS);
	value[METRICS_ERRORS] = stats_sum(stats->errors, STATS_ERRORS);
	memcpy(&value[METRICS_COUNTED], stats->counter, sizeof(stats->counter));
	value[METRICS_ANSWERED] = stats->total.count;
	value[METRICS_TIME] = stats->total.sum;
	memcpy(&value[METRICS_REFUSED], stats->errors, sizeof(stats->errors));
}

static void read_row(struct metrics_row *row, const struct session *s)
{
	struct stats stats;

	tap_stats(s->tap, &stats);
	*row = (struct metrics_row){ .domid = s->domid, .session = s->id };
	metrics_count(row->value, &stats);
	row->value[METRICS_UNDER_WAY] =
		(uint64_t)__builtin_popcount(word_get(&s->ledger->pending_mask));
	row->value[METRICS_WATCHES] = s->watches.count;
	row->value[METRICS_TRANSACTIONS] = transaction_count(&s->transactions);
}

/* The one that asked most first. */
static int compare_rows(const void *a, const void *b)
{
	const struct metrics_row *left = *(struct metrics_row *const *)a;
	const struct metrics_row *right = *(struct metrics_row *const *)b;
	uint64_t l = left->value[METRICS_REQUESTS], r = right->value[METRICS_REQUESTS];

	if (l != r)
		return l < r ? 1 : -1;
	return left->domid < right->domid ? -1 : 1;
}

static int name_busiest(struct metrics_row *rows, size_t nr, size_t named)
{
	struct metrics_row **order = calloc(nr ? nr : 1, sizeof(*order));

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++)
		order[i] = &rows[i];
	qsort(order, nr, sizeof(*order), compare_rows);
	for (size_t i = 0; i < nr && i < named; i++)
		order[i]->named = true;
	free(order);
	return 0;
}

/* What @row, whose session may be in @old, does not yet have its own name for. */
static void add_other(uint64_t other[METRICS_FIELDS], const struct metrics_row *row,
		      const struct metrics_row *old)
{
	bool is_same = old && old->domid == row->domid && old->session == row->session;

	for (int i = 0; i < METRICS_COUNTERS; i++)
		other[i] += row->value[i] - (is_same ? old->value[i] : 0);
	for (int i = METRICS_COUNTERS; i < METRICS_FIELDS; i++)
		other[i] += row->value[i];
}

static void sum_other(struct metrics_domains *domains)
{
	size_t at = 0;

	for (int i = METRICS_COUNTERS; i < METRICS_FIELDS; i++)
		domains->other[i] = 0;
	for (size_t i = 0; i < domains->nr; i++) {
		const struct metrics_row *row = &domains->rows[i];

		while (at < domains->nr_before && domains->before[at].domid < row->domid)
			at++;
		if (!row->named)
			add_other(domains->other, row,
				  at < domains->nr_before ? &domains->before[at] : NULL);
	}
}

/* Return: the rows, or NULL without memory. @expected: how many there will be, about */
static struct metrics_row *read_rows(const struct daemon *daemon, size_t expected, size_t *nr)
{
	size_t size = expected + 64;
	struct metrics_row *rows = calloc(size, sizeof(*rows)), *more;
	const struct session *s = domains_next_session(daemon->domains, 0);

	for (*nr = 0; rows && s; s = domains_next_session(daemon->domains, s->domid + 1)) {
		if (*nr == size) {
			size *= 2;
			more = reallocarray(rows, size, sizeof(*rows));
			if (!more)
				free(rows);
			rows = more;
		}
		if (rows)
			read_row(&rows[(*nr)++], s);
	}
	return rows;
}

int metrics_domains_take(struct metrics_domains *domains, const struct daemon *daemon)
{
	size_t nr;
	struct metrics_row *rows = read_rows(daemon, domains->nr, &nr);

	if (!rows)
		return -ENOMEM;
	if (name_busiest(rows, nr, daemon->config.metrics_domains)) {
		free(rows);
		return -ENOMEM;
	}
	free(domains->before);
	domains->before = domains->rows;
	domains->nr_before = domains->nr;
	domains->rows = rows;
	domains->nr = nr;
	sum_other(domains);
	return 0;
}

void metrics_domains_fini(struct metrics_domains *domains)
{
	free(domains->rows);
	free(domains->before);
	*domains = (struct metrics_domains){ 0 };
}
