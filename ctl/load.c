// SPDX-License-Identifier: MIT
/*
 * load - see load.h.
 */
#include "ctl/load.h"

#include "ctl/print.h"
#include "ctl/rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const keys[LOAD_FIELDS] = {
	[LOAD_REQUESTS] = "requests",
	[LOAD_ERRORS] = "errors",
#define COUNTER(name, ...) [LOAD_COUNTED + COUNTER_##name] = #name,
#include "protocol/counters.def"
	[LOAD_UNDER_WAY] = "under_way",
	[LOAD_WATCHES] = "watches",
	[LOAD_TRANSACTIONS] = "transactions",
	[LOAD_P50] = "p50",
	[LOAD_P99] = "p99",
	[LOAD_MAX] = "max",
};

static const enum counter_unit units[COUNTERS] = {
#define COUNTER(name, unit, ...) COUNTER_##unit,
#include "protocol/counters.def"
};

void load_free(struct load *load)
{
	free(load->rows);
	*load = (struct load){ 0 };
}

static int reserve(struct load *load, size_t nr)
{
	struct load_row *rows;

	if (nr <= load->size)
		return 0;
	rows = reallocarray(load->rows, nr, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	load->rows = rows;
	load->size = nr;
	return 0;
}

/* --- a sample */

static void read_row(struct load_row *row, const json_t *object, int64_t time)
{
	const json_t *state = json_object_get(object, "state");

	*row = (struct load_row){
		.domid = print_number(object, "domid"),
		.session = print_number(object, "session"),
		.time = time,
	};
	if (json_is_string(state))
		snprintf(row->state, sizeof(row->state), "%s", json_string_value(state));
	for (int i = 0; i < LOAD_FIELDS; i++) {
		const json_t *value = json_object_get(object, keys[i]);

		row->value[i] = value ? (double)json_integer_value(value) : LOAD_NONE;
	}
}

static int read_page(struct load *load, const json_t *page)
{
	const json_t *rows = json_object_get(page, "rows");
	int64_t time = print_number(page, "time");
	size_t nr = json_array_size(rows);
	int r = reserve(load, load->nr + nr);

	if (r)
		return r;
	for (size_t i = 0; i < nr; i++)
		read_row(&load->rows[load->nr + i], json_array_get(rows, i), time);
	load->nr += nr;
	read_row(&load->clients, json_object_get(page, "clients"), time);
	return 0;
}

static int compare_domids(const void *a, const void *b)
{
	const struct load_row *left = a, *right = b;

	return (left->domid > right->domid) - (left->domid < right->domid);
}

int load_take(struct load *load, load_ask_fn ask, void *arg)
{
	int64_t index = 0;
	json_t *page;
	int r;

	load->nr = 0;
	do {
		r = ask(arg, "load", json_pack("{s:I}", "index", (json_int_t)index), &page);
		if (r)
			return r;
		r = read_page(load, page);
		index = print_number(page, "next");
		json_decref(page);
	} while (!r && index > 0);
	if (load->nr)
		qsort(load->rows, load->nr, sizeof(*load->rows), compare_domids);
	return r;
}

/* --- rates */

/* @before: may be NULL */
static void rate_row(struct load_row *rate, const struct load_row *before,
		     const struct load_row *now)
{
	double seconds = before ? (double)(now->time - before->time) / 1e9 : 0;

	*rate = *now;
	rate->is_rated = before && before->session == now->session && seconds > 0;
	for (int i = 0; i < LOAD_COUNTERS; i++)
		rate->value[i] = rate->is_rated ? (now->value[i] - before->value[i]) / seconds : 0;
}

/* Shares of the time have no sum. */
static void drop_shares(struct load_row *sum)
{
	for (int i = 0; i < COUNTERS; i++)
		if (units[i] == COUNTER_NS)
			sum->value[LOAD_COUNTED + i] = LOAD_NONE;
}

static void add_row(struct load_row *sum, const struct load_row *row)
{
	sum->is_rated |= row->is_rated;
	for (int i = 0; i < LOAD_P50; i++)
		if (row->value[i] != LOAD_NONE)
			sum->value[i] += row->value[i];
}

int load_rate(struct load *rates, const struct load *before, const struct load *now)
{
	int r = reserve(rates, now->nr);

	if (r)
		return r;
	rates->nr = now->nr;
	rates->all = (struct load_row){ 0 };
	for (size_t i = 0; i < now->nr; i++) {
		const struct load_row *row = &now->rows[i];

		rate_row(&rates->rows[i],
			 before->nr ? bsearch(row, before->rows, before->nr, sizeof(*row),
					      compare_domids)
				    : NULL,
			 row);
		add_row(&rates->all, &rates->rows[i]);
	}
	rate_row(&rates->clients, before->clients.time ? &before->clients : NULL, &now->clients);
	add_row(&rates->all, &rates->clients);
	drop_shares(&rates->clients);
	drop_shares(&rates->all);
	return 0;
}

void load_call(struct load *rates, struct names *names)
{
	char name[REPORT_OCTETS_MAX];

	for (size_t i = 0; i < rates->nr; i++) {
		struct load_row *row = &rates->rows[i];

		snprintf(row->called, sizeof(row->called), "%.*s", LOAD_CALLED - 1,
			 names_text(names, (uint32_t)row->domid, name));
	}
}

void load_pick(struct load *rates, const struct options *options)
{
	size_t nr = 0;

	for (size_t i = 0; i < rates->nr; i++) {
		const struct load_row *row = &rates->rows[i];
		char domid[24];
		const char *words[] = { domid, row->called, row->state };

		snprintf(domid, sizeof(domid), "%" PRId64, row->domid);
		if (rows_wanted(options, row->state, words, sizeof(words) / sizeof(words[0])))
			rates->rows[nr++] = *row;
	}
	rates->nr = nr;
}

/* --- order */

/* In and out, and whatever else is counted in octets. */
static double octets(const struct load_row *row)
{
	double sum = 0;

	for (int i = 0; i < COUNTERS; i++)
		if (units[i] == COUNTER_OCTET)
			sum += row->value[LOAD_COUNTED + i];
	return sum;
}

static double sort_value(const struct load_row *row, enum option_sort sort)
{
	switch (sort) {
	case SORT_REQUESTS:
		return row->value[LOAD_REQUESTS];
	case SORT_ERRORS:
		return row->value[LOAD_ERRORS];
	case SORT_P99:
		return row->value[LOAD_P99];
	case SORT_OCTETS:
		return octets(row);
	case SORT_FULL:
		return row->value[LOAD_COUNTED + COUNTER_full];
	case SORT_WATCHES:
		return row->value[LOAD_WATCHES];
	default:
		return 0;
	}
}

static int compare_rows(const void *a, const void *b, void *arg)
{
	enum option_sort sort = *(enum option_sort *)arg;
	double left = sort_value(a, sort), right = sort_value(b, sort);

	return left == right ? compare_domids(a, b) : left < right ? 1 : -1;
}

void load_sort(struct load *rates, enum option_sort sort)
{
	if (rates->nr)
		qsort_r(rates->rows, rates->nr, sizeof(*rates->rows), compare_rows, &sort);
}
