// SPDX-License-Identifier: MIT
/*
 * import - see import.h.
 */
#include "migration/import.h"

#include "migration/foreign.h"
#include "migration/graft.h"
#include "migration/interrupt.h"
#include "migration/journal.h"
#include "migration/plan.h"
#include "migration/remote.h"
#include "migration/tracked.h"
#include "migration/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/xs_wire.h>

#define PATIENCE_MS  60000 /* how long nothing may be heard of xsproxyd */
#define TAKE_BACK_MS 10000 /* likewise, and how long it may take to be there again */
#define VM_PATH_MAX  40	   /* octets of a domain's home and "/vm", NUL included */

struct importer {
	const struct import_options *options;
	const struct report *report;
	struct interrupt interrupt;
	struct omissions *omissions;
	struct intake *intake;
	struct journal *journal;
	struct journal_head head; /* of the journal */
	struct plan plan;
	struct wire *wire;
	uint16_t domid;
	bool changing; /* the journal is written */
};

#define fail(im, err, ...) report_fail((im)->report, err, __VA_ARGS__)

/* --- before anything is changed */

static int import_connect(struct importer *im)
{
	int r = wire_open(&im->wire, im->options->socket);

	if (r)
		return report_no_connection(im->report, r, im->options->socket);
	wire_set_patience(im->wire, &im->interrupt, PATIENCE_MS);
	wire_set_slow(im->wire, report_slow, im->report);
	wire_set_window(im->wire, IMPORT_WINDOW);
	return 0;
}

/* The domain must stand still. */
static int check_state(struct importer *im)
{
	enum remote_state state;
	int r = remote_get_state(im->wire, im->domid, &state);

	if (r)
		return fail(im, r, "cannot import into domain %u: %s", im->domid, remote_reason(r));
	if (state == REMOTE_RUNNING)
		return fail(im, -EBUSY,
			    "domain %u is running; hold it before its INTRODUCE (xsproxyctl hold "
			    "%u) and import then",
			    im->domid, im->domid);
	if (state == REMOTE_ENDED)
		return fail(im, -EIO,
			    "domain %u has broken the Xenstore protocol and is ignored; introduce "
			    "it anew",
			    im->domid);
	return 0;
}

/* What it has of its own could not be told from what the stream adds, when that is taken back. */
static int check_fresh(struct importer *im)
{
	struct remote_transactions transactions = { 0 };
	struct remote_watches watches = { 0 };
	bool fresh;
	int r = remote_get_watches(im->wire, im->domid, &watches);

	if (!r)
		r = remote_get_transactions(im->wire, im->domid, &transactions);
	fresh = !watches.nr && !transactions.nr;
	remote_watches_free(&watches);
	free(transactions.ids);
	if (r)
		return fail(im, r, "cannot import into domain %u: %s", im->domid, remote_reason(r));
	im->head.session = intake_count(im->intake, RECORD_WATCH) ||
			   intake_count(im->intake, RECORD_TRANSACTION);
	if (!fresh && im->head.session)
		return fail(im, -EEXIST,
			    "domain %u has watches or transactions already; RELEASE, hold and "
			    "INTRODUCE it before you import",
			    im->domid);
	return 0;
}

/* --- the journal */

static int fail_journal(struct importer *im, int err)
{
	return fail(im, err, "cannot keep a journal in %s (--journal): %s", im->options->dir,
		    report_local_reason(err));
}

static int import_lock(struct importer *im)
{
	int r = journal_open(&im->journal, im->options->dir, im->domid);

	if (r == -EBUSY)
		return fail(im, r, "domain %u is being imported already", im->domid);
	return r ? fail_journal(im, r) : 0;
}

/* Which domain it is that has this number now: <home>/vm, into @head. */
static int identify(struct importer *im, struct journal_head *head)
{
	char path[VM_PATH_MAX];
	struct wire_reply reply;
	struct iovec part;
	int r;

	snprintf(path, sizeof(path), "/local/domain/%u/vm", im->domid);
	part = wire_string(path);
	r = wire_call(im->wire, XS_READ, 0, &part, 1, &reply);
	if (r == -ENOENT)
		return 0;
	if (r)
		return fail(im, r, "cannot read %s: %s", path, report_reason(r));
	head->vm = malloc(reply.len + 1);
	if (!head->vm)
		return fail(im, -ENOMEM, "%s", report_reason(-ENOMEM));
	memcpy(head->vm, reply.data, reply.len);
	head->vm_len = reply.len;
	return 0;
}

static bool same_domain(const struct journal_head *a, const struct journal_head *b)
{
	if (!a->vm || !b->vm)
		return !a->vm && !b->vm;
	return a->vm_len == b->vm_len && !memcmp(a->vm, b->vm, a->vm_len);
}

/* On an open connection. */
static int revert(struct importer *im, const struct journal_head *head, struct plan *plan)
{
	int r = head->session ? remote_reset(im->wire, im->domid) : 0;
	int nodes;

	if (r)
		fail(im, r,
		     "cannot take back the watches and transactions of domain %u: %s; RELEASE and "
		     "INTRODUCE it before you try again",
		     im->domid, remote_reason(r));
	nodes = graft_revert(plan, im->wire, im->report);
	if (!r && !nodes)
		journal_done(im->journal);
	return r ? r : nodes;
}

/* @old: of the journal, whose import was killed */
static int recover(struct importer *im, const struct journal_head *old, struct plan *plan)
{
	struct journal_head now = { 0 };
	int r = identify(im, &now);

	if (!r && !same_domain(old, &now)) {
		report_warn(im->report, "%s is of another domain %u; it is dropped",
			    journal_path(im->journal), im->domid);
		journal_done(im->journal);
	} else if (!r) {
		r = revert(im, old, plan);
		if (!r)
			report_warn(im->report,
				    "what an import of domain %u that was killed had left is taken "
				    "back",
				    im->domid);
	}
	free(now.vm);
	return r;
}

/* What another import has left, that was killed. */
static int import_recover_other(struct importer *im)
{
	struct journal_head old = { 0 };
	struct plan plan = { 0 };
	int r = journal_read(im->journal, &old, &plan);

	if (r < 0)
		fail(im, r, "%s cannot be read: %s", journal_path(im->journal),
		     r == -EBADMSG ? "it is no journal of an import" : report_local_reason(r));
	else if (r > 0)
		r = recover(im, &old, &plan);
	free(old.vm);
	plan_clear(&plan);
	return r;
}

/* --- nodes, watches, transactions */

/* Nothing is asked for what the stream has not. */
static int import_spare(struct importer *im)
{
	bool fears = false;
	int r = confine_has_any(intake_confine(im->intake)) ? remote_fears_any(im->wire, &fears)
							    : 0;

	if (!r && fears)
		intake_drop_any(im->intake, im->omissions);
	return r;
}

static int import_plan(struct importer *im)
{
	int r = import_spare(im);

	if (!r)
		r = plan_make(&im->plan, im->intake, im->wire);
	if (r)
		return fail(im, r, "cannot see which nodes are here: %s", report_reason(r));
	if (im->options->drop_foreign)
		r = foreign_leave_out(&im->plan, im->wire, im->domid, intake_confine(im->intake),
				      im->omissions);
	if (r)
		return fail(im, r, "cannot see which domains are here: %s", report_reason(r));
	r = plan_decide(&im->plan, im->domid, intake_confine(im->intake), im->options->overwrite,
			im->omissions);
	if (r)
		return fail(im, r, "%s", report_reason(r));
	if (im->options->strict && omissions_count(im->omissions, OMISSION_LEFT_OUT))
		return fail(im, -EOPNOTSUPP,
			    "not all of the stream can be imported, and --strict is given; nothing "
			    "was changed");
	return 0;
}

static int import_begin(struct importer *im)
{
	int r = identify(im, &im->head);

	if (r)
		return r;
	r = journal_write(im->journal, &im->head, &im->plan);
	if (r)
		return fail_journal(im, r);
	im->changing = true;
	return 0;
}

static int import_session(struct importer *im)
{
	const struct tracked tracked = { .wire = im->wire,
					 .domid = im->domid,
					 .intake = im->intake,
					 .interrupt = &im->interrupt,
					 .omissions = im->omissions,
					 .report = im->report,
					 .strict = im->options->strict };
	int r;

	wire_set_firm(im->wire, true);
	r = tracked_add_watches(&tracked);
	return r ? r : tracked_start_transactions(&tracked);
}

static int import_end(struct importer *im)
{
	int r = omissions_finish(im->omissions);

	if (!r && im->options->strict && omissions_count(im->omissions, OMISSION_LEFT_OUT))
		return fail(im, -EOPNOTSUPP,
			    "not all of the stream can be imported, and --strict is given");
	return r ? fail(im, r, "cannot write %s: %s", im->options->list, report_local_reason(r))
		 : 0;
}

/* --- all of it */

/* Whatever has happened, nothing may be left. No signal ends this. */
static void take_back(struct importer *im)
{
	int r = remote_reconnect(&im->wire, im->options->socket, TAKE_BACK_MS);

	if (r) {
		fail(im, r,
		     "cannot take back what was imported into domain %u: %s; run xsproxyctl import "
		     "%u --recover",
		     im->domid, report_reason(r), im->domid);
		return;
	}
	wire_set_window(im->wire, IMPORT_WINDOW);
	revert(im, &im->head, &im->plan);
}

static int import_open(struct importer *im)
{
	int r = omissions_new(&im->omissions, im->report, im->options->list);

	if (r)
		return fail(im, r, "cannot write %s: %s",
			    im->options->list ? im->options->list : "a list",
			    report_local_reason(r));
	return intake_open(&im->intake, &im->options->intake, im->omissions, im->report);
}

/* Up to here a signal may end the process, which waits for its input. */
static int import_reach(struct importer *im)
{
	int r = interrupt_catch(&im->interrupt);

	if (r)
		return fail(im, r, "cannot catch signals: %s", report_reason(r));
	r = import_connect(im);
	if (!r)
		r = check_state(im);
	if (!r)
		r = import_lock(im);
	return r ? r : import_recover_other(im);
}

static int import_run(struct importer *im)
{
	int r = import_open(im);

	if (!r)
		r = import_reach(im);
	if (!r)
		r = check_fresh(im);
	if (!r)
		r = import_plan(im);
	if (!r)
		r = import_begin(im);
	if (!r)
		r = graft_apply(&im->plan, im->wire, im->omissions, im->report);
	if (!r)
		r = import_session(im);
	return r ? r : import_end(im);
}

static int import_resume(struct importer *im)
{
	int r = im->options->resume ? remote_unquiesce(im->wire, im->domid) : 0;

	return r ? fail(im, r, "domain %u is imported, but cannot be unquiesced: %s", im->domid,
			remote_reason(r))
		 : 0;
}

static void importer_clear(struct importer *im)
{
	plan_clear(&im->plan);
	free(im->head.vm);
	journal_free(im->journal);
	intake_free(im->intake);
	omissions_free(im->omissions);
	wire_free(im->wire);
}

int import_domain(const struct import_options *options, const struct report *report)
{
	struct importer im = { .options = options,
			       .report = report,
			       .domid = options->intake.domid };
	int r = import_run(&im);

	if (r && im.changing)
		take_back(&im);
	if (!r) {
		journal_done(im.journal);
		journal_free(im.journal); /* before the domain runs */
		im.journal = NULL;
		r = import_resume(&im);
	}
	importer_clear(&im);
	return r;
}

int import_recover(const struct import_options *options, const struct report *report)
{
	struct importer im = { .options = options,
			       .report = report,
			       .domid = options->intake.domid };
	int r = import_reach(&im);

	importer_clear(&im);
	return r;
}
