// SPDX-License-Identifier: MIT
/*
 * toolstack_inject - the requests that ops send on a domain's behalf, and the answers to them. In a
 * turn of that domain's session only.
 */
#include <errno.h>
#include <stdlib.h>

#include "proxy/daemon.h"
#include "proxy/host/lease.h"
#include "proxy/log.h"
#include "proxy/session/pending.h"
#include "proxy/session/session.h"
#include "proxy/toolstack/op.h"
#include "proxy/toolstack/target.h"
#include "proxy/toolstack/toolstack.h"

/* The one request of an op. Return: whether it was sent. */
static bool inject_once(struct op *op, const struct message *msg, uint32_t guest_tx)
{
	int err = up_inject(op->target, msg, op, 0, guest_tx);

	if (err == -EAGAIN)
		return false;
	if (err) {
		op_finish(op, -err);
		return false;
	}
	op->under_way = true;
	op->target->injectors--;
	return true;
}

static bool inject_start(struct op *op)
{
	static const struct message msg = { .hdr = { .type = XS_TRANSACTION_START, .len = 1 } };
	struct session *target = op->target;

	/* The domain takes no further request meanwhile (up.c), so this ends. */
	if (transactions_starting(&target->transactions))
		return false;
	if (transaction_find(&target->transactions, op->transaction) >= 0) {
		op_finish(op, EEXIST);
		return false;
	}
	return inject_once(op, &msg, op->transaction);
}

static bool inject_reset(struct op *op)
{
	static const struct message msg = { .hdr = { .type = XS_RESET_WATCHES, .len = 1 } };

	return inject_once(op, &msg, 0);
}

bool toolstack_inject(struct session *s)
{
	struct op *op;

	TAILQ_FOREACH(op, &s->targeted, on_target) {
		if (op->kind == OP_START && !op->under_way)
			return inject_start(op);
		if (op->kind == OP_RESET && !op->under_way)
			return inject_reset(op);
		if (op->kind == OP_BATCH && op->batch && batch_inject(op))
			return true;
	}
	return false;
}

static bool is_no_event(void *arg, const struct message *msg)
{
	(void)arg;
	return msg->hdr.type != XS_WATCH_EVENT;
}

/* What waits for a domain that stands still came from watches that it no longer has. */
static int drop_events(struct session *s)
{
	int err = fifo_filter(&s->fifo, &s->place, is_no_event, NULL);

	if (!err && session_state(s) == LEDGER_QUIET)
		fifo_note_events(&s->fifo);
	return -err;
}

void toolstack_reply(struct session *s, struct op *op, const struct ledger_pending *pending,
		     const struct message *msg)
{
	int err = 0;

	if (msg->hdr.type == XS_ERROR)
		err = message_error_parse(msg->payload, msg->hdr.len);
	if (op->kind == OP_RESET && !err)
		err = drop_events(s);
	if (op->kind == OP_SETTLE && !err)
		target_reply(op, pending->type);
	if (op->kind == OP_SETTLE)
		op_free(op);
	else if (op->kind == OP_BATCH)
		batch_reply(op, err);
	else
		op_finish(op, err);
}

void toolstack_overflow(struct session *s)
{
	struct op *op;

	TAILQ_FOREACH(op, &s->targeted, on_target)
		if (op->kind == OP_BATCH && op->batch)
			batch_overflow(op);
}

void toolstack_watches_lost(struct session *s)
{
	struct op *op;

	TAILQ_FOREACH(op, &s->targeted, on_target)
		if (op->kind == OP_BATCH && op->batch)
			batch_watches_lost(op);
}

void toolstack_lost(struct session *s, int slot)
{
	struct message msg = { 0 };
	struct op *op = s->ops[slot];

	s->ops[slot] = NULL;
	message_set_error(&msg, EIO);
	toolstack_reply(s, op, &s->ledger->pending[slot], &msg);
}

int toolstack_recover(struct session *s)
{
	/* Whose connection has gone with the process that died. */
	if (word_get(&s->ledger->lease) && !lease_is(s->daemon, s->domid) &&
	    session_state(s) == LEDGER_QUIET) {
		log_domain(
			LOG_NOTICE, s->domid,
			"the connection that it stood still for ended with the last xsproxyd; it "
			"goes on");
		session_resume(s);
	}
	if (session_state(s) == LEDGER_QUIET)
		fifo_note_events(&s->fifo);
	return batch_recover(s);
}
