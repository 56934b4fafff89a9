// SPDX-License-Identifier: MIT
/*
 * cmd_clients - the command that lists toolstacks' connections, or what one has.
 */
#include "ctl/command.h"
#include "ctl/control.h"
#include "ctl/domain_list.h"
#include "ctl/print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define ROW	   "%-7s %7s %5s %-15s %9s %7s %5s %9s %7s  %s\n"

#define NUMBER_MAX 48

static const char *number(char out[NUMBER_MAX], const json_t *client, const char *key)
{
	snprintf(out, NUMBER_MAX, "%" PRId64, print_number(client, key));
	return out;
}

/* As ps has it: the two largest of days, hours, minutes and seconds. */
static const char *since(char out[NUMBER_MAX], int64_t seconds)
{
	int64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;

	if (days)
		snprintf(out, NUMBER_MAX, "%" PRId64 "d%02" PRId64 "h", days, hours % 24);
	else if (hours)
		snprintf(out, NUMBER_MAX, "%" PRId64 "h%02" PRId64 "m", hours, minutes % 60);
	else if (minutes)
		snprintf(out, NUMBER_MAX, "%" PRId64 "m%02" PRId64 "s", minutes, seconds % 60);
	else
		snprintf(out, NUMBER_MAX, "%" PRId64 "s", seconds);
	return out;
}

/* "READ, WATCH for 12 ms", or "3 events are not read for 2 s", or both; or "-". */
static void print_state(const json_t *client)
{
	const json_t *under_way = json_object_get(client, "under_way"), *request;
	int64_t events = print_number(client, "events"), unread = print_number(client, "unread_ms");
	const char *before = "";
	size_t i;

	json_array_foreach(under_way, i, request)
	{
		printf("%s%s", before, json_string_value(request));
		before = ", ";
	}
	if (json_array_size(under_way))
		printf(" for %" PRId64 " ms", print_number(client, "oldest_ms"));
	if (events)
		printf("%s%" PRId64 " %s not read", before, events,
		       events == 1 ? "event is" : "events are");
	if (events && unread)
		printf(" for %" PRId64 " ms", unread);
	puts(*before || events ? "" : "-");
}

static void print_client(const json_t *client)
{
	char cells[8][NUMBER_MAX];

	printf("%-7s %7s %5s %-15s %9s %7s %5s %9s %7s  ", number(cells[0], client, "session"),
	       number(cells[1], client, "pid"), number(cells[2], client, "uid"),
	       print_text(client, "command"), since(cells[3], print_number(client, "seconds")),
	       number(cells[4], client, "watches"), number(cells[5], client, "transactions"),
	       number(cells[6], client, "asked"), number(cells[7], client, "queued"));
	print_state(client);
}

static void print_head(void)
{
	printf(ROW, "SESSION", "PID", "UID", "COMMAND", "SINCE", "WATCHES", "TRANS", "REQUESTS",
	       "QUEUED", "UNDER WAY");
}

static void print_all(const json_t *all)
{
	const json_t *client;
	size_t i;

	print_head();
	json_array_foreach(all, i, client) print_client(client);
}

static int list_all(const struct options *options, const struct report *report)
{
	struct control *control = NULL;
	json_t *all = json_array();
	int r = control_open(&control, options, report);

	if (!r)
		r = client_list(control, all, report);
	control_free(control);
	if (!r) {
		if (options->json)
			r = print_json_new(json_pack("{s:O}", "clients", all));
		else
			print_all(all);
		r = print_end(r, report);
	}
	json_decref(all);
	return r;
}

/* --- what one has */

/* It with all its watches: those of the pages after the first are added to that one's. */
static int get_one(json_t **out, const struct options *options, const struct report *report)
{
	struct control *control = NULL;
	json_int_t index = 0;
	json_t *one = NULL, *page = NULL;
	int r = control_open(&control, options, report);

	while (!r && (!one || index)) {
		r = control_run(control, "client",
				json_pack("{s:I,s:I}", "session", (json_int_t)options->session,
					  "index", index),
				&page, report);
		if (r)
			break;
		index = print_number(page, "next");
		if (!one)
			one = json_incref(page);
		else if (json_array_extend(json_object_get(one, "watch_list"),
					   json_object_get(page, "watch_list")))
			r = report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
		json_decref(page);
	}
	control_free(control);
	if (r) {
		json_decref(one);
		return r;
	}
	json_object_del(one, "next");
	*out = one;
	return 0;
}

static void print_one(const json_t *one)
{
	const json_t *watch, *id;
	size_t i;

	print_head();
	print_client(one);
	json_array_foreach(json_object_get(one, "watch_list"), i, watch)
		printf("watch %s %s\n", print_text(watch, "path"), print_text(watch, "token"));
	json_array_foreach(json_object_get(one, "transaction_list"), i, id)
		printf("transaction %" JSON_INTEGER_FORMAT "\n", json_integer_value(id));
}

static int show_one(const struct options *options, const struct report *report)
{
	json_t *one = NULL;
	int r = get_one(&one, options, report);

	if (r)
		return r;
	if (options->json)
		r = print_json(one);
	else
		print_one(one);
	json_decref(one);
	return print_end(r, report);
}

int command_clients(const struct options *options, const struct report *report)
{
	return options->has_session ? show_one(options, report) : list_all(options, report);
}
