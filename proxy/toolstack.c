// SPDX-License-Identifier: MIT
#include "proxy/toolstack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/control_text.h"
#include "proxy/daemon.h"
#include "proxy/domain.h"
#include "proxy/hold.h"
#include "proxy/op.h"
#include "proxy/pending.h"
#include "proxy/session.h"
#include "proxy/upstream.h"

/* A request of ours while it is being carried out. */
struct request {
	struct daemon *daemon;
	struct asker asker;
	struct message msg; /* as on the wire, whatever way it came */
	const struct arena *arena;
	uint32_t domid;
	struct session *target; /* the domain's session, or NULL */
	const char *rest;	/* what follows the domid */
	uint32_t rest_len;
};

bool toolstack_wants(const struct message *msg)
{
	return message_is_ours(msg->hdr.type) || control_text_type(msg);
}

/* Strictly decimal, as protocol.md wants it. Return: 0 or -EINVAL. */
static int parse_number(const char *text, uint32_t max, uint32_t *out)
{
	uint64_t n = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		n = n * 10 + (uint64_t)(*text - '0');
		if (n > max)
			return -EINVAL;
	}
	*out = (uint32_t)n;
	return 0;
}

/* The number that makes up all of what follows the domid. */
static int parse_rest_number(const struct request *req, uint32_t *out)
{
	if (!req->rest_len || strlen(req->rest) + 1 != req->rest_len)
		return -EINVAL;
	return parse_number(req->rest, UINT32_MAX, out);
}

static int parse_domid(struct request *req)
{
	const char *text = (const char *)req->msg.payload;
	uint32_t len = req->msg.hdr.len;

	/* Everything in our requests is made of terminated strings. */
	if (!len || text[len - 1])
		return -EINVAL;
	if (parse_number(text, ARENA_DOMID_MAX - 1, &req->domid))
		return -EINVAL;
	req->rest = text + strlen(text) + 1;
	req->rest_len = len - (uint32_t)(req->rest - text);
	req->target = domains_session(req->daemon->domains, req->domid);
	return 0;
}

/* --- the answers; each returns 0, a negative errno, or 1 when an op answers later */

static int answer_payload(struct request *req, struct message *reply)
{
	struct session *session = req->asker.session;

	reply->hdr.type = req->msg.hdr.type;
	if (session && session->ledger->pending[req->asker.slot].type == XS_CONTROL) {
		reply->hdr.type = XS_CONTROL;
		if (control_text_reply(req->msg.hdr.type, reply))
			return -E2BIG;
	}
	op_answer_message(&req->asker, reply);
	return 1;
}

/* QUIESCE, protocol.md. EINVAL for domain 0, ENOENT, EBUSY when it does not come to rest. */
static int quiesce(struct request *req)
{
	struct op *op;

	if (req->rest_len || !req->domid)
		return -EINVAL;
	if (!req->target)
		return -ENOENT;
	return op_new(&op, req->daemon, OP_QUIESCE, &req->asker, req->target, true) ? -ENOMEM : 1;
}

/* HOLD, protocol.md. EINVAL for domain 0, EEXIST when it is introduced already. */
static int hold(struct request *req)
{
	if (req->rest_len || !req->domid)
		return -EINVAL;
	if (req->target)
		return -EEXIST;
	hold_set(req->arena, req->domid);
	return 0;
}

/* UNQUIESCE, protocol.md: also ends a hold. */
static int unquiesce(struct request *req)
{
	bool held = hold_is(req->arena, req->domid);

	if (req->rest_len)
		return -EINVAL;
	hold_end(req->arena, req->domid);
	if (req->target)
		session_resume(req->target);
	else if (!held)
		return -ENOENT;
	return 0;
}

/* GET_DOMAIN_WATCHES, proposal: <gencnt>| then as many watches from <index> on as fit. */
static int get_watches(struct request *req)
{
	const struct watch *watch;
	struct message reply;
	uint32_t index, n;

	if (parse_rest_number(req, &index))
		return -EINVAL;
	if (!req->target)
		return -ENOENT;
	n = (uint32_t)sprintf((char *)reply.payload, "%u",
			      word_get(&req->target->ledger->watch_gen)) +
	    1;
	for (watch = watches_from(&req->target->watches, index); watch; watch = watch_next(watch)) {
		const char *depth = watch_depth(&req->target->watches, watch);
		uint32_t len, mark = depth ? (uint32_t)strlen(depth) + 2 : 0;
		const char *text = watch_text(&req->target->watches, watch, &len);

		if (n + mark + len > XENSTORE_PAYLOAD_MAX)
			break;
		/* An empty path, which no watch has: the depth of the watch that follows. */
		if (depth)
			memcpy(reply.payload + n, depth - 1, mark);
		if (depth)
			reply.payload[n] = '\0';
		memcpy(reply.payload + n + mark, text, len);
		n += mark + len;
	}
	reply.hdr.len = n;
	return answer_payload(req, &reply);
}

/* GET_DOMAIN_TRANSACTIONS, protocol.md. */
static int get_transactions(struct request *req)
{
	struct message reply;
	uint32_t n = 0;

	if (req->rest_len)
		return -EINVAL;
	if (!req->target)
		return -ENOENT;
	for (uint32_t slot = 0; slot < req->target->transactions.high; slot++) {
		struct ledger_tx *tx = transaction_at(&req->target->transactions, (int)slot);

		if (!transaction_live(&req->target->transactions, (int)slot))
			continue;
		if (n + sizeof("4294967295") > XENSTORE_PAYLOAD_MAX)
			return -E2BIG;
		n += (uint32_t)sprintf((char *)reply.payload + n, "%u", tx->guest) + 1;
	}
	reply.hdr.len = n;
	return answer_payload(req, &reply);
}

/*
 * GET_DOMAIN_STATE, docs/protocol.md: "held" (also before it is introduced), "quiesced", "ended" or
 * "running".
 */
static int get_state(struct request *req)
{
	const char *state = "running";
	struct message reply;

	if (req->rest_len)
		return -EINVAL;
	if (hold_is(req->arena, req->domid))
		state = "held";
	else if (!req->target)
		return -ENOENT;
	else if (session_state(req->target) == LEDGER_QUIET)
		state = "quiesced";
	else if (session_state(req->target) == LEDGER_ENDED)
		state = "ended";
	message_set_text(&reply, state, (uint32_t)strlen(state) + 1);
	return answer_payload(req, &reply);
}

static bool start_under_way(struct request *req, uint32_t id)
{
	struct op *op;

	TAILQ_FOREACH(op, &req->target->targeted, on_target)
		if (op->kind == OP_START && op->transaction == id)
			return true;
	return false;
}

/* START_DOMAIN_TRANSACTION, proposal. EEXIST if the id is open, EINVAL for 0. */
static int start_transaction(struct request *req)
{
	uint32_t id;
	struct op *op;

	if (parse_rest_number(req, &id) || !id)
		return -EINVAL;
	if (!req->target)
		return -ENOENT;
	if (transaction_find(&req->target->transactions, id) >= 0 || start_under_way(req, id))
		return -EEXIST;
	if (op_new(&op, req->daemon, OP_START, &req->asker, req->target, true))
		return -ENOMEM;
	op->transaction = id;
	return 1;
}

/* ADD_DOMAIN_WATCHES, proposal. */
static int add_watches(struct request *req)
{
	uint32_t strings = 0;
	int err;

	for (uint32_t i = 0; i < req->rest_len; i++)
		strings += !req->rest[i];
	if (!strings || strings % 2)
		return -EINVAL;
	if (!req->target)
		return -ENOENT;
	err = batch_begin(&req->asker, req->target, req->rest, req->rest_len);
	return err ? err : 1;
}

/*
 * RESET_DOMAIN, docs/protocol.md: take back what ADD_DOMAIN_WATCHES and START_DOMAIN_TRANSACTION
 * gave a domain that stands still. EBUSY if it runs.
 */
static int reset_domain(struct request *req)
{
	struct op *op;

	if (req->rest_len || !req->domid)
		return -EINVAL;
	if (!req->target)
		return -ENOENT;
	if (session_state(req->target) != LEDGER_QUIET)
		return -EBUSY;
	return op_new(&op, req->daemon, OP_RESET, &req->asker, req->target, true) ? -ENOMEM : 1;
}

static int carry_out(struct request *req)
{
	if (req->msg.hdr.type == MESSAGE_REFUSED || parse_domid(req))
		return -EINVAL;
	/* Only on the control socket: toolstack clients wait for xenstored. */
	req->arena = upstream_arena(req->daemon->upstream);
	if (!req->arena)
		return -EAGAIN;
	switch (req->msg.hdr.type) {
	case MESSAGE_QUIESCE:
		return quiesce(req);
	case MESSAGE_ADD_DOMAIN_WATCHES:
		return add_watches(req);
	case MESSAGE_GET_DOMAIN_WATCHES:
		return get_watches(req);
	case MESSAGE_START_DOMAIN_TRANSACTION:
		return start_transaction(req);
	case MESSAGE_UNQUIESCE:
		return unquiesce(req);
	case MESSAGE_HOLD:
		return hold(req);
	case MESSAGE_GET_DOMAIN_TRANSACTIONS:
		return get_transactions(req);
	case MESSAGE_GET_DOMAIN_STATE:
		return get_state(req);
	case MESSAGE_RESET_DOMAIN:
		return reset_domain(req);
	default:
		return -EINVAL;
	}
}

void toolstack_take(struct session *s, int slot, const struct message *msg)
{
	struct request req = { .daemon = s->daemon, .asker = { .session = s, .slot = slot } };
	int ret;

	if (msg->hdr.type == XS_CONTROL) {
		control_text_request(msg, &req.msg);
	} else {
		req.msg.hdr = msg->hdr;
		memcpy(req.msg.payload, msg->payload, msg->hdr.len);
	}
	ret = carry_out(&req);
	if (ret <= 0)
		op_answer(&req.asker, -ret);
}

void toolstack_ask(struct daemon *daemon, const struct message *msg, bool lease,
		   void (*reply)(void *arg, const struct message *msg), void *arg)
{
	struct request req = { .daemon = daemon,
			       .asker = {
				       .slot = -1, .reply = reply, .arg = arg, .lease = lease } };
	int ret;

	req.msg.hdr = msg->hdr;
	memcpy(req.msg.payload, msg->payload, msg->hdr.len);
	ret = carry_out(&req);
	if (ret <= 0)
		op_answer(&req.asker, -ret);
}

void toolstack_lease_end(struct daemon *daemon, uint32_t domid)
{
	struct session *s = domains_session(daemon->domains, domid);

	if (s && word_get(&s->ledger->lease))
		session_resume(s);
}

/* --- injected requests */

/* Whether the domain's own TRANSACTION_START is under way: which id it gets is not known yet. */
static bool own_start_pending(const struct session *s)
{
	PENDING_EACH(s->ledger, slot)
	if (s->ledger->pending[slot].type == XS_TRANSACTION_START)
		return true;
	return false;
}

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
	if (own_start_pending(target))
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

	if (!err)
		fifo_note_events(&s->fifo);
	return -err;
}

void toolstack_reply(struct session *s, struct op *op, const struct ledger_pending *pending,
		     const struct message *msg)
{
	int err = 0;

	(void)pending;
	if (msg->hdr.type == XS_ERROR)
		err = message_error_parse(msg->payload, msg->hdr.len);
	if (op->kind == OP_RESET && !err)
		err = drop_events(s);
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

void toolstack_lost(struct session *s, int slot)
{
	struct message msg = { 0 };
	struct op *op = s->ops[slot];

	s->ops[slot] = NULL;
	message_set_error(&msg, EIO);
	toolstack_reply(s, op, &s->ledger->pending[slot], &msg);
}

void toolstack_recover(struct session *s)
{
	/* Its connection has gone with the process that died. */
	if (word_get(&s->ledger->lease))
		session_resume(s);
	if (session_state(s) == LEDGER_QUIET)
		fifo_note_events(&s->fifo);
	if (batch_recover(s))
		log_domain(LOG_ERR, s->domid,
			   "no memory to take back a half-done ADD_DOMAIN_WATCHES");
}

/* --- the gate */

/*
 * The domid as xenstored will read it: the C daemon like atoi(), the OCaml one also 0x..., 0o...
 * and 0b... (semantics.md, section 5). A number that neither would take names no domain.
 */
static uint32_t upstream_domid(const struct session *s, const char *text)
{
	bool c_daemon = upstream_flavour(s->daemon->upstream) == ARENA_FLAVOUR_C;
	int base = 10;

	if (!c_daemon && text[0] == '0' && text[1]) {
		base = text[1] == 'x' ? 16 : text[1] == 'o' ? 8 : text[1] == 'b' ? 2 : 10;
		text += base == 10 ? 0 : 2;
	}
	return (uint32_t)strtoul(text, NULL, base);
}

/* oxenstored would forget dom0, and answer ENOENT (semantics.md, section 5). */
bool toolstack_forbids(struct session *s, const struct message *msg)
{
	return msg->hdr.type == XS_RELEASE && memchr(msg->payload, 0, msg->hdr.len) &&
	       !upstream_domid(s, (const char *)msg->payload);
}

bool toolstack_gate(struct session *s, const struct message *msg)
{
	struct asker asker = ASKER_NOBODY;
	struct session *target;
	struct op *op;

	if (!s->privileged || (msg->hdr.type != XS_INTRODUCE && msg->hdr.type != XS_RELEASE) ||
	    !memchr(msg->payload, 0, msg->hdr.len))
		return true;
	if (s->settle)
		return s->settle->passed;

	target = domains_session(s->daemon->domains, upstream_domid(s, (const char *)msg->payload));
	if (!target || target == s)
		return true;
	/* Without memory the request goes on unprotected, as it would have without us. */
	asker.session = s;
	if (op_new(&op, s->daemon, OP_SETTLE, &asker, target, true))
		return true;
	s->settle = op;
	op->passed = session_settled(target);
	return op->passed;
}
