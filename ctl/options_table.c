// SPDX-License-Identifier: MIT
/*
 * options_table - the values of those options that are about tables of domains: when, which rows,
 * and in which order.
 */
#include "ctl/options_set.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#define INTERVAL_MIN 0.1
#define INTERVAL_MAX 3600.0

/* Seconds, with a fraction. */
int options_set_interval(struct parsing *parsing, const char *value)
{
	double seconds;
	char *end;

	seconds = strtod(value, &end);
	if (*end || value[0] < '0' || value[0] > '9' || !(seconds >= INTERVAL_MIN) ||
	    seconds > INTERVAL_MAX)
		return wrong(parsing, "--interval %s: must be a number of seconds, %.1f to %.0f",
			     value, INTERVAL_MIN, INTERVAL_MAX);
	parsing->options->interval_ms = (uint32_t)(seconds * 1000 + 0.5);
	return 0;
}

static const char *const sort_names[NR_SORTS] = {
	[SORT_REQUESTS] = "requests", [SORT_ERRORS] = "errors", [SORT_P99] = "p99",
	[SORT_OCTETS] = "octets",     [SORT_FULL] = "full",	[SORT_WATCHES] = "watches",
	[SORT_DOMID] = "domid",
};

const char *options_sort_name(enum option_sort sort)
{
	return sort_names[sort];
}

int options_set_sort(struct parsing *parsing, const char *value)
{
	for (int i = 0; i < NR_SORTS; i++) {
		if (strcmp(value, sort_names[i]))
			continue;
		parsing->options->sort = (enum option_sort)i;
		return 0;
	}
	return wrong(parsing,
		     "--sort %s: must be requests, errors, p99, octets, full, watches or domid",
		     value);
}

int options_set_batch(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->batch = true;
	return 0;
}

int options_set_count(struct parsing *parsing, const char *value)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno || *end || value[0] < '1' || value[0] > '9' || n > UINT32_MAX)
		return wrong(parsing, "--count %s: must be a number from 1 on", value);
	parsing->options->count = (uint32_t)n;
	return 0;
}

/* As clients prints it, or trace: s12. */
int options_session(struct parsing *parsing, const char *value)
{
	const char *digits = value + (*value == 's');
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(digits, &end, 10);
	if (errno || *end || *digits < '0' || *digits > '9' || n > UINT32_MAX)
		return wrong(parsing,
			     "'%s': must be a session's number, as xsproxyctl clients prints it",
			     value);
	parsing->options->has_session = true;
	parsing->options->session = (uint32_t)n;
	return 0;
}

/* --- which rows */

static const char *const states[] = { "running",      "quiesced", "leased", "held",
				      "reconnecting", "ended",	  "failed" };

#define NR_STATES (sizeof(states) / sizeof(states[0]))

static int add_state(struct parsing *parsing, const char *name)
{
	for (size_t i = 0; i < NR_STATES; i++) {
		if (strcmp(name, states[i]))
			continue;
		parsing->options->states |= 1u << i;
		return 0;
	}
	return wrong(parsing,
		     "--state %s: must be running, quiesced, leased, held, reconnecting, ended or "
		     "failed",
		     name);
}

int options_set_state(struct parsing *parsing, const char *value)
{
	char *names = strdup(value), *rest = names;
	int r = names ? 0 : -ENOMEM;

	while (!r && rest)
		r = add_state(parsing, strsep(&rest, ","));
	free(names);
	return r;
}

bool options_wants_state(const struct options *options, const char *state)
{
	if (!options->states)
		return true;
	for (size_t i = 0; i < NR_STATES; i++)
		if (options->states & 1u << i && !strcmp(state, states[i]))
			return true;
	return false;
}

int options_set_match(struct parsing *parsing, const char *value)
{
	char why[128];
	regex_t regex;
	int err = regcomp(&regex, value, REG_EXTENDED | REG_NOSUB);

	if (err) {
		regerror(err, &regex, why, sizeof(why));
		return wrong(parsing, "--match %s: %s", value, why);
	}
	regfree(&regex);
	parsing->options->match = value;
	return 0;
}

static const char *const orders[NR_ORDERS] = {
	[ORDER_DOMID] = "domid",
	[ORDER_NAME] = "name",
	[ORDER_STATE] = "state",
	[ORDER_WATCHES] = "watches",
	[ORDER_TRANSACTIONS] = "transactions",
	[ORDER_REQUESTS] = "requests",
	[ORDER_QUEUED] = "queued",
	[ORDER_REFUSALS] = "refusals",
	[ORDER_QUOTA] = "quota",
};

int options_set_order(struct parsing *parsing, const char *value)
{
	for (int i = 0; i < NR_ORDERS; i++) {
		if (strcmp(value, orders[i]))
			continue;
		parsing->options->order = (enum option_order)i;
		return 0;
	}
	return wrong(parsing,
		     "--sort %s: must be domid, name, state, watches, transactions, requests, "
		     "queued, refusals or quota",
		     value);
}

const char *options_order_name(enum option_order order)
{
	return orders[order];
}
