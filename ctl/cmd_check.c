// SPDX-License-Identifier: MIT
/*
 * cmd_check - whether all is well, for those who ask every minute: monitoring, scripts.
 *
 * What is wrong is a result, so it goes to standard output, a line each; and an xsproxyd that does
 * not answer is wrong, too, so nothing here waits without end.
 */
#include "ctl/command.h"
#include "ctl/control.h"
#include "ctl/domain_list.h"
#include "ctl/names.h"
#include "ctl/print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_SECONDS 5 /* for each of xsproxyd's answers */
#define WAIT_SECONDS   5 /* until xenstored takes a client, or has been replaced */
#define XSPROXYD       "xsproxyd"
#define MS_OF_S	       1000

struct check {
	json_t *problems;
	bool failed; /* memory ran out */
};

/* A problem with @what; @domid: -1 for none, else it is with a domain. */
static void add(struct check *check, const char *what, int64_t domid, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void add(struct check *check, const char *what, int64_t domid, const char *fmt, ...)
{
	json_t *problem = json_object();
	va_list args;

	va_start(args, fmt);
	if (json_object_set_new(problem, "what", json_string(what)) ||
	    (domid >= 0 && json_object_set_new(problem, "domid", json_integer(domid))) ||
	    json_object_set_new(problem, "text", json_vsprintf(fmt, args))) {
		json_decref(problem);
		problem = NULL;
	}
	va_end(args);
	if (json_array_append_new(check->problems, problem))
		check->failed = true;
}

/* --- what can be wrong */

static void check_config(struct check *check, const json_t *status)
{
	if (json_is_string(json_object_get(status, "config_error")))
		add(check, "configuration", -1, "%s", print_text(status, "config_error"));
}

static void check_xenstored(struct check *check, const json_t *status)
{
	const json_t *exchange = json_object_get(status, "exchange");
	const char *state = print_text(status, "state");
	int64_t seconds = print_number(exchange, "seconds");

	if (json_is_object(exchange) && seconds >= WAIT_SECONDS)
		add(check, "xenstored", -1,
		    "it is being replaced for %" PRId64 " s, and nobody is served: %s", seconds,
		    print_text(exchange, "stage"));
	else if (json_is_object(exchange))
		return;
	else if (!strcmp(state, "refused"))
		add(check, "xenstored", -1, "refused: %s", print_text(status, "reason"));
	else if (!strcmp(state, "left"))
		add(check, "xenstored", -1,
		    "a native one serves; this xsproxyd has left and is to be stopped");
	else if (strcmp(state, "running") != 0)
		add(check, "xenstored", -1,
		    "there is none with the bridge; guests and toolstacks wait for it");
}

static void check_unknown(struct check *check, const json_t *status)
{
	const json_t *domid;
	size_t i;

	/* While there is none, it is no news that it knows nobody. */
	if (!json_is_object(json_object_get(status, "xenstored")))
		return;
	json_array_foreach(json_object_get(status, "unknown_domains"), i, domid)
		add(check, "domain", json_integer_value(domid),
		    "unknown to this xenstored; the one before knew it; introduce it again, or "
		    "restart xsproxyd if it is gone");
}

static bool is_waited_for(const json_t *status)
{
	return print_number(status, "clients_waited") >= WAIT_SECONDS;
}

static void check_clients(struct check *check, const json_t *status)
{
	int64_t waiting = print_number(status, "clients_waiting");
	int64_t waited = print_number(status, "clients_waited");

	if (waiting && waited >= WAIT_SECONDS)
		add(check, "toolstacks", -1,
		    "%" PRId64 " %s for xenstored, the first one for %" PRId64 " s", waiting,
		    waiting == 1 ? "waits" : "wait", waited);
}

/* One that does not know of keepers does not say either. */
static void check_keeper(struct check *check, const json_t *status)
{
	if (json_is_true(json_object_get(status, "keeper_foreign")))
		add(check, "keeper", -1, "it " PRINT_FOREIGN_KEEPER);
	else if (json_is_false(json_object_get(status, "keeper")))
		add(check, "keeper", -1, "there is none; " PRINT_NO_KEEPER);
}

static void check_mirror(struct check *check, const json_t *status)
{
	if (json_is_true(json_object_get(status, "mirror_broken")))
		add(check, "mirror", -1,
		    "there is no memory for it, so all that xenstored holds is lost if that "
		    "crashes; see [mirror] memory");
}

/*
 * A request of our own, as any toolstack's goes: what has an xsproxyd that answers may still hang.
 * An older one does not say where.
 */
static int check_read(struct check *check, const struct options *options, const json_t *status,
		      const struct report *report)
{
	struct options there = *options;
	struct names *names = NULL;
	int r;

	if (strcmp(print_text(status, "state"), "running") != 0 ||
	    json_is_object(json_object_get(status, "exchange")) ||
	    !json_is_string(json_object_get(status, "socket")) || is_waited_for(status))
		return 0;
	snprintf(there.socket, sizeof(there.socket), "%s", print_text(status, "socket"));
	r = names_new(&names, &there, 0, false, report);
	if (r)
		return r;
	r = names_settle(names, ANSWER_SECONDS * MS_OF_S);
	if (r == -ETIMEDOUT)
		add(check, "xenstored", -1, "it does not answer a READ within %d s",
		    ANSWER_SECONDS);
	else if (r && r != -ENOMEM)
		add(check, "toolstacks", -1, "a READ over %s fails: %s", there.socket,
		    report_reason(r));
	names_free(names);
	return r == -ENOMEM ? report_fail(report, r, "%s", report_reason(r)) : 0;
}

static void check_domain(struct check *check, const json_t *domain)
{
	const char *state = print_text(domain, "state");
	const char *reason = json_string_value(json_object_get(domain, "reason"));

	if (!reason)
		reason = "the reason is not known any more, see the log";
	if (!strcmp(state, "failed"))
		add(check, "domain", print_number(domain, "domid"),
		    "failed: %s; its guest is not served", reason);
	else if (!strcmp(state, "ended"))
		add(check, "domain", print_number(domain, "domid"),
		    "ended: %s; it is ignored until it is released", reason);
	if (json_is_true(json_object_get(domain, "near_limit")))
		add(check, "domain", print_number(domain, "domid"),
		    "near a limit: it has %" PRId64 " watches; see xsproxyctl watches --stale",
		    print_number(domain, "watches"));
}

static int check_domains(struct check *check, struct control *control, const json_t *status,
			 const struct report *report)
{
	const json_t *states = json_object_get(status, "states"), *domain;
	json_t *all;
	size_t i;
	int r;

	if (!print_number(states, "failed") && !print_number(states, "ended") &&
	    !print_number(status, "near_limit"))
		return 0;
	all = json_array();
	r = domain_list(control, all, report);
	if (!r)
		json_array_foreach(all, i, domain) check_domain(check, domain);
	json_decref(all);
	return r;
}

/* Return: 0, or a negative errno that @report was told of: xsproxyd does not answer. */
static int check_all(struct check *check, const struct options *options, json_t **status,
		     const struct report *report)
{
	struct control *control = NULL;
	int r = control_open_within(&control, options, ANSWER_SECONDS, report);

	if (!r)
		r = control_run(control, "status", json_object(), status, report);
	if (!r) {
		check_config(check, *status);
		check_xenstored(check, *status);
		check_unknown(check, *status);
		check_clients(check, *status);
		check_keeper(check, *status);
		check_mirror(check, *status);
		r = check_domains(check, control, *status, report);
		if (!r)
			r = check_read(check, options, *status, report);
	}
	control_free(control);
	return r;
}

/* As check_all(), with what it reports as one more problem. */
static void check_reachable(struct check *check, const struct options *options, json_t **status)
{
	char *words = NULL;
	size_t len = 0;
	struct report aside = { open_memstream(&words, &len), XSPROXYD };
	int r = aside.out ? check_all(check, options, status, &aside) : -ENOMEM;

	if (!aside.out || fclose(aside.out) || !words || r == -ENOMEM)
		check->failed = true;
	else if (r)
		add(check, XSPROXYD, -1, "%.*s", (int)strcspn(words + strlen(XSPROXYD ": "), "\n"),
		    words + strlen(XSPROXYD ": "));
	free(words);
}

/* --- what is printed */

static void print_ok(const json_t *status)
{
	int64_t domains = print_number(status, "domains"),
		clients = print_number(status, "clients");

	if (json_is_object(json_object_get(status, "exchange"))) {
		puts("ok: xenstored is just being replaced");
		return;
	}
	printf("ok: xsproxyd has %s, %" PRId64 " domain%s, %" PRId64 " toolstack%s\n",
	       print_text(json_object_get(status, "xenstored"), "name"), domains,
	       domains == 1 ? "" : "s", clients, clients == 1 ? "" : "s");
}

static void print_problem(const json_t *problem)
{
	const json_t *domid = json_object_get(problem, "domid");

	fputs(print_text(problem, "what"), stdout);
	if (domid)
		printf(" %" PRId64, (int64_t)json_integer_value(domid));
	printf(": %s\n", print_text(problem, "text"));
}

static int print_check(const struct check *check, const struct options *options,
		       const json_t *status)
{
	bool ok = !json_array_size(check->problems);
	const json_t *problem;
	json_t *object;
	size_t i;
	int r = 0;

	if (options->json) {
		object = json_pack("{s:b,s:O}", "ok", ok, "problems", check->problems);
		r = print_json(object);
		json_decref(object);
	} else if (ok) {
		print_ok(status);
	} else {
		json_array_foreach(check->problems, i, problem) print_problem(problem);
	}
	return r;
}

int command_check(const struct options *options, const struct report *report)
{
	struct check check = { .problems = json_array() };
	json_t *status = NULL;
	int r;

	check_reachable(&check, options, &status);
	r = check.failed ? -ENOMEM : print_check(&check, options, status);
	r = print_end(r, report);
	if (!r && json_array_size(check.problems))
		r = -EREMOTEIO;
	json_decref(check.problems);
	json_decref(status);
	return r;
}
