// SPDX-License-Identifier: MIT
/*
 * batch - ADD_DOMAIN_WATCHES: WATCH requests on a domain's behalf, all of them or none.
 *
 * First the domain's own requests run out, then the ledger notes the batch, which stops the
 * domain's requests and events; then the watches are injected. On an error those that came with
 * this batch are taken back, and so are their events (sift.h), which nobody has seen yet. A
 * restarted daemon finds the note in the ledger and takes back what is there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/daemon.h"
#include "proxy/log.h"
#include "proxy/session/pending.h"
#include "proxy/session/session.h"
#include "proxy/toolstack/op.h"
#include "proxy/toolstack/sift.h"
#include "proxy/toolstack/toolstack.h"

enum batch_phase {
	BATCH_DRAIN, /* until the domain's own requests are answered */
	BATCH_ADD,
	BATCH_UNDO,
	BATCH_SIFT, /* it has failed: which events were its own */
};

struct batch {
	enum batch_phase phase;
	uint32_t id;
	uint32_t outstanding; /* injected and not answered */
	uint32_t stuck;	      /* watches that upstream refused to take back */
	int err;	      /* the first error */
	struct sift *sift;    /* BATCH_SIFT; NULL: no memory */
	uint32_t len, next;
	char watches[]; /* path, NUL, token, NUL, ... */
};

static struct batch *batch_alloc(uint32_t len)
{
	return calloc(1, sizeof(struct batch) + len);
}

int batch_begin(const struct asker *asker, struct session *target, const char *watches,
		uint32_t len)
{
	struct batch *batch = batch_alloc(len);
	struct op *op;
	int err;

	if (!batch)
		return -ENOMEM;
	memcpy(batch->watches, watches, len);
	batch->len = len;
	err = op_new(&op, target->daemon, OP_BATCH, asker, target, true);
	if (err) {
		free(batch);
		return err;
	}
	op->batch = batch;
	target->drain.quiesce++;
	session_ready(target);
	return 0;
}

int batch_recover(struct session *target)
{
	struct batch *batch;
	struct op *op;
	int err;

	if (!word_get(&target->ledger->batch))
		return 0;
	batch = batch_alloc(0);
	if (!batch)
		return -ENOMEM;
	err = op_new(&op, target->daemon, OP_BATCH, &ASKER_NOBODY, target, false);
	if (err) {
		free(batch);
		return err;
	}
	batch->id = word_get(&target->ledger->batch);
	batch->phase = BATCH_UNDO;
	batch->err = EIO;
	op->batch = batch;
	target->injectors++;
	session_ready(target);
	return 0;
}

void batch_free(struct op *op)
{
	struct batch *batch = op->batch;

	if (!batch)
		return;
	if (op->target && batch->phase == BATCH_DRAIN)
		op->target->drain.quiesce--;
	else if (op->target)
		op->target->injectors--;
	sift_free(batch->sift);
	free(batch);
	op->batch = NULL;
}

/* The domain's own requests are answered: from here on it stands still. */
static void start_adding(struct op *op)
{
	struct ledger *ledger = op->target->ledger;
	struct commit commit;

	op->batch->id = word_get(&ledger->batch_last) + 1;
	commit_begin(&commit, &op->target->place);
	commit_set(&commit, &ledger->batch, op->batch->id);
	commit_set(&commit, &ledger->batch_last, op->batch->id);
	commit_end(&commit);
	op->batch->phase = BATCH_ADD;
	op->target->drain.quiesce--;
	op->target->injectors++;
	session_ready(op->target);
}

/* A failed batch: what it brought about must not be seen. */
static void drop_events(struct op *op)
{
	struct session *target = op->target;

	if (!op->batch->sift || sift_end(op->batch->sift))
		log_domain(LOG_WARNING, target->domid,
			   "no memory to drop the events of a failed ADD_DOMAIN_WATCHES; the guest "
			   "may see some");
	if (session_state(target) == LEDGER_QUIET)
		fifo_note_events(&target->fifo);
}

/* Everything is answered: drop the note, and with a failed batch its events. */
static void end_batch(struct op *op)
{
	struct session *target = op->target;
	struct commit commit;

	if (op->batch->err)
		drop_events(op);
	if (op->batch->stuck)
		log_domain(LOG_ERR, target->domid,
			   "a failed ADD_DOMAIN_WATCHES leaves watches: %u, as xenstored refused "
			   "to end them; see xsproxyctl watches %u",
			   op->batch->stuck, target->domid);
	commit_begin(&commit, &target->place);
	commit_set(&commit, &target->ledger->batch, 0);
	commit_end(&commit);
	op_finish(op, op->batch->err);
}

/*
 * A watch of this batch that exists still, or NULL; nobody has added another one since. From the
 * last one backwards, so those that are stuck are the last.
 */
static const struct watch *to_undo(struct op *op)
{
	struct watches *set = &op->target->watches;
	const struct watch *watch = NULL;

	if (set->count > op->batch->stuck)
		watch = watches_from(set, set->count - 1 - op->batch->stuck);
	if (watch && watch_batch(set, watch) == op->batch->id)
		return watch;
	return NULL;
}

/* All that can be is taken back. */
static void start_sifting(struct op *op)
{
	op->batch->phase = BATCH_SIFT;
	if (sift_new(&op->batch->sift, op->target, op->batch->id))
		op->batch->sift = NULL;
	session_ready(op->target);
}

static bool answers_missing(const struct op *op)
{
	return op->batch->outstanding || pending_upstream(op->target->ledger) ||
	       word_get(&op->target->ledger->fifo_fill);
}

void batch_turn(struct op *op)
{
	struct batch *batch = op->batch;
	struct session *target = op->target;
	/* Then our RESET_WATCHES takes all back, and nothing may follow it (up.c). */
	bool ended = session_state(target) == LEDGER_ENDED;

	switch (batch->phase) {
	case BATCH_DRAIN:
		if (ended)
			op_finish(op, EBUSY);
		else if (!pending_upstream(target->ledger) && !word_get(&target->ledger->up_fill) &&
			 !word_get(&target->ledger->batch) && session_state(target) != LEDGER_RESET)
			start_adding(op);
		break;
	case BATCH_ADD:
		if (ended && !batch->err)
			batch->err = EBUSY;
		if (batch->err && !answers_missing(op))
			batch->phase = BATCH_UNDO;
		else if (batch->next == batch->len && !answers_missing(op))
			end_batch(op);
		else
			break;
		session_ready(target);
		break;
	case BATCH_UNDO:
		if (!answers_missing(op) && (ended || !to_undo(op)))
			start_sifting(op);
		break;
	case BATCH_SIFT:
		if (batch->sift && !sift_some(batch->sift))
			session_ready(target);
		else if (!answers_missing(op))
			end_batch(op);
		break;
	}
}

static bool inject_watch(struct op *op)
{
	struct batch *batch = op->batch;
	struct message msg = { .hdr.type = XS_WATCH };
	const char *path = batch->watches + batch->next;
	uint32_t len = (uint32_t)strlen(path) + 1;
	int err;

	len += (uint32_t)strlen(path + len) + 1;
	message_set_text(&msg, path, len);
	err = up_inject(op->target, &msg, op, batch->id, 0);
	if (err == -EAGAIN)
		return false;
	batch->next += len;
	if (err)
		batch->err = -err;
	else
		batch->outstanding++;
	return true;
}

static bool inject_unwatch(struct op *op)
{
	struct message msg = { .hdr.type = XS_UNWATCH };
	const struct watch *watch;
	const char *text;
	uint32_t len;
	int err;

	/* One at a time, so that each look finds what is left. */
	if (answers_missing(op))
		return false;
	watch = to_undo(op);
	if (!watch)
		return false;
	text = watch_text(&op->target->watches, watch, &len);
	message_set_text(&msg, text, len);
	err = up_inject(op->target, &msg, op, 0, 0);
	if (err == -ENOMEM)
		session_retry(op->target);
	if (err)
		return false;
	op->batch->outstanding++;
	return true;
}

bool batch_inject(struct op *op)
{
	struct batch *batch = op->batch;

	if (batch->phase == BATCH_UNDO)
		return inject_unwatch(op);
	if (batch->phase == BATCH_ADD && !batch->err && batch->next < batch->len)
		return inject_watch(op);
	return false;
}

void batch_reply(struct op *op, int err)
{
	op->batch->outstanding--;
	if (err && op->batch->phase == BATCH_UNDO)
		op->batch->stuck++;
	if (err && op->batch->phase == BATCH_ADD && !op->batch->err)
		op->batch->err = err;
}

void batch_watches_lost(struct op *op)
{
	if (op->batch->phase == BATCH_ADD && !op->batch->err)
		op->batch->err = EAGAIN;
}

void batch_overflow(struct op *op)
{
	if (!op->batch->err)
		op->batch->err = ENOSPC;
}

void batch_abandon(struct op *op, int err)
{
	if (op->batch->phase == BATCH_DRAIN)
		op_finish(op, err);
	/* Once it has begun it must be brought to an end, if only that of taking all back. */
	else if (!op->batch->err)
		op->batch->err = err;
}
