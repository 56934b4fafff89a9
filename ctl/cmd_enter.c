// SPDX-License-Identifier: MIT
/*
 * cmd_enter - the command by which xsproxyd is put before a xenstored that runs without it.
 *
 * All that can be known is looked at before anything is touched.
 */
#include "config/room.h"
#include "ctl/command.h"
#include "ctl/enter.h"
#include "ctl/native.h"
#include "ctl/print.h"
#include "ctl/site.h"
#include "ctl/successor.h"
#include "migration/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#define ANSWER_MS    5000
#define TRANSACTIONS "transactions"

/* --- who has transactions open */

/* Of the C daemon's quotas; 0 where that cannot be found out. */
static unsigned long count_transactions(struct wire *wire, const char *domid)
{
	const struct iovec parts[] = { wire_string("quota"), wire_string(domid) };
	struct wire_reply reply;
	unsigned long nr = 0;
	const char *at;
	char *text;

	if (wire_call(wire, XS_CONTROL, 0, parts, 2, &reply))
		return 0;
	text = strndup(reply.data, reply.len);
	at = text ? strstr(text, TRANSACTIONS) : NULL;
	at = at ? strchr(at, ':') : NULL;
	if (at)
		nr = strtoul(at + 1, NULL, 10);
	free(text);
	return nr;
}

static void tell_transactions(struct wire *wire)
{
	const struct iovec path = wire_string("/local/domain");
	struct wire_reply reply;
	char *names;

	if (wire_call(wire, XS_DIRECTORY, 0, &path, 1, &reply) || !reply.len)
		return;
	names = malloc(reply.len + 1);
	if (!names)
		return;
	memcpy(names, reply.data, reply.len);
	names[reply.len] = '\0';
	for (size_t at = 0, len = reply.len; at < len; at += strlen(names + at) + 1) {
		unsigned long nr = count_transactions(wire, names + at);

		if (nr)
			printf("domain %s%s has %lu transaction%s open\n", names + at,
			       strcmp(names + at, "0") != 0 ? "" : " (or a toolstack)", nr,
			       nr == 1 ? "" : "s");
	}
	free(names);
}

/* --- what there is */

/* Return: 0; or a negative errno, which has been reported. @already: nothing is to be done */
static int find_native(struct native *native, bool *already, const struct report *report)
{
	*already = false;
	switch (native_find(native)) {
	case NATIVE_NONE:
		return report_fail(report, -ESRCH, "no xenstored runs; %s would name it",
				   native_pid_file());
	case NATIVE_CHANGES:
		return report_fail(report, -EBUSY,
				   "process %" PRId64 " is just becoming a xenstored; see "
				   "xsproxyctl status",
				   native->pid);
	case NATIVE_BRIDGED:
		if (!native_is_awake(native))
			return report_fail(
				report, -ENOTSUP,
				"%s (pid %" PRId64 ") has loaded xsproxy's bridge, which "
				"does not serve; its log says why; mend that, then reboot "
				"dom0",
				program_name(native->program.kind), native->pid);
		*already = true;
		printf("%s (pid %" PRId64 ") is behind xsproxyd already\n",
		       program_name(native->program.kind), native->pid);
		return print_end(0, report);
	default:
		break;
	}
	if (access(native->program.path, X_OK))
		return report_fail(report, -ENOENT,
				   "%s, which runs, is no program any more; reboot dom0 instead",
				   native->program.path);
	return 0;
}

static int check_host(const struct config *config, const struct native *native,
		      const struct report *report)
{
	const char *hinders = room_of(native->pid);

	if (hinders)
		return report_fail(report, -ENOSPC, "%s", hinders);
	if (access(config->live_update, X_OK))
		return report_fail(report, -errno,
				   "%s cannot be executed: %s; see [xenstored] live-update in "
				   "xsproxy.conf(5)",
				   config->live_update, report_local_reason(-errno));
	if (!native_has_dir(native, config->run_dir))
		return report_fail(
			report, -EINVAL,
			"xsproxyd's run-dir is %s, where a live update of process %" PRId64
			" would not look for it",
			config->run_dir, native->pid);
	return 0;
}

/* It may be there and serve another socket, or none. */
static int check_answers(const struct site *site, const struct native *native,
			 const struct report *report)
{
	const char *socket = site->options.socket;
	const struct iovec domid = wire_string("0");
	struct wire *wire = NULL;
	int r = wire_open(&wire, socket);

	if (!r) {
		wire_set_patience(wire, NULL, ANSWER_MS);
		r = wire_call(wire, XS_GET_DOMAIN_PATH, 0, &domid, 1, NULL);
	}
	if (!r && site->options.dry_run && native->program.kind == PROGRAM_C)
		tell_transactions(wire);
	wire_free(wire);
	return r ? report_fail(report, r, "%s (pid %" PRId64 ") does not answer on %s: %s",
			       program_name(native->program.kind), native->pid, socket,
			       report_reason(r))
		 : 0;
}

/* --- */

static int enter(const struct site *site, struct successor *successor)
{
	const struct report *report = successor->report;
	struct native native;
	bool already, go = false;
	int r = find_native(&native, &already, report);

	if (r || already)
		return r;
	successor->pid = native.pid;
	successor->running = native.program;
	r = program_find(&successor->next, site->options.with, &native.program, report);
	if (!r)
		r = check_host(&site->config, &native, report);
	if (!r)
		r = check_answers(site, &native, report);
	if (!r)
		r = successor_agree(successor, "enters", &go);
	return r || !go ? r
			: enter_run(site, &native, &successor->next, successor_watches(successor),
				    report);
}

int command_enter(const struct options *options, const struct report *report)
{
	struct site site;
	struct successor successor = { .options = &site.options,
				       .report = report,
				       .domains = json_array() };
	int r = site_read(&site, options, report);

	if (!r)
		r = successor_check_type(report);
	if (!r)
		r = enter(&site, &successor);
	json_decref(successor.domains);
	return r;
}
