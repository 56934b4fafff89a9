// SPDX-License-Identifier: MIT
/*
 * up - from the front to upstream: one request at a time, whole.
 *
 * A request that lies in the front's queue whole and fits the back ring stays there until that has
 * room for it, and goes over in one step. Of others octets are taken as they come, into the ledger
 * (header) and an extent (payload), for Linux notifies us only if we have consumed all that it
 * wrote before; once whole they go upstream, in pieces if they are larger than the back ring.
 */
#include <errno.h>
#include <string.h>

#include "protocol/clock.h"
#include "protocol/control_text.h"
#include "proxy/daemon.h"
#include "proxy/mirror/follow.h"
#include "proxy/observe/tap.h"
#include "proxy/session/again.h"
#include "proxy/session/guard.h"
#include "proxy/session/hooks.h"
#include "proxy/session/pending.h"
#include "proxy/session/session.h"
#include "proxy/session/track.h"
#include "proxy/session/up_parts.h"
#include "proxy/util.h"

void up_release_page(struct session *s)
{
	if (s->again.taking)
		return;
	account_release(&s->account, word_get(&s->ledger->up_page));
	atomic_store_explicit(&s->ledger->up_page, 0, memory_order_relaxed);
}

/*
 * Have @commit take the rest of the request, @consume octets of which are still in the queue. One
 * that is asked again is there until it was answered.
 */
static void take_request(struct session *s, struct commit *commit, uint32_t consume, bool answered)
{
	if (s->again.taking) {
		if (answered)
			again_taken(s, commit);
		return;
	}
	if (consume)
		endpoint_consume(&s->front, commit, consume);
	if (word_get(&s->ledger->up_fill))
		commit_set(commit, &s->ledger->up_fill, 0);
}

/*
 * Refuse a request ourselves, once all earlier ones are answered: guests may rely on the order.
 * Return: whether it was done.
 */
static bool refuse(struct session *s, struct message *msg, uint32_t consume, int err)
{
	char of[WORDING_FIRST_MAX];
	struct commit commit;

	if (word_get(&s->ledger->pending_mask) || !down_reserve(s, 0))
		return false;
	err = refusal_bound(s, msg->hdr.type, err);
	if (!s->socket)
		refusal_note(s, msg->hdr.type, err, wording_first(of, msg->payload, msg->hdr.len));
	tap_request(s->tap, TAP_NO_SLOT, true, msg);
	message_set_error(msg, err);
	commit_begin(&commit, &s->place);
	take_request(s, &commit, consume, true);
	down_deliver(s, &commit, msg);
	commit_end(&commit);
	tap_reply(s->tap, TAP_NO_SLOT, &msg->hdr, msg->payload, msg->hdr.len);
	up_release_page(s);
	again_trim(s);
	s->hooks->dropped(s);
	return true;
}

/*
 * The transaction id that upstream sees. RESET_WATCHES ends all transactions, its own too: C
 * daemons without XSA-484 abort if it is inside an open one. Return: whether it can be said now.
 */
static bool upstream_tx(struct session *s, const struct xsd_sockmsg *hdr, uint32_t *id)
{
	uint32_t guest = hdr->tx_id;

	if (hdr->type == XS_RESET_WATCHES && transaction_find(&s->transactions, guest) >= 0)
		guest = 0;
	return transaction_upstream_id(&s->transactions, guest, id);
}

void up_write(struct session *s, const struct ledger_pending *pending, uint32_t body,
	      const void *payload, uint32_t off, uint32_t len)
{
	struct xsd_sockmsg hdr = {
		.type = pending->type,
		.req_id = pending->id,
		.tx_id = pending->up_tx,
		.len = body,
	};
	uint32_t pos = s->back.out_view.prod, n = 0;

	if (off < MESSAGE_HEADER) {
		n = min_u32(len, MESSAGE_HEADER - off);
		ring_write(&s->back.out, pos, (uint8_t *)&hdr + off, n);
	}
	if (n < len)
		ring_write(&s->back.out, pos + n,
			   (const uint8_t *)payload + (off + n - MESSAGE_HEADER), len - n);
}

void up_send_first(struct session *s, struct commit *commit, int slot, struct message *msg)
{
	uint32_t size = message_size(&msg->hdr);
	uint32_t n = min_u32(again_room(s), size);
	uint32_t *len = &s->ledger->up_hdr.len;

	if (*len != msg->hdr.len)
		commit_set(commit, page_word(len), msg->hdr.len);
	up_write(s, &s->ledger->pending[slot], msg->hdr.len, msg->payload, 0, n);
	endpoint_produce(&s->back, commit, n);
	commit_set(commit, &s->ledger->up_slot, (uint32_t)slot);
	commit_set(commit, &s->ledger->up_fill, size);
	commit_set(commit, &s->ledger->up_sent, n);
}

bool up_back_has_room(struct session *s, uint32_t size)
{
	uint32_t room = again_room(s);

	if (size > s->back.out.size && again_has_extent(s))
		return false;
	if (room >= size || (room && size > s->back.out.size))
		return true;
	s->back.starved = true;
	return false;
}

/* What track_request() changed must be in every piece. */
static void send_large(struct session *s, struct commit *commit, int slot, struct message *msg)
{
	struct ledger_pending *pending = &s->ledger->pending[slot];
	uint32_t size = message_size(&msg->hdr), n = min_u32(again_room(s), size);

	if (s->again.taking) {
		up_write(s, pending, msg->hdr.len, msg->payload, 0, n);
		endpoint_produce(&s->back, commit, n);
		renew_split(s, commit, slot, n, size);
		return;
	}
	pending->flags |= PENDING_LARGE;
	memcpy(account_page(&s->account, word_get(&s->ledger->up_page)), msg->payload,
	       msg->hdr.len);
	up_send_first(s, commit, slot, msg);
}

/*
 * Forward a whole request; @consume octets of it are still in the front's queue.
 * @said: what the front sent, in whatever form
 */
static bool forward(struct session *s, struct message *msg, struct message *said, uint32_t consume)
{
	uint32_t size = message_size(&msg->hdr);
	int slot = pending_slot(s->ledger), err;
	struct ledger_pending *pending;
	struct commit commit;
	uint32_t up_tx;
	int gate;

	if (slot < 0 || !up_back_has_room(s, size))
		return false;
	gate = s->hooks->gate(s, msg);
	if (gate < 0)
		return refuse(s, said, consume, -gate);
	if (!gate || !upstream_tx(s, &msg->hdr, &up_tx))
		return false;
	if (msg->hdr.type == XS_WATCH && watches_clogged(&s->watches))
		return false;
	if (!follow_may(s->follower, msg, up_tx))
		return false;

	pending = pending_fill(s->ledger, slot, &s->seq, &msg->hdr, PENDING_FORWARD);
	pending->up_tx = up_tx;
	commit_begin(&commit, &s->place);
	err = track_request(s, &commit, msg, pending, 0);
	if (err && msg->hdr.type == XS_WATCH && watches_make_room(&s->watches)) {
		session_ready(s);
		return false;
	}
	if (err)
		return refuse(s, said, consume, err);

	again_mark(s, pending);
	pending->flags |= s->again.taking ? PENDING_AGAIN : 0;
	pending_take(s->ledger, &commit, slot);
	follow_asked(s->follower, (uint32_t)slot, msg, up_tx);
	if (size > s->back.out.size) {
		send_large(s, &commit, slot, msg);
		commit_end(&commit);
	} else {
		up_write(s, pending, msg->hdr.len, msg->payload, 0, size);
		endpoint_produce(&s->back, &commit, size);
		take_request(s, &commit, consume, false);
		commit_end(&commit);
		up_release_page(s);
	}
	if (pending->flags & PENDING_CONFLICT)
		msg->payload[0] = 'T'; /* as the guest said */
	tap_request(s->tap, slot, false, said);
	return true;
}

/* A request that we answer ourselves, now or later: it only moves into a pending slot. */
static bool take_ours(struct session *s, struct message *msg, uint32_t consume)
{
	int slot = pending_slot(s->ledger);
	struct commit commit;

	/* Most are answered at once, so there must be room for any answer. */
	if (slot < 0 || !down_reserve(s, MESSAGE_MAX))
		return false;
	pending_fill(s->ledger, slot, &s->seq, &msg->hdr, PENDING_ANSWER);
	commit_begin(&commit, &s->place);
	pending_take(s->ledger, &commit, slot);
	take_request(s, &commit, consume, true);
	commit_end(&commit);
	up_release_page(s);
	again_trim(s);
	tap_request(s->tap, slot, true, msg);
	s->hooks->take(s, slot, msg);
	return true;
}

/* All of it has gone; its extent is of use until it was answered. */
static void end_large(struct session *s, struct commit *commit)
{
	struct ledger *ledger = s->ledger;
	uint32_t slot = word_get(&ledger->up_slot);
	bool kept = ledger->pending[slot].kind == PENDING_FORWARD;

	commit_set(commit, &ledger->up_sent, 0);
	commit_set(commit, &ledger->up_fill, 0);
	if (kept)
		again_keep(s, commit, slot);
	commit_end(commit);
	if (kept)
		atomic_store_explicit(&ledger->up_page, 0, memory_order_relaxed);
	else
		up_release_page(s);
}

/* The next piece of a request larger than the back ring. */
static bool send_more(struct session *s)
{
	struct ledger *ledger = s->ledger;
	uint32_t sent = word_get(&ledger->up_sent), size = message_size(&ledger->up_hdr);
	uint32_t n = min_u32(again_room(s), size - sent);
	struct commit commit;

	if (!n) {
		s->back.starved = true;
		return false;
	}
	up_write(s, &ledger->pending[word_get(&ledger->up_slot)], ledger->up_hdr.len,
		 account_page(&s->account, word_get(&ledger->up_page)), sent, n);
	commit_begin(&commit, &s->place);
	endpoint_produce(&s->back, &commit, n);
	if (sent + n < size) {
		commit_set(&commit, &ledger->up_sent, sent + n);
		commit_end(&commit);
		return true;
	}
	end_large(s, &commit);
	return true;
}

/* Take octets of a request that is not whole yet, or larger than a ring; @want in all. */
static bool take_octets(struct session *s, uint32_t want)
{
	struct ledger *ledger = s->ledger;
	uint32_t fill = word_get(&ledger->up_fill);
	uint32_t n = min_u32(ring_used(&s->front.in_view), want - fill);
	uint8_t *to = (uint8_t *)&ledger->up_hdr + fill;
	struct commit commit;

	if (!n)
		return false;
	if (fill >= MESSAGE_HEADER) {
		if (!word_get(&ledger->up_page)) {
			uint32_t page = account_alloc_vital(&s->account);

			if (!page) {
				session_retry(s);
				return false;
			}
			atomic_store_explicit(&ledger->up_page, page, memory_order_release);
		}
		to = (uint8_t *)account_page(&s->account, word_get(&ledger->up_page)) + fill -
		     MESSAGE_HEADER;
	}
	if (!fill)
		s->up_since = clock_seconds();
	ring_read(&s->front.in, s->front.in_view.cons, to, n);
	commit_begin(&commit, &s->place);
	endpoint_consume(&s->front, &commit, n);
	commit_set(&commit, &ledger->up_fill, fill + n);
	commit_end(&commit);
	return true;
}

/* A request that is upstream's to answer, if it is in a form that both of us read alike. */
static bool pass(struct session *s, struct message *msg, uint32_t consume)
{
	struct message unified, *up;
	int ret = guard_form(s, msg, &unified);
	uint32_t type = msg->hdr.type;

	if (ret < 0) {
		if (!refuse(s, msg, consume, guard_error(s, &msg->hdr)))
			return false;
		guard_note(s, type, ret);
		return true;
	}
	up = ret ? &unified : msg;
	if (s->privileged && s->hooks->forbids(up))
		return refuse(s, msg, consume, EINVAL);
	if (s->privileged && s->hooks->spares(s, up))
		return take_ours(s, msg, consume);
	return forward(s, up, msg, consume);
}

/* A whole request is in @msg. */
static bool request(struct session *s, struct message *msg, uint32_t consume)
{
	if (!s->privileged && message_is_ours(msg->hdr.type))
		return refuse(s, msg, consume, EACCES);
	if (s->privileged && s->hooks->root_only(s, msg))
		return refuse(s, msg, consume, EPERM);
	if (s->privileged && s->hooks->wants(msg))
		return take_ours(s, msg, consume);
	/* An oxenstored with allow-debug would let a guest have it restarted. */
	if (control_text_type(msg) == MESSAGE_LIVE_UPDATE)
		return refuse(s, msg, consume, EACCES);
	return pass(s, msg, consume);
}

/*
 * Our own RESET_WATCHES: what upstream holds for a guest that reconnects or broke the protocol.
 * One octet of payload, for oxenstored hangs on none over a socket (docs/daemons.md, "Sockets").
 */
static bool reset_upstream(struct session *s)
{
	static const struct message msg = { .hdr = { .type = XS_RESET_WATCHES, .len = 1 } };
	int err = up_inject(s, &msg, NULL, 0, 0);

	if (err == -ENOMEM)
		session_retry(s);
	if (err)
		return false;
	s->reset_sent = true;
	return true;
}

static bool must_reset(const struct session *s)
{
	enum ledger_state state = session_state(s);

	/* There may be nobody. */
	if (s->daemon->parted)
		return false;
	return (state == LEDGER_RESET || state == LEDGER_ENDED) && !s->reset_sent && !s->socket;
}

/*
 * Octets that may wait for a front that does not read before no further request is taken. Not 0: a
 * simple guest may read nothing while it writes a long request, and natively it may.
 */
#define UNREAD_MAX 16384u

/* Whether the front may be asked for more; @started: its request is half taken. */
static bool may_take(const struct session *s, bool started)
{
	if (!s->front_open || word_get(&s->ledger->batch) || s->drain.settle || again_waits(s))
		return false;
	if (started)
		return true;
	return !s->drain.quiesce && !s->daemon->paused && !s->injectors &&
	       fifo_used(&s->fifo) < UNREAD_MAX;
}

/* A request that xenstored crashed over, as if the front had asked it now. */
static bool ask_again(struct session *s, struct message *msg)
{
	bool moved;

	s->again.taking = true;
	moved = request(s, msg, 0);
	s->again.taking = false;
	/* We have answered it ourselves. */
	if (moved && !again_is_under_way(s) && s->daemon->again_answered)
		s->daemon->again_answered(s->daemon, s);
	return moved;
}

bool up_step(struct session *s)
{
	struct ledger *ledger = s->ledger;
	uint32_t fill = word_get(&ledger->up_fill), used, size, in_hdr;
	struct message msg;

	if (word_get(&ledger->up_sent))
		return send_more(s);
	if (word_get(&ledger->more.renew_sent))
		return renew_more(s);
	if (must_reset(s))
		return reset_upstream(s);
	/* Nothing behind that reset; nor while an INTRODUCE may reset the back ring at any time. */
	if (s->renew.what != RENEW_NOTHING && renew_step(s))
		return true;
	if (s->injectors && !s->daemon->parted && !s->drain.settle &&
	    session_state(s) != LEDGER_ENDED && s->hooks->inject(s))
		return true;
	if (again_next(s, &msg))
		return ask_again(s, &msg);
	if (!may_take(s, fill != 0))
		return false;

	used = ring_used(&s->front.in_view);
	if (fill + used < MESSAGE_HEADER)
		return take_octets(s, MESSAGE_HEADER);

	/* The header is read here, once; from now on only the copy counts. */
	in_hdr = min_u32(fill, MESSAGE_HEADER);
	memcpy(&msg.hdr, &ledger->up_hdr, in_hdr);
	ring_read(&s->front.in, s->front.in_view.cons, (uint8_t *)&msg.hdr + in_hdr,
		  MESSAGE_HEADER - in_hdr);
	if (msg.hdr.len > XENSTORE_PAYLOAD_MAX) {
		session_fail(s, XENSTORE_ERROR_PROTO, "a request is longer than 4096 octets");
		return false;
	}

	size = message_size(&msg.hdr);
	if (fill == size) {
		if (msg.hdr.len)
			memcpy(msg.payload, account_page(&s->account, word_get(&ledger->up_page)),
			       msg.hdr.len);
		return request(s, &msg, 0);
	}
	if (fill <= MESSAGE_HEADER && fill + used >= size && size <= s->back.out.size) {
		ring_read(&s->front.in, s->front.in_view.cons + MESSAGE_HEADER - in_hdr,
			  msg.payload, msg.hdr.len);
		return request(s, &msg, size - fill);
	}
	return take_octets(s, fill < MESSAGE_HEADER ? MESSAGE_HEADER : size);
}
