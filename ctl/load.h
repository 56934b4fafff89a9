/* SPDX-License-Identifier: MIT */
/*
 * load - what each domain's session does a second, from two answers to `load` (docs/protocol.md,
 * "Control socket").
 *
 * Used by top.
 */
#ifndef XSPROXY_CTL_LOAD_H
#define XSPROXY_CTL_LOAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctl/names.h"
#include "ctl/options.h"
#include "protocol/counters.h"

/* Of a row; in a sample the first ones count from the session's beginning. */
enum load_field {
	LOAD_REQUESTS,
	LOAD_ERRORS,
	LOAD_COUNTED,				 /* one for each of counters.def */
	LOAD_COUNTERS = LOAD_COUNTED + COUNTERS, /* what follows holds at this time */
	LOAD_UNDER_WAY = LOAD_COUNTERS,
	LOAD_WATCHES,
	LOAD_TRANSACTIONS,
	LOAD_P50, /* ns, of the whole session */
	LOAD_P99,
	LOAD_MAX,
	LOAD_FIELDS,
};

#define LOAD_CALLED 16 /* octets of a name, NUL included */
#define LOAD_STATE  13 /* of a state's */

#define LOAD_NONE   (-1) /* a value that says nothing, or that nobody knows */

struct load_row {
	int64_t domid, session;
	int64_t time;  /* ns; when it was so */
	bool is_rated; /* counters are a second's; else they say nothing */
	double value[LOAD_FIELDS];
	char state[LOAD_STATE];	  /* "": an older xsproxyd does not say */
	char called[LOAD_CALLED]; /* its name, maybe not all of it; "": not known */
};

struct load {
	struct load_row *rows; /* by domain */
	size_t nr, size;
	struct load_row clients; /* the toolstack sockets */
	struct load_row all;	 /* only in rates: the sum, without response times */
};

/* Has a command carried out as control_run() does. */
typedef int (*load_ask_fn)(void *arg, const char *command, json_t *arguments, json_t **out);

/**
 * load_take() - take a sample.
 * @load: zero, or what an earlier sample has left, whose memory is used again; load_free() it
 *
 * Return: 0, -ENOMEM, or what @ask returned.
 */
int load_take(struct load *load, load_ask_fn ask, void *arg);

/**
 * load_rate() - what happened a second between two samples.
 * @rates: as in load_take()
 * @before: a session that it does not have has no rates yet
 *
 * Return: 0 or -ENOMEM.
 */
int load_rate(struct load *rates, const struct load *before, const struct load *now);

/** load_call() - give all rows their names. @names: NULL: none are known */
void load_call(struct load *rates, struct names *names);

/** load_pick() - leave out the rows that are not wanted; the sums stay those of all. */
void load_pick(struct load *rates, const struct options *options);

/** load_sort() - the most first, then by domain. */
void load_sort(struct load *rates, enum option_sort sort);

/** load_free() - free what is in it. */
void load_free(struct load *load);

#endif
