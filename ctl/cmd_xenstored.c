// SPDX-License-Identifier: MIT
/*
 * cmd_xenstored - the command about xenstored itself: another one takes its place.
 *
 * All that can be known is looked at before anything is touched: which daemon it is to be, and what
 * that one would not take.
 */
#include "ctl/command.h"
#include "ctl/control.h"
#include "ctl/domain_list.h"
#include "ctl/print.h"
#include "ctl/program.h"
#include "ctl/replace.h"
#include "migration/omissions.h"
#include "migration/ox_quotas.h"
#include "migration/remote.h"
#include "migration/survey.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define LINES_MAX 10 /* of what would be lost */

struct replacement {
	const struct options *options;
	const struct report *report;
	json_t *domains;
	int64_t pid;
	struct program running, next;
	struct conversion_options takes;
	uint64_t losses;
};

/* --- which */

/* Where Xen's own start looks for its type. */
static int check_type(const struct report *report)
{
	static const char *const files[] = { "/etc/default/xencommons",
					     "/etc/sysconfig/xencommons" };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (program_in_domain(files[i]))
			return report_fail(report, -EOPNOTSUPP,
					   "xenstored runs in a domain of its own (XENSTORETYPE in "
					   "%s), where it cannot be replaced",
					   files[i]);
	return 0;
}

static int find_running(struct replacement *replacement, struct control *control)
{
	json_t *status = NULL;
	const json_t *xenstored;
	int r = control_run(control, "status", json_object(), &status, replacement->report);

	if (r)
		return r;
	xenstored = json_object_get(status, "xenstored");
	replacement->pid = print_number(xenstored, "pid");
	program_running(&replacement->running, print_text(xenstored, "name"), replacement->pid);
	json_decref(status);
	return 0;
}

/* Whether anything is in the way that xsproxyd knows of. */
static int check(struct replacement *replacement, struct control *control)
{
	json_t *nothing = NULL;
	int r = control_run(control, "replace", json_pack("{s:b}", "check", 1), &nothing,
			    replacement->report);

	json_decref(nothing);
	return r;
}

static int ask_xsproxyd(struct replacement *replacement)
{
	const struct options *options = replacement->options;
	const struct report *report = replacement->report;
	struct control *control = NULL;
	int r = control_open(&control, options, report);

	if (!r)
		r = check(replacement, control);
	if (!r)
		r = find_running(replacement, control);
	if (!r)
		r = program_find(&replacement->next, options->with, &replacement->running, report);
	if (!r)
		r = domain_list(control, replacement->domains, report);
	control_free(control);
	return r;
}

/*
 * In a state there are neither watches nor what is known of domains; a daemon of the same kind
 * takes whatever depth its watches had.
 */
static void choose_format(struct replacement *replacement)
{
	struct conversion_options *takes = &replacement->takes;
	char file[PATH_MAX];
	bool was_ox = replacement->running.kind == PROGRAM_OX;

	if (replacement->next.kind == PROGRAM_C) {
		takes->to = STATE_C_2;
		takes->max_path = was_ox ? CONVERSION_PATH : 0;
		return;
	}
	takes->to = was_ox ? STATE_OX_DEPTH : STATE_OX;
	if (!was_ox || !program_option(replacement->pid, "--config-file", file))
		strcpy(file, OX_QUOTAS_FILE);
	ox_quotas_read(takes, file);
}

/* --- what would be lost */

static int survey_all(struct replacement *replacement, struct survey *survey)
{
	const json_t *domain;
	size_t i;
	int r = survey_nodes(survey);

	json_array_foreach(replacement->domains, i, domain)
	{
		if (!r && json_is_true(json_object_get(domain, "introduced")))
			r = survey_watches(survey, (uint16_t)print_number(domain, "domid"));
	}
	return r;
}

static int survey_over(struct replacement *replacement, struct wire *wire,
		       struct omissions *omissions)
{
	struct survey *survey = NULL;
	int r = survey_new(&survey, wire, replacement->running.kind == PROGRAM_OX,
			   &replacement->takes, omissions, replacement->report);

	if (r)
		return report_fail(replacement->report, r, "%s", report_reason(r));
	r = survey_all(replacement, survey);
	survey_free(survey);
	for (int kind = OMISSION_LEFT_OUT; kind <= OMISSION_REWRITTEN; kind++)
		replacement->losses += omissions_count(omissions, (enum omission_kind)kind);
	return r;
}

static int survey_with(struct replacement *replacement, struct omissions *omissions)
{
	const char *path = replacement->options->socket, *list = replacement->options->list;
	struct wire *wire = NULL;
	int r = wire_open(&wire, path);

	if (r)
		return report_no_connection(replacement->report, r, path);
	wire_set_slow(wire, report_slow, replacement->report);
	r = survey_over(replacement, wire, omissions);
	wire_free(wire);
	if (!r && omissions_finish(omissions))
		r = report_fail(replacement->report, -EIO, "cannot write %s",
				list ? list : "a list");
	return r;
}

static int find_losses(struct replacement *replacement)
{
	const struct options *options = replacement->options;
	struct report lines = *replacement->report;
	struct omissions *omissions = NULL;
	int r;

	/* They are what is asked for. */
	if (options->dry_run)
		lines = (struct report){ stdout, program_name(replacement->next.kind) };
	r = omissions_new(&omissions, &lines, options->list);
	if (r)
		return report_fail(replacement->report, r, "cannot write %s: %s",
				   options->list ? options->list : "a list",
				   report_local_reason(r));
	omissions_set_lines(omissions, LINES_MAX);
	r = survey_with(replacement, omissions);
	omissions_free(omissions);
	return r;
}

/* --- */

static int print_losses(const struct replacement *replacement)
{
	int r;

	if (replacement->losses)
		printf("%" PRIu64 " thing%s would be lost with %s\n", replacement->losses,
		       replacement->losses == 1 ? "" : "s", replacement->next.path);
	else
		printf("nothing would be lost with %s\n", replacement->next.path);
	r = print_end(0, replacement->report);
	return r ? r : replacement->losses ? 1 : 0;
}

static int replace(struct replacement *replacement)
{
	const struct options *options = replacement->options;
	const struct report *report = replacement->report;
	int r = check_type(report);

	if (!r)
		r = ask_xsproxyd(replacement);
	if (r)
		return r;
	choose_format(replacement);
	r = find_losses(replacement);
	if (options->dry_run)
		return r ? r : print_losses(replacement);
	if (!options->force && r)
		return r;
	if (!options->force && replacement->losses)
		return report_fail(report, -EOPNOTSUPP,
				   "%" PRIu64 " thing%s would be lost with %s; --force replaces "
				   "xenstored all the same",
				   replacement->losses, replacement->losses == 1 ? "" : "s",
				   replacement->next.path);
	return replace_run(options, replacement->next.path,
			   options->verbose || isatty(STDERR_FILENO), report);
}

int command_xenstored(const struct options *options, const struct report *report)
{
	struct replacement replacement = { .options = options,
					   .report = report,
					   .domains = json_array() };
	int r = replace(&replacement);

	json_decref(replacement.domains);
	return r;
}
