// SPDX-License-Identifier: MIT
/*
 * replace - see replace.h.
 */
#include "ctl/replace.h"

#include "ctl/control.h"
#include "ctl/print.h"
#include "protocol/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXIT_RESTORED 3
#define EXIT_LOST     4

#define ALL_AS_BEFORE "; all goes on as before"

#define POLL_MS	      50
#define PATIENCE_MS   60000u /* without an xsproxyd, or one that has found what was left to it */

struct replace {
	const struct options *options;
	const struct report *report;
	const struct replace_request *request;
	char stage[128]; /* said last */
	uint64_t since;	 /* ns of CLOCK_MONOTONIC */
};

void replace_say(const struct options *options, const struct report *report, const char *text)
{
	if (options->verbose || isatty(STDERR_FILENO))
		report_fail(report, 0, "%s", text);
}

static void say(struct replace *replace, const char *stage)
{
	if (!strcmp(replace->stage, stage))
		return;
	snprintf(replace->stage, sizeof(replace->stage), "%s", stage);
	replace_say(replace->options, replace->report, stage);
}

/* --- how it ended */

static int finish_well(const struct replace *replace, json_int_t pause_ms)
{
	const struct replace_request *request = replace->request;
	json_t *status = NULL;
	const json_t *xenstored;
	int r;

	if (request->done)
		return request->done(request->arg, pause_ms);
	r = control_ask(replace->options, "status", json_object(), &status, replace->report);

	if (r)
		return r;
	xenstored = json_object_get(status, "xenstored");
	printf("%s (pid %" PRId64 ") serves; nobody was served for %" PRId64 " ms\n",
	       print_text(xenstored, "name"), print_number(xenstored, "pid"), (int64_t)pause_ms);
	json_decref(status);
	return print_end(0, replace->report);
}

/* @outcome: as `status` has it, or the class of an error; @more: what follows the reason */
static int finish_badly(const struct replace *replace, const char *outcome, const char *why,
			const char *more)
{
	int r = -EREMOTEIO;

	if (!strcasecmp(outcome, "restored"))
		r = EXIT_RESTORED;
	else if (!strcasecmp(outcome, "lost"))
		r = EXIT_LOST;
	return report_fail(replace->report, r, "%s%s", why, more);
}

/* --- an xsproxyd that follows */

static enum replace_verdict ask_others(const struct replace *replace)
{
	const struct replace_request *request = replace->request;

	return request->verdict ? request->verdict(request->arg) : REPLACE_UNKNOWN;
}

/* xsproxyd knows of none. Return: -EAGAIN if it may yet; else as replace_run(). */
static int look_elsewhere(const struct replace *replace, const char *state)
{
	switch (ask_others(replace)) {
	case REPLACE_NOTHING:
		return finish_badly(replace, "unchanged", "xsproxyd was restarted meanwhile",
				    ALL_AS_BEFORE);
	case REPLACE_DONE:
		return finish_well(replace, -1);
	default:
		break;
	}
	/* Until then it need not have found what was left to it. */
	if (strcmp(state, "running") != 0)
		return -EAGAIN;
	return report_fail(replace->report, -ENODATA,
			   "xsproxyd was restarted, and does not know what came of it; see its "
			   "log, and xsproxyctl status");
}

/* Return: -EAGAIN if that is not known yet, else as replace_run(). */
static int look(struct replace *replace, const json_t *status, bool *progress)
{
	const json_t *now = json_object_get(status, "exchange"),
		     *last = json_object_get(status, "last_exchange");
	const char *outcome = print_text(last, "outcome");

	*progress = json_is_object(now);
	if (*progress) {
		say(replace, print_text(now, "stage"));
		return -EAGAIN;
	}
	if (!json_is_object(last) || (uint64_t)print_number(last, "ended") < replace->since)
		return look_elsewhere(replace, print_text(status, "state"));
	if (!strcmp(outcome, "done"))
		return finish_well(replace, print_number(last, "pause_ms"));
	return finish_badly(replace, outcome, print_text(last, "why"),
			    !strcmp(outcome, "restored")    ? "; the one before was started again"
			    : !strcmp(outcome, "unchanged") ? ALL_AS_BEFORE
							    : "");
}

static int interrupted(const struct replace *replace)
{
	return report_fail(replace->report, -EINTR,
			   "interrupted; xsproxyctl status says how it gets on");
}

/* The connection has ended; the exchange goes on. */
static int follow(struct replace *replace)
{
	uint64_t deadline = clock_monotonic() + (uint64_t)PATIENCE_MS * CLOCK_NS_OF_MS;
	bool progress;

	say(replace, "xsproxyd has closed the connection; waiting for the next one");
	while (clock_monotonic() < deadline) {
		json_t *status = control_ask_quietly(replace->options, "status", json_object());
		int r = status ? look(replace, status, &progress) : -EAGAIN;

		json_decref(status);
		if (r != -EAGAIN)
			return r;
		if (status && progress)
			deadline = clock_monotonic() + (uint64_t)PATIENCE_MS * CLOCK_NS_OF_MS;
		if (interrupt_poll(replace->request->interrupt, NULL, 0, POLL_MS) == -EINTR)
			return interrupted(replace);
	}
	return report_fail(replace->report, -ETIMEDOUT,
			   "there is no xsproxyd that knows what came of it; see systemctl status "
			   "xsproxy, and xsproxyctl status");
}

/* --- */

/*
 * Return: as control_receive(); -EINTR; or what a stage came to, with @failed. Notes are dealt
 * with.
 */
static int wait_for_answer(struct replace *replace, struct control *control, json_t **answer,
			   bool *failed)
{
	const struct replace_request *request = replace->request;
	struct pollfd look = { .fd = control_fd(control), .events = POLLIN };

	for (;;) {
		const char *stage;
		int r = interrupt_poll(request->interrupt, &look, 1, -1);

		if (r > 0)
			r = control_receive(control, answer);
		if (r || !json_object_get(*answer, "stage"))
			return r;
		stage = print_text(*answer, "stage");
		say(replace, stage);
		r = request->stage ? request->stage(request->arg, look.fd, stage) : 0;
		json_decref(*answer);
		*answer = NULL;
		*failed = r;
		if (r)
			return r;
	}
}

static int run(struct replace *replace, struct control *control)
{
	const struct replace_request *request = replace->request;
	json_t *answer = NULL;
	const json_t *error, *value;
	bool failed = false;
	int r = control_start(control, request->command, json_incref(request->arguments),
			      replace->report);

	if (r)
		return r;
	r = wait_for_answer(replace, control, &answer, &failed);
	if (failed)
		return r;
	if (r == -EINTR)
		return interrupted(replace);
	if (r == -ENOMEM)
		return report_fail(replace->report, r, "%s", report_reason(r));
	if (r)
		return follow(replace);
	error = json_object_get(answer, "error");
	value = json_object_get(answer, "return");
	r = value ? finish_well(replace, print_number(value, "pause_ms"))
		  : finish_badly(replace, print_text(error, "class"), print_text(error, "desc"),
				 "");
	json_decref(answer);
	return r;
}

int replace_run(const struct options *options, const struct replace_request *request,
		const struct report *report)
{
	struct replace replace = {
		.options = options, .report = report, .request = request, .since = clock_monotonic()
	};
	struct control *control = NULL;
	int r = control_open(&control, options, report);

	if (!r)
		r = run(&replace, control);
	control_free(control);
	json_decref(request->arguments);
	return r;
}
