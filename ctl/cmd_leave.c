// SPDX-License-Identifier: MIT
/*
 * cmd_leave - the command by which xsproxyd leaves a host that runs: xenstored serves without it
 * from then on.
 */
#include "ctl/command.h"
#include "ctl/control.h"
#include "ctl/dump.h"
#include "ctl/native.h"
#include "ctl/print.h"
#include "ctl/replace.h"
#include "ctl/services.h"
#include "ctl/site.h"
#include "ctl/successor.h"
#include "link/link.h"
#include "link/start.h"
#include "protocol/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/stat.h>

#define FIND_MS 2000
#define LOOK_MS 50

struct leave {
	struct site site;
	const struct report *report;
};

/* --- once xenstored serves natively */

/* It may be that its pid file is just being written. Return: whether it does. */
static bool finds_native(struct native *native)
{
	uint64_t deadline = clock_monotonic() + (uint64_t)FIND_MS * CLOCK_NS_OF_MS;

	while (native_find(native) != NATIVE_RUNS && clock_monotonic() < deadline)
		poll(NULL, 0, LOOK_MS);
	return native_find(native) == NATIVE_RUNS;
}

/* Nobody waits for xsproxyd any more, nor is the next xenstored started behind it. */
static int make_marks(const struct leave *leave)
{
	static const char *const names[] = { LINK_SERVED, LINK_SOCKET, LINK_UPSTREAM, LINK_NATIVE };
	int r = site_make(&leave->site, LINK_LEFT);

	if (r)
		return report_fail(leave->report, r, "cannot make %s/%s: %s",
				   leave->site.config.run_dir, LINK_LEFT, report_local_reason(r));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		site_drop(&leave->site, names[i]);
	return 0;
}

static int finish(const struct leave *leave)
{
	const struct services services = { .run_dir = leave->site.config.run_dir,
					   .report = leave->report };
	struct native native;
	int r;

	if (!finds_native(&native))
		return report_fail(leave->report, -EAGAIN,
				   "%s names no xenstored without the bridge, so xsproxyd is left "
				   "running; try again",
				   native_pid_file());
	r = make_marks(leave);
	if (r)
		return r;
	if (services_there())
		return services_end(&services);
	report_warn(leave->report, "there is no systemd: end xsproxyd, and then xsproxy-keeper");
	return 0;
}

/* Also where a leave before this one was ended before it was done. */
static int is_left(const struct leave *leave, const struct native *native)
{
	bool dry_run = leave->site.options.dry_run;
	struct stat st;
	int r;

	printf("%s (pid %" PRId64 ") is not behind xsproxyd\n", program_name(native->program.kind),
	       native->pid);
	r = print_end(0, leave->report);
	if (r || dry_run || stat(leave->site.config.run_dir, &st))
		return r;
	r = site_lock(&leave->site, leave->report);
	return r ? r : finish(leave);
}

/* --- */

static enum replace_verdict on_verdict(void *arg)
{
	struct native native;

	(void)arg;
	return native_find(&native) == NATIVE_RUNS ? REPLACE_DONE : REPLACE_UNKNOWN;
}

static int on_stage(void *arg, int control, const char *stage)
{
	const struct leave *leave = arg;
	struct dump dump = { .options = &leave->site.options, .report = leave->report };

	return dump_at_stage(&dump, control, stage);
}

static int on_done(void *arg, int64_t pause_ms)
{
	const struct leave *leave = arg;
	struct native native;

	if (finds_native(&native))
		printf("%s (pid %" PRId64 ") serves", program_name(native.program.kind),
		       native.pid);
	else
		printf("xenstored serves");
	printf(" without xsproxy");
	if (pause_ms >= 0)
		printf("; nobody was served for %" PRId64 " ms", pause_ms);
	putchar('\n');
	return print_end(0, leave->report);
}

static int exchange(struct leave *leave, const struct successor *successor)
{
	const struct replace_request request = {
		.command = "leave",
		.arguments =
			json_pack("{s:s,s:b,s:b,s:b,s:b}", "with", successor->next.path, "force",
				  successor->options->force, "whole",
				  successor->next.kind == PROGRAM_OX, "reads", 1, "progress", 1),
		.stage = on_stage,
		.verdict = on_verdict,
		.done = on_done,
		.arg = leave,
	};

	return replace_run(successor->options, &request, leave->report);
}

/* Whether anything is in the way that is not of an exchange of two with the bridge. */
static int check(const struct leave *leave, const struct successor *successor)
{
	json_t *nothing = NULL,
	       *arguments = json_pack("{s:s,s:b,s:b}", "with", successor->next.path, "reads", 1,
				      "check", 1);
	int r = control_ask(&leave->site.options, "leave", arguments, &nothing, leave->report);

	json_decref(nothing);
	return r;
}

static int leave_behind(struct leave *leave, struct successor *successor)
{
	bool go = false;
	int r = successor_ask(successor);

	if (!r)
		r = check(leave, successor);
	if (!r)
		r = successor_agree(successor, "leaves", &go);
	if (!r && go)
		r = site_lock(&leave->site, leave->report);
	if (!r && go)
		r = exchange(leave, successor);
	return r || !go ? r : finish(leave);
}

static int run(struct leave *leave, struct successor *successor)
{
	struct native native;

	switch (native_find(&native)) {
	case NATIVE_NONE:
		return report_fail(leave->report, -ESRCH, "no xenstored runs; %s would name it",
				   native_pid_file());
	case NATIVE_CHANGES:
		return report_fail(leave->report, -EBUSY,
				   "process %" PRId64 " is just becoming a xenstored; see "
				   "xsproxyctl status",
				   native.pid);
	case NATIVE_RUNS:
		return is_left(leave, &native);
	default:
		return leave_behind(leave, successor);
	}
}

int command_leave(const struct options *options, const struct report *report)
{
	struct leave leave = { .report = report };
	struct successor successor = { .options = &leave.site.options,
				       .report = report,
				       .domains = json_array() };
	int r = site_read(&leave.site, options, report);

	if (!r)
		r = run(&leave, &successor);
	json_decref(successor.domains);
	return r;
}
