// SPDX-License-Identifier: MIT
/*
 * cmd_clients - the command that lists toolstacks' connections.
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

/* "READ, WATCH for 12 ms", or "3 events are not read", or both; or "-". */
static void print_state(const json_t *client)
{
	const json_t *under_way = json_object_get(client, "under_way"), *request;
	int64_t events = print_number(client, "events");
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

static void print_all(const json_t *all)
{
	const json_t *client;
	size_t i;

	printf(ROW, "SESSION", "PID", "UID", "COMMAND", "SINCE", "WATCHES", "TRANS", "REQUESTS",
	       "QUEUED", "UNDER WAY");
	json_array_foreach(all, i, client) print_client(client);
}

int command_clients(const struct options *options, const struct report *report)
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
