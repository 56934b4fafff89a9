/* SPDX-License-Identifier: MIT */
/*
 * command - what a command of xsproxyctl is, and all there are.
 *
 * A file of ctl/ holds related commands; main.c has the table that finds them by name. Used by
 * ctl/main and by the files of commands.
 */
#ifndef XSPROXY_CTL_COMMAND_H
#define XSPROXY_CTL_COMMAND_H

#include "ctl/options.h"
#include "migration/report.h"

/*
 * Carry the command out.
 *
 * @options: as parsed, without options.help
 * @report: told about failures, a line each; its name is that of the command
 *
 * Return: 0; a negative errno, which has been reported: exit status 1; or another exit status.
 */
typedef int (*command_fn)(const struct options *options, const struct report *report);

struct command {
	const char *name;
	command_fn run;
	enum option_argument argument;
	unsigned int accepts; /* bits of options */
	const char *usage;    /* what follows the name */
	const char *summary;  /* one line */
	const char *help;     /* paragraphs */
};

/* --- cmd_stream.c */

int command_export(const struct options *options, const struct report *report);
int command_import(const struct options *options, const struct report *report);
int command_show(const struct options *options, const struct report *report);
int command_convert(const struct options *options, const struct report *report);
int command_splice(const struct options *options, const struct report *report);
int command_split(const struct options *options, const struct report *report);

/* --- cmd_domain.c */

int command_quiesce(const struct options *options, const struct report *report);
int command_unquiesce(const struct options *options, const struct report *report);
int command_hold(const struct options *options, const struct report *report);
int command_watches(const struct options *options, const struct report *report);
int command_transactions(const struct options *options, const struct report *report);

/* --- cmd_control.c */

int command_status(const struct options *options, const struct report *report);
int command_domains(const struct options *options, const struct report *report);
int command_domain(const struct options *options, const struct report *report);
int command_log_level(const struct options *options, const struct report *report);
int command_reload(const struct options *options, const struct report *report);

/* --- cmd_why.c */

int command_why(const struct options *options, const struct report *report);

/* --- cmd_quota.c */

int command_quota(const struct options *options, const struct report *report);

/* --- cmd_clients.c */

int command_clients(const struct options *options, const struct report *report);

/* --- cmd_xenstored.c */

int command_xenstored(const struct options *options, const struct report *report);

/* --- cmd_enter.c, cmd_leave.c */

int command_enter(const struct options *options, const struct report *report);
int command_leave(const struct options *options, const struct report *report);

/* --- cmd_check.c */

int command_check(const struct options *options, const struct report *report);

/* --- cmd_mirror.c */

int command_mirror(const struct options *options, const struct report *report);

/* --- cmd_stats.c, cmd_top.c */

int command_stats(const struct options *options, const struct report *report);
int command_metrics(const struct options *options, const struct report *report);
int command_top(const struct options *options, const struct report *report);

/* --- cmd_trace.c */

int command_trace(const struct options *options, const struct report *report);
int command_flight(const struct options *options, const struct report *report);

/* --- cmd_capture.c */

int command_capture(const struct options *options, const struct report *report);

/* --- cmd_replay.c */

int command_replay(const struct options *options, const struct report *report);

/* --- cmd_control.c: what hold --new and quiesce --lease come to */

int command_hold_new(const struct options *options, const struct report *report);
int command_quiesce_lease(const struct options *options, const struct report *report);

#endif
