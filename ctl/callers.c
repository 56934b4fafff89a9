// SPDX-License-Identifier: MIT
/*
 * callers - see callers.h.
 */
#include "ctl/callers.h"

#include "ctl/control.h"
#include "ctl/domain_list.h"
#include "ctl/print.h"
#include "protocol/clock.h"

#include <errno.h>
#include <stdlib.h>

#define ASK_NS 250000000u /* not again before */

struct callers {
	const struct options *options;
	struct names *names;
	json_t *clients; /* as of then; NULL: never asked with success */
	uint64_t asked;	 /* ns of CLOCK_MONOTONIC */
	int64_t own;	 /* session; -1: not known */
};

const char *callers_domain(struct callers *callers, uint32_t domid)
{
	return callers ? names_get(callers->names, domid) : NULL;
}

/* --- toolstacks */

static const json_t *find(const struct callers *callers, int64_t session)
{
	const json_t *client;
	size_t i;

	json_array_foreach(callers->clients, i, client)
	{
		if (print_number(client, "session") == session)
			return client;
	}
	return NULL;
}

/* What there is from a session on. Return: where the next ones begin, or 0. */
static int64_t ask(struct callers *callers, int64_t index)
{
	json_t *page = control_ask_quietly(callers->options, "clients",
					   json_pack("{s:I}", "index", (json_int_t)index));
	pid_t reader = names_reader(callers->names);
	const json_t *client;
	int64_t next;
	size_t i;

	callers->asked = clock_monotonic();
	if (!page)
		return 0;
	next = print_number(page, "next");
	json_decref(callers->clients);
	callers->clients = json_incref(json_object_get(page, "clients"));
	json_decref(page);
	json_array_foreach(callers->clients, i, client)
	{
		if (reader && print_number(client, "pid") == reader)
			callers->own = print_number(client, "session");
	}
	return next;
}

static const json_t *look_up(struct callers *callers, const struct frame *frame)
{
	const json_t *client = find(callers, frame->session);

	if (client || clock_monotonic() - callers->asked < ASK_NS)
		return client;
	ask(callers, frame->session);
	return find(callers, frame->session);
}

const char *callers_program(struct callers *callers, const struct frame *frame)
{
	if (!callers || !(frame->flags & FRAME_CLIENT))
		return NULL;
	return json_string_value(json_object_get(look_up(callers, frame), "command"));
}

bool callers_is_own(struct callers *callers, const struct frame *frame)
{
	if (!callers || !(frame->flags & FRAME_CLIENT))
		return false;
	look_up(callers, frame);
	return callers->own == frame->session;
}

/* --- beginning and end */

int callers_new(struct callers **out, const struct options *options, uint32_t only,
		const struct report *report)
{
	struct callers *callers = calloc(1, sizeof(*callers));
	int64_t index = 0;
	int r;

	if (!callers)
		return report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
	callers->options = options;
	callers->own = -1;
	r = names_ask(&callers->names, options, only, only == NAMES_ALL, report);
	if (r) {
		callers_free(callers);
		return r;
	}
	/* It is among the last of them. */
	do {
		index = ask(callers, index);
	} while (index && callers->own < 0);
	*out = callers;
	return 0;
}

struct callers *callers_free(struct callers *callers)
{
	if (!callers)
		return NULL;
	names_free(callers->names);
	json_decref(callers->clients);
	free(callers);
	return NULL;
}
