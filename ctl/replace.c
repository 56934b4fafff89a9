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
#include <stdlib.h>
#include <string.h>

#define EXIT_RESTORED  3
#define EXIT_LOST      4

#define POLL_MS	       50
#define ANSWER_SECONDS 5
#define PATIENCE_MS    60000u /* without an xsproxyd, or one that has found what was left to it */

struct replace {
	const struct options *options;
	const struct report *report;
	bool verbose;
	char stage[128]; /* said last */
	uint64_t since;	 /* ns of CLOCK_MONOTONIC */
};

static void say(struct replace *replace, const char *stage)
{
	if (!replace->verbose || !strcmp(replace->stage, stage))
		return;
	snprintf(replace->stage, sizeof(replace->stage), "%s", stage);
	report_fail(replace->report, 0, "%s", stage);
}

/* --- how it ended */

static int finish_well(const struct replace *replace, json_int_t pause_ms)
{
	json_t *status = NULL;
	const json_t *xenstored;
	int r = control_ask(replace->options, "status", json_object(), &status, replace->report);

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

/* Without a word to anybody. Return: what it says, or NULL. */
static json_t *ask_quietly(const struct options *options)
{
	struct report nobody = { fopen("/dev/null", "we"), "" };
	struct control *control = NULL;
	json_t *status = NULL;

	if (!nobody.out)
		return NULL;
	if (!control_open_within(&control, options, ANSWER_SECONDS, &nobody) &&
	    control_run(control, "status", json_object(), &status, &nobody))
		status = NULL;
	control_free(control);
	fclose(nobody.out);
	return status;
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
	/* Until then it need not have found what was left to it. */
	if (strcmp(print_text(status, "state"), "running") != 0)
		return -EAGAIN;
	if (!json_is_object(last) || (uint64_t)print_number(last, "ended") < replace->since)
		return report_fail(replace->report, -ENODATA,
				   "xsproxyd was restarted, and does not know what came of it; see "
				   "its log, and xsproxyctl status");
	if (!strcmp(outcome, "done"))
		return finish_well(replace, print_number(last, "pause_ms"));
	return finish_badly(replace, outcome, print_text(last, "why"),
			    !strcmp(outcome, "restored")    ? "; the one before was started again"
			    : !strcmp(outcome, "unchanged") ? "; all goes on as before"
							    : "");
}

/* The connection has ended; the exchange goes on. */
static int follow(struct replace *replace)
{
	uint64_t deadline = clock_monotonic() + (uint64_t)PATIENCE_MS * CLOCK_NS_OF_MS;
	bool progress;

	say(replace, "xsproxyd has closed the connection; waiting for the next one");
	while (clock_monotonic() < deadline) {
		json_t *status = ask_quietly(replace->options);
		int r = status ? look(replace, status, &progress) : -EAGAIN;

		json_decref(status);
		if (r != -EAGAIN)
			return r;
		if (status && progress)
			deadline = clock_monotonic() + (uint64_t)PATIENCE_MS * CLOCK_NS_OF_MS;
		poll(NULL, 0, POLL_MS);
	}
	return report_fail(replace->report, -ETIMEDOUT,
			   "there is no xsproxyd that knows what came of it; see systemctl status "
			   "xsproxy, and xsproxyctl status");
}

/* --- */

/* Return: as control_receive(); notes are dealt with. */
static int wait_for_answer(struct replace *replace, struct control *control, json_t **answer)
{
	int r;

	for (;;) {
		r = control_receive(control, answer);
		if (r || !json_object_get(*answer, "stage"))
			return r;
		say(replace, print_text(*answer, "stage"));
		json_decref(*answer);
	}
}

static int run(struct replace *replace, struct control *control, const char *with)
{
	json_t *arguments = json_pack("{s:s,s:b}", "with", with, "progress", 1), *answer = NULL;
	const json_t *error, *value;
	int r = control_start(control, "replace", arguments, replace->report);

	if (r)
		return r;
	r = wait_for_answer(replace, control, &answer);
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

int replace_run(const struct options *options, const char *with, bool verbose,
		const struct report *report)
{
	struct replace replace = {
		.options = options, .report = report, .verbose = verbose, .since = clock_monotonic()
	};
	struct control *control = NULL;
	int r = control_open(&control, options, report);

	if (!r)
		r = run(&replace, control, with);
	control_free(control);
	return r;
}
