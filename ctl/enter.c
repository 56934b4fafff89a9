// SPDX-License-Identifier: MIT
/*
 * enter - see enter.h.
 */
#include "ctl/enter.h"

#include "ctl/control.h"
#include "ctl/replace.h"
#include "ctl/services.h"
#include "ctl/urge.h"
#include "link/start.h"
#include "migration/interrupt.h"
#include "migration/wire.h"
#include "protocol/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

/* As proxy/exchange/entry.h has it */
#define EXPECTS	  "waiting for the native xenstored's state"

#define START_MS  10000ull /* xsproxyd, until it answers */
#define RETURN_MS 10000ull /* our program, until it has become the daemon again */
#define LOOK_MS	  50

struct enter {
	const struct site *site;
	const struct report *report;
	struct native native;
	const struct program *next;
	unsigned int watches;
	struct interrupt interrupt;
	struct services services;
	bool served_by_units; /* systemd has started them */
	bool had_left;	      /* the mark: a xenstored is the unit's, without the bridge */
	struct wire *wire;    /* to the daemon */
};

/* --- what stands below the run directory */

static int make_marks(struct enter *enter)
{
	const struct site *site = enter->site;
	int r;

	enter->had_left = site_drop(site, LINK_LEFT);
	/* Whom that one has served is served by this daemon now. */
	site_drop(site, LINK_SERVED);
	r = site_link(site, LINK_NATIVE, enter->native.program.path);
	return r ? report_fail(enter->report, r, "cannot make %s/" LINK_NATIVE ": %s",
			       site->config.run_dir, report_local_reason(r))
		 : 0;
}

static void undo_marks(const struct enter *enter)
{
	site_drop(enter->site, LINK_NATIVE);
	if (enter->had_left)
		site_make(enter->site, LINK_LEFT);
}

/* --- before */

static int wait_for_xsproxyd(const struct enter *enter)
{
	const struct options *options = &enter->site->options;
	uint64_t deadline = clock_monotonic() + START_MS * CLOCK_NS_OF_MS;

	for (;;) {
		json_t *status = control_ask_quietly(options, "status", json_object());

		json_decref(status);
		if (status)
			return 0;
		if (!enter->served_by_units || clock_monotonic() > deadline)
			break;
		if (interrupt_poll(&enter->interrupt, NULL, 0, LOOK_MS) == -EINTR)
			return report_fail(enter->report, -EINTR,
					   "interrupted; all goes on as before");
	}
	return report_fail(enter->report, -ENOTCONN, "no xsproxyd answers on %s%s",
			   options->control,
			   enter->served_by_units ? "; see systemctl status xsproxy"
						  : ", and there is no systemd that starts it");
}

static int begin(struct enter *enter)
{
	int r = make_marks(enter);

	if (!r && services_there()) {
		r = services_begin(&enter->services);
		enter->served_by_units = !r;
	}
	return r ? r : wait_for_xsproxyd(enter);
}

/* --- meanwhile */

static int ask_native(struct enter *enter, int control)
{
	const struct options *options = &enter->site->options;
	const struct urge_request request = {
		.kind = enter->native.program.kind,
		.program = enter->site->config.live_update,
		.timeout_s = options->timeout_s,
		.force = options->force,
		.control = control,
		.interrupt = &enter->interrupt,
		.report = enter->report,
	};
	int r = enter->wire ? 0 : wire_open(&enter->wire, options->socket);

	return r ? report_no_connection(enter->report, r, options->socket)
		 : urge_run(&request, enter->wire);
}

static int on_stage(void *arg, int control, const char *stage)
{
	return strcmp(stage, EXPECTS) ? 0 : ask_native(arg, control);
}

static enum replace_verdict on_verdict(void *arg)
{
	struct enter *enter = arg;

	return native_look(&enter->native) == NATIVE_RUNS ? REPLACE_NOTHING : REPLACE_UNKNOWN;
}

static json_t *make_arguments(const struct enter *enter)
{
	json_t *arguments = json_pack("{s:s,s:s,s:b}", "native", enter->native.program.path, "with",
				      enter->next->path, "progress", 1);

	if (enter->watches)
		json_object_set_new(arguments, "watches", json_integer(enter->watches));
	return arguments;
}

static int exchange(struct enter *enter)
{
	const struct replace_request request = {
		.command = "enter",
		.arguments = make_arguments(enter),
		.interrupt = &enter->interrupt,
		.stage = on_stage,
		.verdict = on_verdict,
		.arg = enter,
	};

	return replace_run(&enter->site->options, &request, enter->report);
}

/* --- after */

/* Whether it serves as before, and nothing that was asked can change that any more. */
static bool is_native_again(struct enter *enter)
{
	enum program_kind kind = enter->native.program.kind;
	uint64_t deadline = clock_monotonic() + RETURN_MS * CLOCK_NS_OF_MS;
	enum native_state state;
	int r;

	while ((state = native_look(&enter->native)) == NATIVE_CHANGES &&
	       clock_monotonic() < deadline)
		poll(NULL, 0, LOOK_MS);
	if (state != NATIVE_RUNS || !enter->wire)
		return state == NATIVE_RUNS;
	r = urge_revoke(kind, enter->wire, enter->site->options.socket);
	enter->wire = NULL;
	return !r && native_look(&enter->native) == NATIVE_RUNS;
}

static void undo(struct enter *enter)
{
	if (!is_native_again(enter)) {
		report_fail(enter->report, 0,
			    "process %" PRId64 " is not the xenstored that it was, or does not "
			    "answer; so xsproxyd goes on; see xsproxyctl status",
			    enter->native.pid);
		return;
	}
	if (enter->served_by_units)
		services_undo(&enter->services);
	undo_marks(enter);
}

int enter_run(const struct site *site, const struct native *native, const struct program *next,
	      unsigned int watches, const struct report *report)
{
	struct enter enter = { .site = site,
			       .report = report,
			       .native = *native,
			       .next = next,
			       .watches = watches,
			       .services = { .run_dir = site->config.run_dir, .report = report } };
	int r = site_lock(site, report);

	if (r)
		return r;
	r = interrupt_catch(&enter.interrupt);
	if (r)
		return report_fail(report, r, "%s", report_reason(r));
	r = begin(&enter);
	if (!r)
		r = exchange(&enter);
	/* Otherwise the one that serves is behind xsproxyd, or none is. */
	if (r < 0)
		undo(&enter);
	else
		site_drop(site, LINK_NATIVE);
	wire_free(enter.wire);
	return r;
}
