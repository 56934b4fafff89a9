// SPDX-License-Identifier: MIT
#include "proxy/toolstack/op.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/daemon.h"
#include "proxy/host/lease.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/session/pending.h"
#include "proxy/session/rest.h"
#include "proxy/session/session.h"
#include "proxy/session/stand.h"
#include "proxy/toolstack/toolstack.h"
#include "proxy/toolstack/update.h"
#include "proxy/util.h"

/*
 * How long a guest that is owed nothing has to read the rest of an event. The page is the same for
 * whoever looks at it afterwards, but only at a boundary can it be read without knowing that rest.
 */
#define MOMENT_MS 1000

static void stand_still(struct op *op);

static void wait_a_moment(struct op *op)
{
	if (op->moment)
		return;
	op->moment = true;
	loop_timer(op->timer, min_u32(MOMENT_MS, op->daemon->config.quiesce_timeout_ms));
}

/* The deadline of a QUIESCE, or the end of its moment. */
static void quiesce_late(struct op *op)
{
	bool moment = op->moment;

	op->moment = false;
	if (moment && session_drained(op->target))
		stand_still(op);
	else if (moment)
		loop_timer(op->timer, op->daemon->config.quiesce_timeout_ms);
	else
		op_finish(op, EBUSY);
}

static void deadline_cb(evutil_socket_t fd, short what, void *arg)
{
	struct op *op = arg;

	(void)fd;
	(void)what;
	switch (op->kind) {
	case OP_SETTLE:
		op->late = true;
		if (op->asker.session)
			session_ready(op->asker.session);
		break;
	case OP_BATCH:
		batch_abandon(op, EBUSY);
		break;
	case OP_QUIESCE:
		quiesce_late(op);
		break;
	case OP_START:
	case OP_RESET:
		op_finish(op, EBUSY);
		break;
	case OP_UPDATE:
		break;
	}
}

int op_new(struct op **out, struct daemon *daemon, enum op_kind kind, const struct asker *asker,
	   struct session *target, bool deadline)
{
	struct timeval tv = timeval_ms(daemon->config.quiesce_timeout_ms);
	struct op *op = calloc(1, sizeof(*op));

	if (!op)
		return -ENOMEM;
	if (deadline) {
		op->timer = evtimer_new(daemon->base, deadline_cb, op);
		if (!op->timer || evtimer_add(op->timer, &tv)) {
			if (op->timer)
				event_free(op->timer);
			free(op);
			return -ENOMEM;
		}
	}
	op->daemon = daemon;
	op->kind = kind;
	op->asker = *asker;
	op->target = target;
	if (target && kind == OP_SETTLE)
		target->drain.settle++;
	if (target && kind == OP_QUIESCE)
		target->drain.quiesce++;
	if (target && (kind == OP_START || kind == OP_RESET))
		target->injectors++;
	TAILQ_INSERT_TAIL(&daemon->ops, op, link);
	if (asker->session)
		TAILQ_INSERT_TAIL(&asker->session->asked, op, on_asker);
	if (target) {
		TAILQ_INSERT_TAIL(&target->targeted, op, on_target);
		session_ready(target);
	}
	*out = op;
	return 0;
}

/* Of what is logged: who asked, and what came of it. */
static const char *request_of(const struct op *op)
{
	return op->kind == OP_QUIESCE ? "QUIESCE" : op->kind == OP_RESET ? "RESET_DOMAIN" : NULL;
}

static void log_end(const struct op *op, int err)
{
	const char *request = request_of(op), *error = err ? message_error_name(err) : NULL;
	char why[REST_TEXT_MAX] = "";

	/* What came of a QUIESCE is said where it is done. */
	if (!request || !op->target || (!err && op->kind == OP_QUIESCE))
		return;
	if (err == EBUSY)
		rest_text(op->target, why);
	if (err)
		who_log(op->target->domid, request, &op->asker.who, "%s%s%s", error,
			*why ? ": " : "", why);
	else
		who_log(op->target->domid, request, &op->asker.who,
			"watches, transactions and events are dropped");
}

/* What the op has stopped at its target goes on. */
static void let_go(struct op *op)
{
	struct session *target = op->target;

	if (!target)
		return;
	if (op->kind == OP_SETTLE)
		target->drain.settle--;
	if (op->kind == OP_QUIESCE)
		target->drain.quiesce--;
	if ((op->kind == OP_START || op->kind == OP_RESET) && !op->under_way)
		target->injectors--;
	for (uint32_t i = 0; i < LEDGER_PENDING; i++)
		if (target->ops[i] == op)
			target->ops[i] = NULL;
	TAILQ_REMOVE(&target->targeted, op, on_target);
	session_ready(target);
	op->target = NULL;
}

/* Nobody is answered any more. */
static void leave_asker(struct op *op)
{
	struct session *asker = op->asker.session;

	if (asker) {
		if (asker->settle == op)
			asker->settle = NULL;
		for (uint32_t i = 0; i < LEDGER_PENDING; i++)
			if (asker->ops[i] == op)
				asker->ops[i] = NULL;
		TAILQ_REMOVE(&asker->asked, op, on_asker);
	}
	op->asker = ASKER_NOBODY;
}

void op_free(struct op *op)
{
	if (op->kind == OP_BATCH)
		batch_free(op);
	if (op->kind == OP_UPDATE)
		op->daemon->update_hooks->forget(op->daemon, op);
	let_go(op);
	leave_asker(op);
	if (op->timer)
		event_free(op->timer);
	TAILQ_REMOVE(&op->daemon->ops, op, link);
	free(op->text);
	free(op);
}

void op_answer_message(const struct asker *asker, struct message *msg)
{
	if (asker->session) {
		down_answer(asker->session, asker->slot, msg);
		session_ready(asker->session);
	} else if (asker->reply) {
		asker->reply(asker->arg, msg);
	}
}

void op_answer(const struct asker *asker, int err)
{
	struct message msg = { .hdr.type = 0 };

	if (asker->session)
		msg.hdr.type = asker->session->ledger->pending[asker->slot].type;
	if (err)
		message_set_error(&msg, err);
	else
		message_set_text(&msg, "OK", 3);
	op_answer_message(asker, &msg);
}

static void answer_text(const struct op *op)
{
	struct message msg = { .hdr.type = XS_CONTROL };

	message_set_text(&msg, op->text, (uint32_t)strlen(op->text) + 1);
	op_answer_message(&op->asker, &msg);
}

void op_finish_text(struct op *op, const char *text)
{
	op->text = strdup(text);
	op_finish(op, op->text ? 0 : ENOMEM);
}

void op_finish(struct op *op, int err)
{
	uint32_t size = op->text ? MESSAGE_HEADER + (uint32_t)strlen(op->text) + 1 : 0;

	/* Without a target only the answer is left. */
	log_end(op, err);
	if (op->asker.session && !down_reserve(op->asker.session, size)) {
		/* toolstack_turn() of the asker comes back to it. */
		op->done = true;
		op->err = err;
		if (op->timer)
			evtimer_del(op->timer);
		if (op->kind == OP_BATCH)
			batch_free(op);
		let_go(op);
		return;
	}
	if (op->text)
		answer_text(op);
	else
		op_answer(&op->asker, err);
	op_free(op);
}

/* --- what sessions tell (toolstack.h) */

/* Whose connection a lease lasts as long as. */
static const void *holder_of(const struct asker *asker)
{
	return asker->session ? asker->session : asker->arg;
}

static void stand_anew(struct op *op)
{
	struct session *target = op->target;
	struct stand stand = stand_now(&op->asker.who);

	who_log(target->domid, "QUIESCE", &op->asker.who, "it stands still%s",
		op->asker.lease ? " as long as that connection lasts" : "");
	atomic_store(&target->ledger->lease, op->asker.lease);
	session_quiet(target);
	stand_set(target, &stand);
}

/* What was only a lease is no longer one. */
static void take_over(struct op *op)
{
	const struct stand *old = stand_of(op->target);
	struct stand stand = stand_now(&op->asker.who);

	if (old)
		stand.since = old->since;
	stand_set(op->target, &stand);
	atomic_store(&op->target->ledger->lease, 0);
}

static void stand_still(struct op *op)
{
	struct session *target = op->target;

	/* Without a note of the lease nobody would ever end it. */
	if (op->asker.lease && lease_take(op->daemon, target->domid, holder_of(&op->asker))) {
		op_finish(op, ENOMEM);
		return;
	}
	if (session_state(target) != LEDGER_QUIET) {
		stand_anew(op);
	} else if (!op->asker.lease && word_get(&target->ledger->lease)) {
		who_log(target->domid, "QUIESCE", &op->asker.who,
			"it goes on standing still, for good");
		take_over(op);
	} else {
		who_log(target->domid, "QUIESCE", &op->asker.who, "it stood still already");
	}
	op_finish(op, 0);
}

static void quiesce_turn(struct op *op)
{
	struct session *target = op->target;
	bool whole = session_drained(target) && !word_get(&target->ledger->fifo_left);

	if (session_state(target) == LEDGER_ENDED)
		op_finish(op, EBUSY);
	else if (session_state(target) == LEDGER_QUIET || whole)
		stand_still(op);
	else if (session_drained(target))
		wait_a_moment(op);
}

static void target_turn(struct op *op)
{
	switch (op->kind) {
	case OP_SETTLE:
		if (!op->passed && !op->under_way && session_settled(op->target)) {
			op->passed = true;
			session_ready(op->asker.session);
		}
		break;
	case OP_QUIESCE:
		quiesce_turn(op);
		break;
	case OP_START:
	case OP_RESET:
		/* What is under way will be answered before the reset is, and undone by it. */
		if (!op->under_way && session_state(op->target) == LEDGER_ENDED)
			op_finish(op, EBUSY);
		break;
	case OP_BATCH:
		batch_turn(op);
		break;
	case OP_UPDATE:
		break;
	}
}

/*
 * Requests on dom0's ring that the xsproxyd before this one was answering (docs/architecture.md,
 * "What is not recovered").
 */
static void answer_orphans(struct session *s)
{
	while (s->orphans && down_reserve(s, 0)) {
		int slot = __builtin_ctz(s->orphans);

		s->orphans &= s->orphans - 1;
		op_answer(&(struct asker){ .session = s, .slot = slot }, EAGAIN);
	}
}

void toolstack_turn(struct session *s)
{
	struct op *op, *next;

	answer_orphans(s);
	for (op = TAILQ_FIRST(&s->asked); op; op = next) {
		next = TAILQ_NEXT(op, on_asker);
		if (op->done)
			op_finish(op, op->err);
	}
	for (op = TAILQ_FIRST(&s->targeted); op; op = next) {
		next = TAILQ_NEXT(op, on_target);
		target_turn(op);
	}
}

/* Nobody waits for the answer any more; what can still be left undone is. May free @op. */
static void abandon(struct op *op)
{
	if (op->target && op->kind == OP_QUIESCE)
		who_log(op->target->domid, "QUIESCE", &op->asker.who,
			"given up, for that connection has ended");
	leave_asker(op);
	if (op->kind == OP_BATCH && op->batch)
		batch_abandon(op, EIO);
	else if ((op->kind != OP_START && op->kind != OP_RESET) || !op->under_way || op->done)
		op_free(op);
}

void toolstack_asker_gone(struct session *s)
{
	struct op *op, *next;

	for (op = TAILQ_FIRST(&s->asked); op; op = next) {
		next = TAILQ_NEXT(op, on_asker);
		/* A held back or forwarded INTRODUCE or RELEASE runs its course. */
		if (op->kind != OP_SETTLE)
			abandon(op);
	}
	update_end(s->daemon, s);
	lease_end(s->daemon, s);
}

void toolstack_control_gone(struct daemon *daemon, void *arg)
{
	struct op *op, *next;

	for (op = TAILQ_FIRST(&daemon->ops); op; op = next) {
		next = TAILQ_NEXT(op, link);
		if (op->asker.reply && op->asker.arg == arg)
			abandon(op);
	}
	lease_end(daemon, arg);
}

void toolstack_session_gone(struct session *s)
{
	struct op *op;

	toolstack_asker_gone(s);
	while ((op = TAILQ_FIRST(&s->asked)))
		op_free(op);
	while ((op = TAILQ_FIRST(&s->targeted))) {
		if (op->kind != OP_SETTLE) {
			op_finish(op, ENOENT);
			continue;
		}
		let_go(op);
		op->passed = true;
		if (op->asker.session && !op->under_way)
			session_ready(op->asker.session);
	}
}
