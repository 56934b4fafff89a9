// SPDX-License-Identifier: MIT
/*
 * restore - see restore.h.
 */
#include "starter/restore.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
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
#include "starter/virq.h"

#define LOSSES_SAID 5 /* lines */

/* What has to go again if it fails. */
struct attempt {
	const struct restore *restore;
	struct reason *reason;
	struct exchange_plan *plan;
	struct daemon_program program;
	char **more; /* what the plan adds to its arguments; NULL: nothing */
	struct arguments arguments;
	struct left_gift *gift;
	int listener;  /* of our making, or -1 */
	uint32_t virq; /* VIRQ_DOM_EXC in the event channels of START_LEAVE, or 0 */
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

static int read_plan(struct attempt *attempt)
{
	const struct leaving *leaving = attempt->restore->leaving;

	if (!leaving && !daemon_has_bridge())
		return reason_set(attempt->reason, -EINVAL,
				  "XSPROXY_PRELOAD names no bridge, and without one it would map "
				  "rings that are xsproxyd's; start it by the wrapper");
	if (!leaving)
		return exchange_plan_read(&attempt->plan, attempt->restore->plan, attempt->reason);
	if (leaving->nr != leaving->wanted || leaving->fds[LEAVING_LISTENER] < 0)
		return reason_set(attempt->reason, -EMFILE,
				  "not all descriptors came: raise the limit of xenstored's "
				  "(LimitNOFILE=), of which there are to be %zu more",
				  leaving->wanted);
	return exchange_plan_conns(&attempt->plan, leaving->conns, leaving->fds + LEAVING_SOCKETS,
				   leaving->nr - LEAVING_SOCKETS, attempt->reason);
}

/* The words of the plan, which are for the daemon that is to be. */
static int split_words(struct attempt *attempt)
{
	char *rest = NULL, *word = attempt->plan->arguments;
	size_t nr = 0;

	if (!word)
		return 0;
	attempt->more = calloc(strlen(word) / 2 + 2, sizeof(*attempt->more));
	if (!attempt->more)
		return -ENOMEM;
	for (word = strtok_r(word, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		attempt->more[nr++] = word;
	return 0;
}

static int look(struct attempt *attempt)
{
	const struct restore *restore = attempt->restore;
	char *path, beside[PATH_MAX];
	int r = read_plan(attempt);

	if (!attempt->plan)
		return r;
	path = attempt->plan->daemon ? attempt->plan->daemon : restore->daemon;
	if (path && *path != '/' && restore->daemon &&
	    !daemon_beside(beside, restore->daemon, attempt->plan->daemon))
		path = beside;
	if (!path)
		return reason_set(attempt->reason, -EINVAL,
				  "neither the plan nor the command line names a daemon");
	r = daemon_look(&attempt->program, path, attempt->reason);
	if (r)
		return r;
	r = split_words(attempt);
	if (!r)
		r = arguments_make(&attempt->arguments, attempt->program.path, restore->words,
				   restore->flavour, attempt->program.flavour, attempt->more);
	return r ? reason_set(attempt->reason, r, "%s", strerror(-r)) : 0;
}

static int make_state(struct attempt *attempt)
{
	struct remake_options options = { .to = attempt->program.flavour,
					  .takes_c2 = attempt->program.takes_c2,
					  .listener = attempt->listener,
					  .evtchn = STATE_NO_FD,
					  .virq = attempt->virq,
					  .plan = attempt->plan,
					  .living = living_has,
					  .quotas = OX_QUOTAS_FILE };
	const struct leaving *leaving = attempt->restore->leaving;
	int r;

	if (leaving) {
		options.listener = leaving->fds[LEAVING_LISTENER];
		options.evtchn = leaving->fds[LEAVING_EVTCHN];
	}
	options.opaque = living_new();
	if (!options.opaque)
		return reason_set(attempt->reason, -ENOMEM, "%s", strerror(ENOMEM));
	r = remake_state(attempt->restore->state, left_gift_file(attempt->gift), &options,
			 attempt->omissions, attempt->reason);
	living_free(options.opaque);
	return r;
}

/* What else the state has numbers of. */
static int make_descriptors(struct attempt *attempt)
{
	const struct leaving *leaving = attempt->restore->leaving;

	if (!leaving) {
		attempt->listener = daemon_listen(attempt->restore->dir, attempt->reason);
		return attempt->listener < 0 ? attempt->listener : 0;
	}
	if (attempt->program.flavour == RINGS_FLAVOUR_C)
		return 0;
	return virq_bind(leaving->fds[LEAVING_EVTCHN], &attempt->virq, attempt->reason);
}

static int prepare(struct attempt *attempt)
{
	int r = look(attempt);

	if (!r)
		r = open_losses(attempt);
	if (!r)
		r = make_descriptors(attempt);
	if (r)
		return r;
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
	if (attempt->virq)
		virq_unbind(attempt->restore->leaving->fds[LEAVING_EVTCHN], attempt->virq);
	omissions_free(attempt->omissions);
	if (attempt->report.out)
		fclose(attempt->report.out);
	free(attempt->lines);
	arguments_clear(&attempt->arguments);
	free(attempt->more);
	exchange_plan_free(attempt->plan);
}

static int become(struct attempt *attempt)
{
	const struct restore *restore = attempt->restore;
	const struct leaving *leaving = restore->leaving;
	char **argv = attempt->arguments.words;
	int r;

	say_left_out(attempt);
	say_losses(attempt);
	/* It looks at no ring before something happens, and what has happened xsproxyd has seen. */
	if (leaving && attempt->program.flavour == RINGS_FLAVOUR_OCAML)
		daemon_knock(leaving->fds[LEAVING_LISTENER]);
	r = leaving ? daemon_exec_native(argv, leaving->fds, leaving->nr)
		    : daemon_exec_with(argv, restore->dir, attempt->listener, restore->rings);
	return reason_set(attempt->reason, r, "cannot start %s: %s", attempt->program.path,
			  strerror(-r));
}

int restore_exec(const struct restore *restore, struct reason *reason)
{
	struct attempt attempt = { .restore = restore, .reason = reason, .listener = -1 };
	int r = prepare(&attempt);

	if (!r)
		r = become(&attempt);
	undo(&attempt);
	return r;
}
