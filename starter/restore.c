// SPDX-License-Identifier: MIT
/*
 * restore - see restore.h.
 */
#include "starter/restore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "migration/ox_quotas.h"
#include "starter/arguments.h"
#include "starter/daemon.h"
#include "starter/exchange_plan.h"
#include "starter/left.h"
#include "starter/living.h"
#include "starter/remake.h"
#include "starter/say.h"

#define LOSSES_SAID 5 /* lines */

/* What has to go again if it fails. */
struct attempt {
	const struct restore *restore;
	struct reason *reason;
	struct exchange_plan *plan;
	struct daemon_program program;
	struct arguments arguments;
	struct left_gift *gift;
	int listener;
	/* what is lost, in lines */
	struct report report;
	char *lines;
	size_t lines_len;
	struct omissions *omissions;
};

/* --- what is lost */

static int open_losses(struct attempt *attempt)
{
	int r;

	attempt->report.who = "the exchange of xenstored";
	attempt->report.out = open_memstream(&attempt->lines, &attempt->lines_len);
	r = attempt->report.out ? omissions_new(&attempt->omissions, &attempt->report, NULL)
				: -ENOMEM;
	return r ? reason_set(attempt->reason, r, "%s", strerror(-r)) : 0;
}

static void say_losses(const struct attempt *attempt)
{
	uint64_t all = 0;
	char *rest = NULL, *line;
	int said = 0;

	for (int kind = OMISSION_LEFT_OUT; kind <= OMISSION_REWRITTEN; kind++)
		all += omissions_count(attempt->omissions, (enum omission_kind)kind);
	if (!all || fflush(attempt->report.out))
		return;
	for (line = strtok_r(attempt->lines, "\n", &rest); line && said < LOSSES_SAID;
	     line = strtok_r(NULL, "\n", &rest), said++)
		starter_say("%s", line);
	if (all > LOSSES_SAID)
		starter_say("%s: and %" PRIu64 " more", attempt->report.who, all - LOSSES_SAID);
}

static void say_left_out(const struct attempt *attempt)
{
	for (int i = 0; i < attempt->arguments.nr_left_out; i++)
		starter_say("%s: %s is not an argument for %s: left out", attempt->report.who,
			    attempt->arguments.left_out[i], attempt->program.path);
}

/* --- step by step */

static int look(struct attempt *attempt)
{
	const struct restore *restore = attempt->restore;
	char *path;
	int r = exchange_plan_read(&attempt->plan, restore->plan, attempt->reason);

	if (r)
		return r;
	path = attempt->plan->daemon ? attempt->plan->daemon : restore->daemon;
	if (!path)
		return reason_set(attempt->reason, -EINVAL,
				  "neither the plan nor the command line names a daemon");
	r = daemon_look(&attempt->program, path, attempt->reason);
	if (r)
		return r;
	r = arguments_make(&attempt->arguments, attempt->program.path, restore->words,
			   restore->flavour, attempt->program.flavour);
	return r ? reason_set(attempt->reason, r, "%s", strerror(-r)) : 0;
}

static int make_state(struct attempt *attempt)
{
	struct remake_options options = { .to = attempt->program.flavour,
					  .takes_c2 = attempt->program.takes_c2,
					  .listener = attempt->listener,
					  .evtchn = STATE_NO_FD,
					  .plan = attempt->plan,
					  .living = living_has,
					  .quotas = OX_QUOTAS_FILE };
	int r;

	options.opaque = living_new();
	if (!options.opaque)
		return reason_set(attempt->reason, -ENOMEM, "%s", strerror(ENOMEM));
	r = remake_state(attempt->restore->state, left_gift_file(attempt->gift), &options,
			 attempt->omissions, attempt->reason);
	living_free(options.opaque);
	return r;
}

static int prepare(struct attempt *attempt)
{
	int r = look(attempt);

	if (!r)
		r = open_losses(attempt);
	if (r)
		return r;
	attempt->listener = daemon_listen(attempt->restore->dir, attempt->reason);
	if (attempt->listener < 0)
		return attempt->listener;
	left_clear();
	r = left_gift_new(&attempt->gift, attempt->program.flavour, attempt->reason);
	if (!r)
		r = make_state(attempt);
	return r ? r : left_gift_put(attempt->gift, attempt->reason);
}

static void undo(struct attempt *attempt)
{
	left_gift_free(attempt->gift);
	if (attempt->listener >= 0)
		daemon_unlisten(attempt->restore->dir, attempt->listener);
	omissions_free(attempt->omissions);
	if (attempt->report.out)
		fclose(attempt->report.out);
	free(attempt->lines);
	arguments_clear(&attempt->arguments);
	exchange_plan_free(attempt->plan);
}

int restore_exec(const struct restore *restore, struct reason *reason)
{
	struct attempt attempt = { .restore = restore, .reason = reason, .listener = -1 };
	int r = prepare(&attempt);

	if (!r) {
		say_left_out(&attempt);
		say_losses(&attempt);
		r = daemon_exec_with(attempt.arguments.words, restore->dir, attempt.listener,
				     restore->rings);
		reason_set(reason, r, "cannot start %s: %s", attempt.program.path, strerror(-r));
	}
	undo(&attempt);
	return r;
}
