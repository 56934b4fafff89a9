// SPDX-License-Identifier: MIT
/*
 * successor - see successor.h.
 */
#include "ctl/successor.h"

#include "ctl/control.h"
#include "ctl/domain_list.h"
#include "ctl/print.h"
#include "migration/omissions.h"
#include "migration/ox_quotas.h"
#include "migration/remote.h"
#include "migration/survey.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define LINES_MAX 10 /* of what would be lost */

/* --- which */

/* Where Xen's own start looks for its type. */
int successor_check_type(const struct report *report)
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

static int find_running(struct successor *successor, struct control *control)
{
	json_t *status = NULL;
	const json_t *xenstored;
	int r = control_run(control, "status", json_object(), &status, successor->report);

	if (r)
		return r;
	xenstored = json_object_get(status, "xenstored");
	successor->pid = print_number(xenstored, "pid");
	program_running(&successor->running, print_text(xenstored, "name"), successor->pid);
	json_decref(status);
	return 0;
}

/* Whether anything is in the way that xsproxyd knows of. */
static int check(struct successor *successor, struct control *control)
{
	json_t *nothing = NULL;
	int r = control_run(control, "replace", json_pack("{s:b,s:b}", "reads", 1, "check", 1),
			    &nothing, successor->report);

	json_decref(nothing);
	return r;
}

int successor_ask(struct successor *successor)
{
	const struct options *options = successor->options;
	const struct report *report = successor->report;
	struct control *control = NULL;
	int r = control_open(&control, options, report);

	if (!r)
		r = check(successor, control);
	if (!r)
		r = find_running(successor, control);
	if (!r)
		r = program_find(&successor->next, options->with, &successor->running, report);
	if (!r)
		r = domain_list(control, successor->domains, report);
	control_free(control);
	return r;
}

/*
 * In a state there are neither watches nor what is known of domains; a daemon of the same kind
 * takes whatever depth its watches had.
 */
static void choose_format(struct successor *successor)
{
	struct conversion_options *takes = &successor->takes;
	char file[PATH_MAX];
	bool was_ox = successor->running.kind == PROGRAM_OX;

	/* Nobody has them, and any guest can say them. */
	takes->pass_odd = true;
	if (successor->next.kind == PROGRAM_C) {
		takes->to = STATE_C_2;
		takes->max_path = was_ox ? CONVERSION_PATH : 0;
		return;
	}
	takes->to = was_ox ? STATE_OX_DEPTH : STATE_OX;
	if (!was_ox || !program_option(successor->pid, "--config-file", file))
		strcpy(file, OX_QUOTAS_FILE);
	ox_quotas_read(takes, file);
}

/* --- what would be lost */

static int survey_all(struct successor *successor, struct survey *survey)
{
	const json_t *domain;
	size_t i;
	int r = survey_nodes(survey);

	json_array_foreach(successor->domains, i, domain)
	{
		if (!r && json_is_true(json_object_get(domain, "introduced")))
			r = survey_watches(survey, (uint16_t)print_number(domain, "domid"));
	}
	return r;
}

static int survey_over(struct successor *successor, struct wire *wire, struct omissions *omissions)
{
	struct survey *survey = NULL;
	int r = survey_new(&survey, wire, successor->running.kind == PROGRAM_OX, &successor->takes,
			   omissions, successor->report);

	if (r)
		return report_fail(successor->report, r, "%s", report_reason(r));
	r = survey_all(successor, survey);
	survey_free(survey);
	for (int kind = OMISSION_LEFT_OUT; kind <= OMISSION_REWRITTEN; kind++)
		successor->losses += omissions_count(omissions, (enum omission_kind)kind);
	return r;
}

static int survey_with(struct successor *successor, struct omissions *omissions)
{
	const char *path = successor->options->socket, *list = successor->options->list;
	struct wire *wire = NULL;
	int r = wire_open(&wire, path);

	if (r)
		return report_no_connection(successor->report, r, path);
	wire_set_slow(wire, report_slow, successor->report);
	r = survey_over(successor, wire, omissions);
	wire_free(wire);
	if (!r && omissions_finish(omissions))
		r = report_fail(successor->report, -EIO, "cannot write %s", list ? list : "a list");
	return r;
}

static int find_losses(struct successor *successor)
{
	const struct options *options = successor->options;
	struct report lines = *successor->report;
	struct omissions *omissions = NULL;
	int r;

	/* They are what is asked for. */
	if (options->dry_run)
		lines = (struct report){ stdout, program_name(successor->next.kind) };
	r = omissions_new(&omissions, &lines, options->list);
	if (r)
		return report_fail(successor->report, r, "cannot write %s: %s",
				   options->list ? options->list : "a list",
				   report_local_reason(r));
	omissions_set_lines(omissions, LINES_MAX);
	r = survey_with(successor, omissions);
	omissions_free(omissions);
	return r;
}

/* --- */

static int print_losses(const struct successor *successor)
{
	int r;

	if (successor->losses)
		printf("%" PRIu64 " thing%s would be lost with %s\n", successor->losses,
		       successor->losses == 1 ? "" : "s", successor->next.path);
	else
		printf("nothing would be lost with %s\n", successor->next.path);
	r = print_end(0, successor->report);
	return r ? r : successor->losses ? 1 : 0;
}

int successor_agree(struct successor *successor, const char *does, bool *go)
{
	const struct options *options = successor->options;
	int r;

	*go = false;
	choose_format(successor);
	r = find_losses(successor);
	if (options->dry_run)
		return r ? r : print_losses(successor);
	if (!options->force && r)
		return r;
	if (!options->force && successor->losses)
		return report_fail(successor->report, -EOPNOTSUPP,
				   "%" PRIu64 " thing%s would be lost with %s; --force %s all the "
				   "same",
				   successor->losses, successor->losses == 1 ? "" : "s",
				   successor->next.path, does);
	*go = true;
	return 0;
}

unsigned int successor_watches(const struct successor *successor)
{
	unsigned int max = successor->takes.max_watches;

	if (successor->options->force || successor->next.kind != PROGRAM_OX ||
	    successor->running.kind == PROGRAM_OX || max == UINT_MAX)
		return 0;
	return max ? max : CONVERSION_OX_WATCHES;
}
