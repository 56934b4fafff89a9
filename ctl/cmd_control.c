// SPDX-License-Identifier: MIT
/*
 * cmd_control - the commands that only the control socket has.
 */
#include "ctl/command.h"
#include "ctl/control.h"
#include "ctl/domain_list.h"
#include "ctl/names.h"
#include "ctl/print.h"
#include "ctl/rows.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

/* --- status */

static void print_unknown(const json_t *domids)
{
	const json_t *domid;
	size_t i;

	if (!json_array_size(domids))
		return;
	fputs("unknown    ", stdout);
	json_array_foreach(domids, i, domid)
		printf(" %" PRId64, (int64_t)json_integer_value(domid));
	puts("; xenstored ended and does not know them any more");
}

/* How many there are, and by state; then those are included that are held in advance. */
static void print_domains(const json_t *status)
{
	json_t *states = json_object_get(status, "states"), *count;
	const char *state, *before = " (";

	printf("domains     %" PRId64, print_number(status, "domains"));
	json_object_foreach(states, state, count)
	{
		printf("%s%" PRId64 " %s", before, (int64_t)json_integer_value(count), state);
		before = ", ";
	}
	puts(*before == ',' ? ")" : "");
}

static void print_clients(const json_t *status)
{
	int64_t waiting = print_number(status, "clients_waiting");

	printf("toolstacks  %" PRId64, print_number(status, "clients"));
	if (waiting)
		printf(", %" PRId64 " %s for xenstored", waiting, waiting == 1 ? "waits" : "wait");
	putchar('\n');
	/* An older xsproxyd does not say. */
	if (json_is_true(json_object_get(status, "keeper_foreign")))
		puts("keeper      " PRINT_FOREIGN_KEEPER);
	else if (json_is_true(json_object_get(status, "keeper")))
		printf("keeper      holds %" PRId64 " of them\n",
		       print_number(status, "clients_kept"));
	else if (json_is_false(json_object_get(status, "keeper")))
		puts("keeper      none; " PRINT_NO_KEEPER);
}

/* Nothing if there was none. */
static void print_exchange(const json_t *status)
{
	const json_t *now = json_object_get(status, "exchange"),
		     *last = json_object_get(status, "last_exchange");

	if (json_is_object(now))
		printf("replacing   xenstored, for %" PRId64 " s: %s\n",
		       print_number(now, "seconds"), print_text(now, "stage"));
	else if (json_is_string(json_object_get(last, "why")))
		printf("replaced    %s: %s\n", print_text(last, "outcome"),
		       print_text(last, "why"));
	else if (json_is_object(last))
		printf("replaced    %s; nobody was served for %" PRId64 " ms\n",
		       print_text(last, "outcome"), print_number(last, "pause_ms"));
}

static void print_status(const json_t *status)
{
	const json_t *xenstored = json_object_get(status, "xenstored");

	printf("xsproxyd    %s, pid %" PRId64 ", up %" PRId64 " s\n", print_text(status, "version"),
	       print_number(status, "pid"), print_number(status, "uptime"));
	if (!strcmp(print_text(status, "state"), "left"))
		puts("xenstored   a native one serves; this xsproxyd has left and is to be "
		     "stopped");
	else if (json_is_object(xenstored))
		printf("xenstored   %s, pid %" PRId64 "\n", print_text(xenstored, "name"),
		       print_number(xenstored, "pid"));
	else if (json_is_string(json_object_get(status, "reason")))
		printf("xenstored   refused: %s\n", print_text(status, "reason"));
	else
		puts("xenstored   none with the bridge; guests and toolstacks wait for it");
	if (json_is_string(json_object_get(status, "bridge_lacks")))
		printf("            %s\n", print_text(status, "bridge_lacks"));
	print_exchange(status);
	print_domains(status);
	print_unknown(json_object_get(status, "unknown_domains"));
	print_clients(status);
	printf("hold --new  %s\n",
	       json_is_true(json_object_get(status, "hold_new")) ? "on" : "off");
	printf("log-level   %s\n", print_text(status, "log_level"));
	if (json_is_string(json_object_get(status, "config_error")))
		printf("wrong       configuration: %s\n", print_text(status, "config_error"));
}

int command_status(const struct options *options, const struct report *report)
{
	json_t *status = NULL;
	int r = control_ask(options, "status", json_object(), &status, report);

	if (r)
		return r;
	if (options->json)
		r = print_json(status);
	else
		print_status(status);
	json_decref(status);
	return print_end(r, report);
}

/* --- domains */

/* What is wrong with it, or what was refused it last. */
static const char *why(const json_t *domain)
{
	bool stopped = json_is_string(json_object_get(domain, "reason"));

	return print_text(domain, stopped ? "reason" : "last_error");
}

#define ROW "%-6s %-16s %-12s %7s %5s %8s %7s %8s %6s  %s\n"

static void print_row(const json_t *domain, struct names *names)
{
	static const char *const keys[] = { "watches", "transactions", "requests", "queued" };
	char cells[4][24], domid[24], refusals[24], quota[24], name[REPORT_OCTETS_MAX];
	int64_t number = print_number(domain, "domid");
	bool session = json_object_get(domain, "session");

	snprintf(domid, sizeof(domid), "%" PRId64, number);
	snprintf(refusals, sizeof(refusals), "%" PRId64, rows_refusals(domain));
	snprintf(quota, sizeof(quota), "%" PRId64, rows_quota(domain));
	for (int i = 0; i < 4; i++)
		snprintf(cells[i], sizeof(cells[i]), session ? "%" PRId64 : "-",
			 print_number(domain, keys[i]));
	printf(ROW, domid, names_text(names, (uint32_t)number, name), print_text(domain, "state"),
	       cells[0], cells[1], cells[2], cells[3], session ? refusals : "-",
	       session ? quota : "-", why(domain));
}

static void print_head(void)
{
	printf(ROW, "DOMID", "NAME", "STATE", "WATCHES", "TRANS", "REQUESTS", "QUEUED", "REFUSALS",
	       "QUOTA", "LAST ERROR");
}

/* In the order and with the names that are wanted. */
static int arrange(json_t *all, struct names *names, const struct options *options)
{
	json_t *domain;
	size_t i;
	int r = 0;

	json_array_foreach(all, i, domain)
	{
		if (!r)
			r = names_join(names, domain);
	}
	return r ? r : rows_arrange(all, options);
}

static void print_all(const json_t *all, struct names *names)
{
	const json_t *domain;
	size_t i;

	print_head();
	json_array_foreach(all, i, domain) print_row(domain, names);
}

int command_domains(const struct options *options, const struct report *report)
{
	struct control *control = NULL;
	struct names *names = NULL;
	json_t *all = json_array();
	int r = control_open(&control, options, report);

	if (!r)
		r = domain_list(control, all, report);
	control_free(control);
	if (!r)
		r = names_ask(&names, options, NAMES_ALL, false, report);
	if (!r) {
		r = arrange(all, names, options);
		if (options->json && !r)
			r = print_json_new(json_pack("{s:O}", "domains", all));
		else if (!r)
			print_all(all, names);
		r = print_end(r, report);
	}
	names_free(names);
	json_decref(all);
	return r;
}

/* Since when it stands still, or is to, and for whom. */
static void print_stopped(const json_t *domain)
{
	const json_t *stopped = json_object_get(domain, "stopped");
	time_t since = (time_t)print_number(stopped, "since");
	char when[32] = "?";
	struct tm tm;

	if (!json_is_object(stopped))
		return;
	if (localtime_r(&since, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s for %" PRId64 " s, since %s, by ", print_text(domain, "state"),
	       print_number(stopped, "seconds"), when);
	if (print_number(stopped, "pid"))
		printf("%s (pid %" PRId64 ", uid %" PRId64 ")\n", print_text(stopped, "command"),
		       print_number(stopped, "pid"), print_number(stopped, "uid"));
	else
		printf("%s\n", print_text(stopped, "command"));
}

/* What it has not finished, and what it has not read. */
static void print_rest(const json_t *domain)
{
	const json_t *request = json_object_get(domain, "unfinished");
	int64_t events = print_number(domain, "events"), replies = print_number(domain, "replies");

	if (json_is_object(request)) {
		printf("in the middle of a request for %" PRId64 " s, %" PRId64 " ",
		       print_number(request, "seconds"), print_number(request, "octets"));
		if (json_is_integer(json_object_get(request, "of")))
			printf("of %" PRId64 " octets\n", print_number(request, "of"));
		else
			puts("octets of its header");
	}
	if (print_number(domain, "requests"))
		printf("waits for an answer for %" PRId64 " ms\n",
		       print_number(domain, "oldest_ms"));
	if (events || replies)
		printf("not read: %" PRId64 " events, %" PRId64 " replies\n", events, replies);
}

static void print_domain(const json_t *domain, struct names *names)
{
	const json_t *refusal;
	size_t i;

	print_head();
	print_row(domain, names);
	print_stopped(domain);
	print_rest(domain);
	json_array_foreach(json_object_get(domain, "refusals"), i, refusal)
		printf("refused %s with %s: %" PRId64 " times\n", print_text(refusal, "request"),
		       print_text(refusal, "error"), print_number(refusal, "count"));
}

int command_domain(const struct options *options, const struct report *report)
{
	struct names *names = NULL;
	json_t *domain = NULL;
	int r = control_ask(options, "domain", json_pack("{s:i}", "domid", options->domid), &domain,
			    report);

	if (!r)
		r = names_ask(&names, options, options->domid, false, report);
	if (!r) {
		r = options->json ? names_join(names, domain) : 0;
		if (options->json && !r)
			r = print_json(domain);
		else if (!r)
			print_domain(domain, names);
		r = print_end(r, report);
	}
	names_free(names);
	json_decref(domain);
	return r;
}

/* --- what changes something */

int command_log_level(const struct options *options, const struct report *report)
{
	json_t *arguments =
		options->file ? json_pack("{s:s}", "level", options->file) : json_object();
	json_t *answer = NULL;
	int r = control_ask(options, "log-level", arguments, &answer, report);

	if (r)
		return r;
	puts(print_text(answer, "level"));
	json_decref(answer);
	return print_end(0, report);
}

int command_reload(const struct options *options, const struct report *report)
{
	json_t *answer = NULL;
	int r = control_ask(options, "reload", json_object(), &answer, report);
	const json_t *option;
	size_t i;

	if (!r)
		json_array_foreach(json_object_get(answer, "waiting"), i, option)
			report_warn(report, "%s takes effect only when xsproxyd is restarted",
				    json_string_value(option));
	json_decref(answer);
	return r;
}

int command_hold_new(const struct options *options, const struct report *report)
{
	json_t *answer = NULL;
	int r = control_ask(options, "hold",
			    json_pack("{s:b}", "new", options->hold_new == HOLD_NEW_ON), &answer,
			    report);

	json_decref(answer);
	return r;
}

int command_quiesce_lease(const struct options *options, const struct report *report)
{
	struct control *control = NULL;
	json_t *answer = NULL;
	int r = control_open(&control, options, report);

	if (r)
		return r;
	r = control_run(control, "quiesce",
			json_pack("{s:i,s:b}", "domid", options->domid, "lease", 1), &answer,
			report);
	json_decref(answer);
	if (!r) {
		printf("domain %u is quiesced until this command ends\n", options->domid);
		r = print_end(0, report);
	}
	if (!r)
		r = report_fail(report, control_wait(control),
				"xsproxyd ended the connection; domain %u runs on unless something "
				"else stops it",
				options->domid);
	control_free(control);
	return r;
}
