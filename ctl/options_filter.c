// SPDX-License-Identifier: MIT
/*
 * options_filter - the values of those options that make a struct filter.
 */
#include "ctl/options_set.h"
#include "trace/fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SLOWER_MAX_MS 1000000000
#define NS_OF_MS      1000000

static int add_op(struct parsing *parsing, const char *name)
{
	struct filter *filter = &parsing->options->filter;
	uint32_t *ops, type;

	if (!strcasecmp(name, "UNKNOWN")) {
		filter->unknown = true;
		return 0;
	}
	if (fields_type_parse(name, &type))
		return wrong(parsing,
			     "--op %s: there is no such request; say READ, or WRITE,RM,MKDIR, or "
			     "UNKNOWN, or a number",
			     name);
	ops = reallocarray(filter->ops, filter->nr_ops + 1, sizeof(*ops));
	if (!ops)
		return -ENOMEM;
	filter->ops = ops;
	ops[filter->nr_ops++] = type;
	return 0;
}

int options_set_op(struct parsing *parsing, const char *value)
{
	char *names = strdup(value), *rest = names;
	int r = names ? 0 : -ENOMEM;

	while (!r && rest)
		r = add_op(parsing, strsep(&rest, ","));
	free(names);
	return r;
}

int options_set_path(struct parsing *parsing, const char *value)
{
	/* Xenstore knows no other, and JSON could not carry them. */
	for (const char *p = value; *p; p++)
		if (*p <= ' ' || *p == 0x7f)
			return wrong(parsing, "--path: must be printable ASCII without blanks");
	if (*value != '/' && *value != '@')
		return wrong(parsing, "--path %s: must begin with '/', or with '@'", value);
	parsing->options->filter.path = value;
	return 0;
}

int options_set_errors(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->filter.wanted.errors = true;
	return 0;
}

int options_set_slower(struct parsing *parsing, const char *value)
{
	char *end;
	double ms = strtod(value, &end);

	if (*end || value[0] < '0' || value[0] > '9' || !(ms <= SLOWER_MAX_MS))
		return wrong(parsing,
			     "--slower %s: must be a number of milliseconds, up to %d; say 0.5",
			     value, SLOWER_MAX_MS);
	parsing->options->filter.wanted.slower = (uint64_t)(ms * NS_OF_MS);
	return 0;
}

int options_set_events(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->filter.events = true;
	return 0;
}

int options_set_new_only(struct parsing *parsing, const char *value)
{
	(void)value;
	parsing->options->filter.new = true;
	return 0;
}

int options_set_snap(struct parsing *parsing, const char *value)
{
	unsigned long snap;
	char *end;

	errno = 0;
	snap = strtoul(value, &end, 10);
	if (errno || *end || value[0] < '1' || value[0] > '9' || snap > XENSTORE_PAYLOAD_MAX)
		return wrong(parsing, "--snap %s: must be a number of octets from 1 to %d", value,
			     XENSTORE_PAYLOAD_MAX);
	parsing->options->filter.snap = (uint32_t)snap;
	return 0;
}
