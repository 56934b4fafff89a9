// SPDX-License-Identifier: MIT
/*
 * export - see export.h.
 */
#include "migration/export.h"

#include "migration/format/libxl_record.h"
#include "migration/format/libxl_stream.h"
#include "migration/omissions.h"
#include "migration/output.h"
#include "migration/receiver.h"
#include "migration/remote.h"
#include "migration/walk.h"
#include "migration/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOME_MAX     32	   /* octets of a domain's home, NUL included */
#define TAKE_BACK_MS 10000 /* how long xsproxyd may take to answer, or to be there again */

struct exporter {
	const struct export_options *options;
	const struct report *report;
	struct interrupt interrupt;
	struct receiver *receiver;
	struct output *output;
	struct omissions *omissions;
	struct wire *wire;
	bool ran;  /* before we quiesced it */
	bool kept; /* its quiesce is no mere lease any more */
	struct remote_watches watches;
	struct remote_transactions transactions;
	struct walk *walk;
	struct libxl_writer *writer;
};

#define fail(ex, err, ...) report_fail((ex)->report, err, __VA_ARGS__)

/* --- the domain */

static int export_connect(struct exporter *ex)
{
	int r = wire_open(&ex->wire, ex->options->socket);

	if (r)
		return report_no_connection(ex->report, r, ex->options->socket);
	wire_set_patience(ex->wire, &ex->interrupt, -1);
	wire_set_slow(ex->wire, report_slow, ex->report);
	return 0;
}

static int open_receiver(struct exporter *ex)
{
	int fd;
	int r = receiver_start(&ex->receiver, ex->options->command, &fd);

	if (!r)
		r = output_adopt(&ex->output, fd, &ex->interrupt);
	return r ? fail(ex, r, "cannot start %s: %s", ex->options->command, report_local_reason(r))
		 : 0;
}

static int open_output(struct exporter *ex)
{
	int r = output_open(&ex->output, ex->options->file, &ex->interrupt);

	return r ? fail(ex, r, "cannot write %s: %s",
			ex->options->file ? ex->options->file : "to standard output",
			report_local_reason(r))
		 : 0;
}

static int export_open(struct exporter *ex)
{
	int r = omissions_new(&ex->omissions, ex->report, ex->options->list);

	if (r)
		return fail(ex, r, "cannot write %s: %s",
			    ex->options->list ? ex->options->list : "a list",
			    report_local_reason(r));
	return ex->options->command ? open_receiver(ex) : open_output(ex);
}

/*
 * The stream has no place for the rest of an event, without which the guest could not make sense of
 * what follows in its ring.
 */
static int export_whole(struct exporter *ex)
{
	uint16_t domid = ex->options->domid;
	char why[REMOTE_WHY_MAX];
	int r = remote_get_why(ex->wire, domid, why);

	if (r == -EINVAL || (!r && !*why))
		return 0;
	if (!r)
		return fail(ex, -EBUSY,
			    "cannot export domain %u: %s; try again when the guest has read", domid,
			    why);
	return fail(ex, r, "cannot see domain %u any more: %s", domid, remote_reason(r));
}

/* Only a lease: if we are killed before the stream is complete, xsproxyd lets the guest go on. */
static int export_quiesce(struct exporter *ex)
{
	uint16_t domid = ex->options->domid;
	char text[REMOTE_WHY_MAX];
	enum remote_state state;
	int r = remote_get_state(ex->wire, domid, &state);

	if (!r && state == REMOTE_ENDED)
		return fail(ex, -EIO,
			    "domain %u has broken the Xenstore protocol and is ignored; "
			    "there is nothing to export",
			    domid);
	if (!r) {
		ex->ran = state == REMOTE_RUNNING;
		r = remote_lease(ex->wire, domid);
	}
	return r ? fail(ex, r, "cannot quiesce domain %u: %s", domid,
			remote_quiesce_reason(ex->wire, domid, r, text))
		 : 0;
}

/* Somebody may have let it go on meanwhile; then what was read is not all of it. */
static int export_confirm(struct exporter *ex)
{
	enum remote_state state;
	int r = remote_get_state(ex->wire, ex->options->domid, &state);

	if (!r && state != REMOTE_QUIESCED && state != REMOTE_HELD)
		return fail(ex, -EBUSY, "somebody has unquiesced domain %u; export it again",
			    ex->options->domid);
	return r ? fail(ex, r, "cannot see domain %u any more: %s", ex->options->domid,
			remote_reason(r))
		 : 0;
}

/*
 * From here on the guest stands still whatever becomes of us. Also if it fails it may have been
 * done.
 */
static int export_keep(struct exporter *ex)
{
	uint16_t domid = ex->options->domid;
	int r;

	ex->kept = true;
	r = remote_quiesce(ex->wire, domid);
	return r ? fail(ex, r, "cannot keep domain %u quiesced: %s", domid, remote_reason(r)) : 0;
}

/*
 * There is no stream after all, so the guest must go on. No signal ends this. The connection is a
 * new one: the old one may be broken.
 */
static void export_take_back(struct exporter *ex)
{
	uint16_t domid = ex->options->domid;
	int r = remote_reconnect(&ex->wire, ex->options->socket, TAKE_BACK_MS);

	if (!r) {
		r = remote_unquiesce(ex->wire, domid);
		if (r == -ENOENT)
			return; /* the domain is gone */
	}
	if (r)
		fail(ex, r, "cannot unquiesce domain %u: %s; run xsproxyctl unquiesce %u", domid,
		     report_reason(r), domid);
}

/* --- what is exported */

static int export_read_session(struct exporter *ex)
{
	uint16_t domid = ex->options->domid;
	int r = remote_get_watches(ex->wire, domid, &ex->watches);

	if (r)
		return fail(ex, r, "cannot read the watches of domain %u: %s", domid,
			    remote_reason(r));
	r = remote_get_transactions(ex->wire, domid, &ex->transactions);
	if (r)
		return fail(ex, r, "cannot read the transactions of domain %u: %s", domid,
			    remote_reason(r));
	return 0;
}

static int export_read_nodes(struct exporter *ex)
{
	char home[HOME_MAX];
	int r = walk_new(&ex->walk, ex->wire, ex->omissions, ex->report);

	if (r)
		return fail(ex, r, "%s", report_reason(r));
	snprintf(home, sizeof(home), "/local/domain/%u", ex->options->domid);
	r = walk_add_root(ex->walk, home, false);
	for (size_t i = 0; !r && i < ex->options->nr_roots; i++)
		r = walk_add_root(ex->walk, ex->options->roots[i], true);
	return r ? r : walk_read(ex->walk);
}

static void omit_of_watch(struct exporter *ex, const struct remote_watch *watch, const char *what,
			  const char *detail, const char *why)
{
	const struct omission omission = { .what = what,
					   .path = watch->path,
					   .path_len = strlen(watch->path),
					   .detail = detail,
					   .detail_len = strlen(detail),
					   .why = why };

	omissions_add(ex->omissions, &omission);
}

static int write_watch(struct exporter *ex, const struct remote_watch *watch)
{
	struct record rec = { .kind = RECORD_WATCH,
			      .watch = { watch->path, strlen(watch->path), watch->token,
					 strlen(watch->token) } };
	struct record_fault fault;
	int r = libxl_record_check(&rec, &fault);

	if (r) {
		omit_of_watch(ex, watch, "watch", watch->token, fault.reason);
		return 0;
	}
	/* Without it the guest gets more events than it asked for, rather than fewer. */
	if (watch->depth)
		omit_of_watch(ex, watch, "depth of a watch", watch->depth,
			      "a stream cannot express it; the watch is exported without");
	return libxl_writer_append(ex->writer, &rec, NULL);
}

static int write_transaction(struct exporter *ex, uint32_t id)
{
	struct record rec = { .kind = RECORD_TRANSACTION, .transaction = { id } };

	return libxl_writer_append(ex->writer, &rec, NULL);
}

/* Return: 0, or what writing failed with, which has not been reported. */
static int export_write_records(struct exporter *ex)
{
	int r = libxl_writer_new(&ex->writer, output_file(ex->output));

	if (!r)
		r = walk_write(ex->walk, ex->writer);
	for (size_t i = 0; !r && i < ex->watches.nr; i++)
		r = write_watch(ex, &ex->watches.list[i]);
	for (size_t i = 0; !r && i < ex->transactions.nr; i++)
		r = write_transaction(ex, ex->transactions.ids[i]);
	return r;
}

/* Everything is written but the end of the stream. */
static int export_list_omissions(struct exporter *ex)
{
	int r = omissions_finish(ex->omissions);

	if (r)
		return fail(ex, r, "cannot write %s: %s", ex->options->list,
			    report_local_reason(r));
	if (ex->options->strict && omissions_count(ex->omissions, OMISSION_LEFT_OUT))
		return fail(ex, -EOPNOTSUPP,
			    "not all of domain %u can be exported, and --strict is given",
			    ex->options->domid);
	return 0;
}

/* --- the receiver */

/* What becomes of a domain whose stream was not taken. */
static const char *outcome(const struct exporter *ex)
{
	return ex->ran ? "goes on here" : "stays quiesced here, as it was before";
}

/* Wait for what the receiver says. Return: 0 or a failure, which has been reported. */
static int export_ask_receiver(struct exporter *ex, int *status)
{
	int r;

	output_free(ex->output); /* that is the end of its input */
	ex->output = NULL;
	r = receiver_wait(ex->receiver, &ex->interrupt, status);
	return r ? fail(ex, r, "%s while the stream was taken; domain %u %s", report_reason(r),
			ex->options->domid, outcome(ex))
		 : 0;
}

static int fail_not_taken(struct exporter *ex, int status)
{
	return fail(ex, -ECANCELED,
		    "the stream was not taken (exit status %d of %s%s); domain %u %s", status,
		    ex->options->command, status ? "" : ", which ended before it had read all",
		    ex->options->domid, outcome(ex));
}

/* If it is the receiver that does not read, only it can say why. */
static int fail_to_write(struct exporter *ex, int err)
{
	int status, r;

	if (err != -EPIPE || !ex->receiver)
		return fail(ex, err, "cannot write the stream: %s", report_local_reason(err));
	r = export_ask_receiver(ex, &status);
	return r ? r : fail_not_taken(ex, status);
}

/* The domain stands still, by our lease, until the receiver has said what became of the stream. */
static int export_hand_over(struct exporter *ex)
{
	int status;
	int r = export_ask_receiver(ex, &status);

	if (r)
		return r;
	if (status)
		return fail_not_taken(ex, status);
	r = export_confirm(ex);
	return r || ex->options->resume ? r : export_keep(ex);
}

static int export_write(struct exporter *ex)
{
	int r = export_write_records(ex);

	if (r)
		return fail_to_write(ex, r);
	r = export_list_omissions(ex);
	if (!r && ex->options->keep)
		r = export_keep(ex);
	if (r)
		return r;
	r = libxl_writer_finish(ex->writer);
	if (!r)
		r = output_commit(ex->output);
	return r ? fail_to_write(ex, r) : 0;
}

/* --- all of it */

static int export_resume(struct exporter *ex)
{
	int r = remote_unquiesce(ex->wire, ex->options->domid);

	return r ? fail(ex, r, "the stream is complete, but domain %u cannot be unquiesced: %s",
			ex->options->domid, remote_reason(r))
		 : 0;
}

static int export_run(struct exporter *ex)
{
	int r = interrupt_catch(&ex->interrupt);

	if (r)
		return fail(ex, r, "cannot catch signals: %s", report_reason(r));
	r = export_connect(ex);
	if (!r)
		r = export_open(ex);
	if (!r)
		r = export_quiesce(ex);
	if (!r)
		r = export_whole(ex);
	if (!r)
		r = export_read_session(ex);
	if (!r)
		r = export_read_nodes(ex);
	if (!r)
		r = export_confirm(ex);
	if (!r)
		r = export_write(ex);
	if (!r && ex->receiver)
		r = export_hand_over(ex);
	if (!r && ex->options->resume)
		r = export_resume(ex);
	return r;
}

int export_domain(const struct export_options *options, const struct report *report)
{
	struct exporter ex = { .options = options, .report = report };
	int r = export_run(&ex);

	walk_free(ex.walk);
	libxl_writer_free(ex.writer);
	if (r && ex.kept && ex.ran)
		export_take_back(&ex);
	output_free(ex.output);
	omissions_free(ex.omissions);
	remote_watches_free(&ex.watches);
	free(ex.transactions.ids);
	wire_free(ex.wire);
	receiver_free(ex.receiver); /* it may not end soon, but the domain goes on by now */
	return r;
}
