/* SPDX-License-Identifier: MIT */
/*
 * import - see import.h.
 */
#include "migration/import.h"

#include "migration/graft.h"
#include "migration/interrupt.h"
#include "migration/remote.h"
#include "migration/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/xs_wire.h>

#define PATIENCE_MS  60000 /* how long nothing may be heard of xsproxyd */
#define TAKE_BACK_MS 10000 /* likewise, and how long it may take to be there again */

struct importer {
	const struct import_options *options;
	const struct report *report;
	struct interrupt interrupt;
	struct intake *intake;
	struct graft *graft;
	struct wire *wire;
	uint16_t domid;
	bool session; /* the domain has some of the watches and transactions, or may have */
};

/* Watches on their way. */
struct batch {
	char pairs[XENSTORE_PAYLOAD_MAX];
	size_t len;
	uint64_t first, last; /* numbers of watches, from 1 */
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
	if (!fresh && (intake_count(im->intake, RECORD_WATCH) ||
		       intake_count(im->intake, RECORD_TRANSACTION)))
		return fail(im, -EEXIST,
			    "domain %u has watches or transactions already; RELEASE, hold and "
			    "INTRODUCE it before you import",
			    im->domid);
	return 0;
}

/* --- nodes, watches, transactions */

static int import_nodes(struct importer *im)
{
	int r = graft_new(&im->graft, im->intake, im->report);

	if (r)
		return fail(im, r, "%s", report_reason(r));
	if (intake_count(im->intake, RECORD_NODE))
		r = graft_apply(im->graft, im->wire);
	wire_set_firm(im->wire, true);
	return r;
}

static int fail_reading(struct importer *im, int err)
{
	return fail(im, err, "cannot read the stream again: %s", report_local_reason(err));
}

/*
 * Watches and transactions: a signal is looked for before each request, not while it is under way,
 * so that it is known what there is to take back.
 */
static int check_interrupt(struct importer *im)
{
	int r = interrupt_check(&im->interrupt);

	return r ? fail(im, r, "%s; nothing is imported", report_reason(r)) : 0;
}

/* A request for watches or a transaction has ended with @r. */
static void note_result(struct importer *im, int r)
{
	if (!r || !wire_answered(r))
		im->session = true;
}

static int send_batch(struct importer *im, struct batch *batch)
{
	int r;

	if (!batch->len)
		return 0;
	r = check_interrupt(im);
	if (r)
		return r;
	r = remote_add_watches(im->wire, im->domid, batch->pairs, batch->len);
	note_result(im, r);
	batch->len = 0;
	if (r)
		return fail(im, r,
			    "cannot add watches %" PRIu64 " to %" PRIu64 " of the stream to domain "
			    "%u: %s",
			    batch->first, batch->last, im->domid, remote_reason(r));
	return 0;
}

static int add_watch(struct importer *im, struct batch *batch, const struct record_watch *watch)
{
	size_t len = watch->path_len + 1 + watch->token_len + 1;
	char *to;
	int r = 0;

	if (batch->len + len > remote_watches_max(im->domid))
		r = send_batch(im, batch);
	if (r)
		return r;
	batch->last++;
	if (!batch->len)
		batch->first = batch->last;
	to = batch->pairs + batch->len;
	batch->len += len;
	to = mempcpy(to, watch->path, watch->path_len);
	*to++ = '\0';
	if (watch->token_len) /* otherwise it may be NULL */
		to = mempcpy(to, watch->token, watch->token_len);
	*to = '\0';
	return 0;
}

static int import_watches(struct importer *im)
{
	struct batch batch = { 0 };
	struct record rec;
	int r = intake_rewind(im->intake);

	while (!r && (r = intake_next(im->intake, RECORD_WATCH, NULL, &rec)) > 0) {
		r = add_watch(im, &batch, &rec.watch);
		if (r)
			return r;
	}
	return r ? fail_reading(im, r) : send_batch(im, &batch);
}

static int start_transaction(struct importer *im, uint32_t id)
{
	int r = check_interrupt(im);

	if (r)
		return r;
	r = remote_start_transaction(im->wire, im->domid, id);
	note_result(im, r);
	return r ? fail(im, r, "cannot open transaction %" PRIu32 " of domain %u: %s", id,
			im->domid, remote_reason(r))
		 : 0;
}

static int import_transactions(struct importer *im)
{
	struct record rec;
	int r = intake_rewind(im->intake);

	while (!r && (r = intake_next(im->intake, RECORD_TRANSACTION, NULL, &rec)) > 0) {
		r = start_transaction(im, rec.transaction.tx_id);
		if (r)
			return r;
	}
	return r ? fail_reading(im, r) : 0;
}

/* --- taking back */

static void take_back_session(struct importer *im)
{
	int r = remote_reset(im->wire, im->domid);

	if (r)
		fail(im, r,
		     "cannot take back the watches and transactions of domain %u: %s; RELEASE and "
		     "INTRODUCE it before you try again",
		     im->domid, remote_reason(r));
}

/* Whatever has happened, nothing may be left. No signal ends this. */
static void take_back(struct importer *im)
{
	bool applied = im->graft && graft_is_applied(im->graft);
	int r;

	if (!applied && !im->session)
		return;
	r = remote_reconnect(&im->wire, im->options->socket, TAKE_BACK_MS);
	if (r) {
		fail(im, r,
		     "cannot take back what was imported into domain %u: %s; destroy the domain",
		     im->domid, report_reason(r));
		return;
	}
	if (im->session)
		take_back_session(im);
	if (applied)
		graft_revert(im->graft, im->wire);
}

/* --- all of it */

static int import_run(struct importer *im)
{
	int r = intake_open(&im->intake, &im->options->intake, im->report);

	if (r)
		return r;
	/* Up to here a signal may end the process, which waits for its input. */
	r = interrupt_catch(&im->interrupt);
	if (r)
		return fail(im, r, "cannot catch signals: %s", report_reason(r));
	r = import_connect(im);
	if (!r)
		r = check_state(im);
	if (!r)
		r = check_fresh(im);
	if (!r)
		r = import_nodes(im);
	if (!r)
		r = import_watches(im);
	if (!r)
		r = import_transactions(im);
	return r;
}

static int import_resume(struct importer *im)
{
	int r = im->options->resume ? remote_unquiesce(im->wire, im->domid) : 0;

	return r ? fail(im, r, "domain %u is imported, but cannot be unquiesced: %s", im->domid,
			remote_reason(r))
		 : 0;
}

int import_domain(const struct import_options *options, const struct report *report)
{
	struct importer im = { .options = options,
			       .report = report,
			       .domid = options->intake.domid };
	int r = import_run(&im);

	if (r)
		take_back(&im);
	else
		r = import_resume(&im);
	graft_free(im.graft);
	intake_free(im.intake);
	wire_free(im.wire);
	return r;
}
