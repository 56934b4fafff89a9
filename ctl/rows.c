// SPDX-License-Identifier: MIT
/*
 * rows - see rows.h.
 */
#include "ctl/rows.h"

#include "ctl/print.h"

#include <errno.h>
#include <inttypes.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

bool rows_wanted(const struct options *options, const char *state, const char *const *words,
		 size_t nr)
{
	bool found = false;
	regex_t regex;

	if (!options_wants_state(options, state))
		return false;
	if (!options->match)
		return true;
	/* It was compiled when it was parsed; now there may be no memory, and all are shown. */
	if (regcomp(&regex, options->match, REG_EXTENDED | REG_NOSUB))
		return true;
	for (size_t i = 0; i < nr && !found; i++)
		found = !regexec(&regex, words[i], 0, NULL, 0);
	regfree(&regex);
	return found;
}

static bool is_wanted(const json_t *domain, const struct options *options)
{
	char domid[24];
	const char *words[] = { domid, print_text(domain, "name"), print_text(domain, "state"),
				print_text(domain, "reason"), print_text(domain, "last_error") };

	snprintf(domid, sizeof(domid), "%" PRId64, print_number(domain, "domid"));
	return rows_wanted(options, print_text(domain, "state"), words,
			   sizeof(words) / sizeof(words[0]));
}

static bool is_any(const char *cause)
{
	(void)cause;
	return true;
}

static bool is_for_quota(const char *cause)
{
	return !strcmp(cause, "quota") || !strcmp(cause, "watches") ||
	       !strcmp(cause, "transactions");
}

static int64_t refused(const json_t *domain, bool (*counts)(const char *cause))
{
	const json_t *refusal;
	int64_t sum = 0;
	size_t i;

	json_array_foreach(json_object_get(domain, "refusals"), i, refusal)
	{
		if (counts(print_text(refusal, "cause")))
			sum += print_number(refusal, "count");
	}
	return sum;
}

int64_t rows_refusals(const json_t *domain)
{
	return refused(domain, is_any);
}

int64_t rows_quota(const json_t *domain)
{
	return refused(domain, is_for_quota);
}

static int64_t number(const json_t *domain, enum option_order order)
{
	return order == ORDER_REFUSALS ? rows_refusals(domain)
	       : order == ORDER_QUOTA  ? rows_quota(domain)
				       : print_number(domain, options_order_name(order));
}

/* Numbers have the most first, words go by the alphabet; then by domain. */
static int compare(const void *a, const void *b, void *arg)
{
	const json_t *left = *(json_t *const *)a, *right = *(json_t *const *)b;
	enum option_order order = *(const enum option_order *)arg;
	int64_t by_domid = print_number(left, "domid") - print_number(right, "domid"), by = 0;

	if (order == ORDER_NAME || order == ORDER_STATE)
		by = strcmp(print_text(left, options_order_name(order)),
			    print_text(right, options_order_name(order)));
	else if (order != ORDER_DOMID)
		by = number(right, order) - number(left, order);
	if (!by)
		by = by_domid;
	return (by > 0) - (by < 0);
}

int rows_arrange(json_t *domains, const struct options *options)
{
	size_t nr = 0, all = json_array_size(domains);
	enum option_order order = options->order;
	json_t **list = calloc(all ? all : 1, sizeof(json_t *));
	int r = 0;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < all; i++) {
		json_t *domain = json_array_get(domains, i);

		if (is_wanted(domain, options))
			list[nr++] = json_incref(domain);
	}
	qsort_r(list, nr, sizeof(json_t *), compare, &order);
	json_array_clear(domains);
	for (size_t i = 0; i < nr; i++)
		r |= json_array_append_new(domains, list[i]);
	free(list);
	return r ? -ENOMEM : 0;
}
