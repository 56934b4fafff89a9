// SPDX-License-Identifier: MIT
/*
 * down - from upstream to the front: replies find their request and get its ids back, events pass.
 *
 * Upstream is always drained, into the fifo when the front has no room: an undrained back stalls
 * other domains (docs/daemons.md, "Who does not read stalls others"). A reply that changes what is
 * known of the connection (WATCH, UNWATCH, TRANSACTION_*, RESET_WATCHES) does so in the commit that
 * passes it on.
 */
#include <errno.h>
#include <string.h>

#include "protocol/control_text.h"
#include "proxy/daemon.h"
#include "proxy/mirror/follow.h"
#include "proxy/observe/tap.h"
#include "proxy/session/again.h"
#include "proxy/session/hooks.h"
#include "proxy/session/limit.h"
#include "proxy/session/pending.h"
#include "proxy/session/rest.h"
#include "proxy/session/session.h"
#include "proxy/session/track.h"
#include "proxy/util.h"

/* A reply may be replaced by a short one of ours; room for that is always reserved. */
#define SHORT_MAX 64u

/* Whether messages may go straight into the front's queue. */
static bool front_takes(const struct session *s)
{
	return s->front_open && session_state(s) == LEDGER_RUN && !word_get(&s->ledger->batch);
}

static bool fits_front(const struct session *s, uint32_t size)
{
	return front_takes(s) && !fifo_used(&s->fifo) && !word_get(&s->ledger->fifo_fill) &&
	       !word_get(&s->ledger->fifo_left) &&
	       ring_room(&s->front.out, &s->front.out_view) >= size;
}

/*
 * Make room beyond the fifo's tail; without memory, a little later. A guest that merely does not
 * read gets less: the rest waits in xenstored, as natively, but for whoever waits for its replies.
 */
static bool fifo_can_take(struct session *s, uint32_t size)
{
	bool stands = session_state(s) == LEDGER_QUIET || word_get(&s->ledger->batch) ||
		      rest_is_due(s) || (s->drain.settle && pending_upstream(s->ledger));
	int err;

	if (!stands && fifo_used(&s->fifo) + size > FIFO_RUNNING)
		return false;
	err = fifo_reserve(&s->fifo, 0, size);
	if (err == -ENOMEM)
		session_retry(s);
	return !err;
}

bool down_reserve(struct session *s, uint32_t size)
{
	/* Not into the middle of a message; this session runs again with the rest of it. */
	if (word_get(&s->ledger->fifo_fill) || word_get(&s->ledger->more.giant_left))
		return false;
	size = max_u32(size, SHORT_MAX);
	return fits_front(s, size) || fifo_can_take(s, size);
}

void down_deliver(struct session *s, struct commit *commit, const struct message *msg)
{
	uint32_t size = message_size(&msg->hdr);

	if (!fits_front(s, max_u32(size, SHORT_MAX))) {
		fifo_append(&s->fifo, commit, msg);
		return;
	}
	ring_write(&s->front.out, s->front.out_view.prod, msg, size);
	endpoint_produce(&s->front, commit, size);
}

void down_answer(struct session *s, int slot, struct message *msg)
{
	const struct ledger_pending *pending = &s->ledger->pending[slot];
	struct commit commit;

	msg->hdr.req_id = pending->req_id;
	msg->hdr.tx_id = pending->tx_id;
	commit_begin(&commit, &s->place);
	down_deliver(s, &commit, msg);
	pending_drop(s->ledger, &commit, slot);
	commit_end(&commit);
	tap_reply(s->tap, slot, &msg->hdr, msg->payload, msg->hdr.len);
}

/* It is about to be quiesced, and could be now: no further event begins, or it would be in part. */
static bool stays_here(const struct session *s)
{
	return s->drain.quiesce && !word_get(&s->ledger->fifo_left) && session_drained(s);
}

/*
 * Move what waits into the front's queue, as far as there is room: a guest tells us that it has
 * read only if it found the queue full, so it must be filled to the brim.
 */
static bool flush(struct session *s)
{
	struct ledger *ledger = s->ledger;
	uint8_t octets[XENSTORE_RING_SIZE];
	bool moved = false;

	if (!front_takes(s))
		return false;
	while (fifo_used(&s->fifo)) {
		uint32_t head = word_get(&ledger->fifo_head), n;
		struct commit commit;

		if (stays_here(s))
			break;
		n = min_u32(fifo_next(&s->fifo), ring_room(&s->front.out, &s->front.out_view));
		n = min_u32(min_u32(n, sizeof(octets)), fifo_used(&s->fifo));
		if (!n) {
			s->front.starved = true;
			break;
		}
		fifo_read(&s->fifo, 0, octets, n);
		ring_write(&s->front.out, s->front.out_view.prod, octets, n);
		commit_begin(&commit, &s->place);
		endpoint_produce(&s->front, &commit, n);
		fifo_take(&s->fifo, &commit, n);
		commit_end(&commit);
		if (!fifo_used(&s->fifo) || head / POOL_PAGE != (head + n) / POOL_PAGE)
			fifo_trim(&s->fifo);
		moved = true;
	}
	return moved;
}

/* --- the guest's reconnection */

/* Upstream has forgotten the old connection: give the guest's ring back empty. */
static void reconnect_end(struct session *s, struct commit *commit)
{
	struct xenstore_domain_interface *page = s->place.front_page;

	commit_set(commit, page_word(&page->req_cons), 0);
	commit_set(commit, page_word(&page->req_prod), 0);
	commit_set(commit, page_word(&page->rsp_cons), 0);
	commit_set(commit, page_word(&page->rsp_prod), 0);
	commit_set(commit, &s->ledger->state, LEDGER_GREET);
	s->reset_sent = false;
}

/* --- one message from upstream */

static void event(struct session *s, struct commit *commit, const struct message *msg)
{
	enum ledger_state state = session_state(s);

	if (state == LEDGER_RESET || state == LEDGER_ENDED)
		return;
	if (renew_drops(s, msg) || (state == LEDGER_QUIET && fifo_has_event(&s->fifo, msg)))
		return;
	down_deliver(s, commit, msg);
	tap_event(s->tap, msg);
}

/* One that was asked again is answered: who has it do so is told. */
static void again_answered(struct session *s, const struct ledger_pending *pending)
{
	again_trim(s);
	if (pending->flags & PENDING_AGAIN && s->daemon->again_answered)
		s->daemon->again_answered(s->daemon, s);
}

/* What it was about is known as long as it is under way. */
static void refused(struct session *s, int slot, uint32_t type, const struct message *reply)
{
	char of[WORDING_FIRST_MAX];

	refusal_note(s, type, message_error_parse(reply->payload, reply->hdr.len),
		     tap_asked(s->tap, slot, of));
}

/* The reply to the request in @slot; frees the slot. */
static void reply(struct session *s, struct commit *commit, int slot, struct message *msg)
{
	struct ledger_pending pending = s->ledger->pending[slot];
	enum ledger_state state = session_state(s);
	struct op *op = s->ops[slot];

	msg->hdr.req_id = pending.req_id;
	msg->hdr.tx_id = pending.tx_id;
	follow_replied(s->follower, (uint32_t)slot,
		       msg->hdr.type == XS_ERROR ? message_error_parse(msg->payload, msg->hdr.len)
						 : 0);
	(pending.flags & PENDING_RENEW ? renew_reply : track_reply)(s, commit, &pending, msg);
	pending_drop(s->ledger, commit, slot);
	if (pending.flags & PENDING_AGAIN)
		again_taken(s, commit);
	s->ops[slot] = NULL;

	if (pending.kind == PENDING_FORWARD && msg->hdr.type == XS_ERROR && !s->socket)
		refused(s, slot, pending.type, msg);
	if (pending.kind == PENDING_FORWARD && state != LEDGER_RESET && state != LEDGER_ENDED) {
		down_deliver(s, commit, msg);
		tap_reply(s->tap, slot, &msg->hdr, msg->payload, msg->hdr.len);
	}
	if (pending.kind == PENDING_SWALLOW && pending.type == XS_RESET_WATCHES &&
	    state == LEDGER_RESET)
		reconnect_end(s, commit);
	commit_end(commit);
	again_answered(s, &pending);
	limit_reply(s, slot, &pending, msg);

	if (session_state(s) == LEDGER_GREET)
		session_greet(s);
	if (op)
		s->hooks->reply(s, op, &pending, msg);
}

/* @msg is whole; @commit already takes its last octets from the back. */
static void message(struct session *s, struct commit *commit, struct message *msg)
{
	int slot;

	if (msg->hdr.type == XS_WATCH_EVENT) {
		event(s, commit, msg);
		commit_end(commit);
		return;
	}
	slot = pending_find(s->ledger, msg->hdr.req_id);
	if (slot >= 0) {
		reply(s, commit, slot, msg);
		return;
	}
	commit_end(commit);
	/* From oxenstored: docs/daemons.md, "Events that are too long". */
	if (!msg->hdr.req_id && msg->hdr.type == XS_ERROR)
		log_limited(&s->source, LOG_WARNING, "xenstored lost an event for it");
	else
		log_limited(&s->source, LOG_ERR, "dropped a %s nobody asked for",
			    message_name(msg->hdr.type));
}

/* Octets that we may add to a reply. */
static uint32_t growth(const struct session *s, const struct xsd_sockmsg *hdr)
{
	int slot = hdr->type == XS_CONTROL ? pending_find(s->ledger, hdr->req_id) : -1;

	return slot >= 0 && (s->ledger->pending[slot].flags & PENDING_HELP) ? CONTROL_TEXT_HELP_MAX
									    : 0;
}

/*
 * While ADD_DOMAIN_WATCHES runs nothing goes to the front, and its answers come behind the events;
 * if no more of these fit it fails, and they are dropped. In an exchange all others wait for it.
 */
static bool overflows(struct session *s, const struct xsd_sockmsg *hdr)
{
	bool batch = word_get(&s->ledger->batch);
	int owed, err;

	if (hdr->type != XS_WATCH_EVENT || !(batch || renew_busy(s) || rest_is_due(s)))
		return false;
	owed = pending_upstream(s->ledger);
	err = fifo_reserve_before(&s->fifo, message_size(hdr) + SHORT_MAX, (uint32_t)owed);
	return renew_overflows(s, err) || (batch && owed && err == -ENOBUFS);
}

static bool drop_whole(struct session *s, uint32_t size)
{
	struct commit commit;

	commit_begin(&commit, &s->place);
	endpoint_consume(&s->back, &commit, size);
	commit_end(&commit);
	s->hooks->overflow(s);
	return true;
}

static bool whole_message(struct session *s, struct message *msg, uint32_t size)
{
	struct commit commit;

	ring_read(&s->back.in, s->back.in_view.cons + MESSAGE_HEADER, msg->payload, msg->hdr.len);
	if (!renew_takes(s, msg) && overflows(s, &msg->hdr))
		return drop_whole(s, size);
	if (!renew_takes(s, msg) && !down_reserve(s, size + growth(s, &msg->hdr)))
		return false;
	commit_begin(&commit, &s->place);
	endpoint_consume(&s->back, &commit, size);
	message(s, &commit, msg);
	return true;
}

/* The next piece of a message that is larger than the queue it comes through. */
static bool take_piece(struct session *s, struct message *msg)
{
	struct ledger *ledger = s->ledger;
	uint32_t fill = word_get(&ledger->fifo_fill), size = message_size(&msg->hdr);
	uint32_t n = min_u32(ring_used(&s->back.in_view), size - fill);
	uint8_t octets[XENSTORE_RING_SIZE];
	struct commit commit;

	n = min_u32(n, sizeof(octets));
	if (!n)
		return false;
	if (!fill && overflows(s, &msg->hdr)) {
		/* What is left of it is counted, but nowhere kept. */
		msg->hdr.type = XS_INVALID;
		s->hooks->overflow(s);
	}
	if (msg->hdr.type != XS_INVALID) {
		if (!fifo_can_take(s, size + growth(s, &msg->hdr)))
			return false;
		ring_read(&s->back.in, s->back.in_view.cons, octets, n);
		fifo_write(&s->fifo, fill, octets, n);
	}
	if (!fill)
		ledger->fifo_hdr = msg->hdr;
	commit_begin(&commit, &s->place);
	endpoint_consume(&s->back, &commit, n);
	if (fill + n < size) {
		commit_set(&commit, &ledger->fifo_fill, fill + n);
		commit_end(&commit);
		return true;
	}

	if (msg->hdr.type == XS_INVALID) {
		commit_set(&commit, &ledger->fifo_fill, 0);
		commit_end(&commit);
		return true;
	}

	/* It is whole now, right behind the tail, where delivering it will write it once more. */
	fifo_read(&s->fifo, fifo_used(&s->fifo) + MESSAGE_HEADER, msg->payload, msg->hdr.len);
	commit_set(&commit, &ledger->fifo_fill, 0);
	message(s, &commit, msg);
	fifo_trim(&s->fifo);
	return true;
}

/*
 * A socket's reply beyond the protocol's limit (oxenstored sends such): passed on as it comes.
 */
static bool giant_piece(struct session *s, struct message *msg)
{
	ledger_word *left = &ledger_more(s->ledger)->giant_left;
	uint32_t n = min_u32(ring_used(&s->back.in_view), word_get(left));
	struct ledger_pending pending = { 0 };
	uint8_t octets[XENSTORE_RING_SIZE];
	struct commit commit;
	int slot;

	commit_begin(&commit, &s->place);
	if (msg) {
		slot = pending_find(s->ledger, msg->hdr.req_id);
		if (slot >= 0)
			pending = s->ledger->pending[slot];
		n = MESSAGE_HEADER;
		if (!fifo_can_take(s, n))
			return false;
		commit_set(&commit, left, msg->hdr.len);
		fifo_count(&s->fifo, &msg->hdr);
		if (slot >= 0) {
			msg->hdr.req_id = s->ledger->pending[slot].req_id;
			msg->hdr.tx_id = s->ledger->pending[slot].tx_id;
			pending_drop(s->ledger, &commit, slot);
			if (s->ledger->pending[slot].flags & PENDING_AGAIN)
				again_taken(s, &commit);
			follow_void(s->follower, (uint32_t)slot);
			tap_reply(s->tap, slot, &msg->hdr, "", 0);
		}
		memcpy(octets, &msg->hdr, n);
	} else {
		n = min_u32(n, sizeof(octets));
		if (!n || !fifo_can_take(s, n))
			return false;
		ring_read(&s->back.in, s->back.in_view.cons, octets, n);
		commit_set(&commit, left, word_get(left) - n);
	}
	fifo_write(&s->fifo, 0, octets, n);
	endpoint_consume(&s->back, &commit, n);
	commit_set(&commit, &s->ledger->fifo_tail, word_get(&s->ledger->fifo_tail) + n);
	commit_end(&commit);
	again_answered(s, &pending);
	return true;
}

static bool take(struct session *s)
{
	uint32_t used = ring_used(&s->back.in_view), size;
	struct message msg;

	if (word_get(&s->ledger->more.giant_left))
		return giant_piece(s, NULL);
	if (word_get(&s->ledger->fifo_fill)) {
		msg.hdr = s->ledger->fifo_hdr;
		return take_piece(s, &msg);
	}
	if (used < MESSAGE_HEADER)
		return false;
	ring_read(&s->back.in, s->back.in_view.cons, &msg.hdr, MESSAGE_HEADER);
	if (msg.hdr.len > XENSTORE_PAYLOAD_MAX) {
		if (s->socket)
			return giant_piece(s, &msg);
		session_fail(s, XENSTORE_ERROR_COMM, "xenstored sent a message beyond 4096 octets");
		return false;
	}
	size = message_size(&msg.hdr);
	if (size > s->back.in.size)
		return take_piece(s, &msg);
	if (used < size)
		return false;
	return whole_message(s, &msg, size);
}

/* While it stands still the same event waits once: which ones do must be known, some a turn. */
static bool knows_events(struct session *s)
{
	if (session_state(s) != LEDGER_QUIET || !ring_used(&s->back.in_view) ||
	    fifo_note_some(&s->fifo))
		return true;
	session_ready(s);
	return false;
}

bool down_step(struct session *s)
{
	bool moved = flush(s);

	return (knows_events(s) && take(s)) || moved;
}
