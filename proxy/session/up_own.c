// SPDX-License-Identifier: MIT
/*
 * up_own - requests of our own on a session's behalf: those of toolstack/, RESET_WATCHES, and what
 * another xenstored is told of a connection. Called by up.c, renew.c and toolstack/ (session.h).
 */
#include <errno.h>
#include <string.h>

#include "proxy/mirror/follow.h"
#include "proxy/session/again.h"
#include "proxy/session/pending.h"
#include "proxy/session/session.h"
#include "proxy/session/track.h"
#include "proxy/session/up_parts.h"
#include "proxy/util.h"

/* Our own large request uses the place of the front's, which must stand at a boundary. */
static int borrow_page(struct session *s, const struct message *msg)
{
	uint32_t page;

	if (word_get(&s->ledger->up_fill))
		return -EAGAIN;
	up_release_page(s);
	page = account_alloc_vital(&s->account);
	if (!page)
		return -ENOMEM;
	atomic_store_explicit(&s->ledger->up_page, page, memory_order_release);
	memcpy(account_page(&s->account, page), msg->payload, msg->hdr.len);
	s->ledger->up_hdr = msg->hdr;
	return 0;
}

/*
 * Send a request of our own, which track_request() has taken for what it is. @commit also takes its
 * slot.
 */
static void send_own(struct session *s, struct commit *commit, struct message *msg, int slot)
{
	uint32_t size = message_size(&msg->hdr);

	pending_take(s->ledger, commit, slot);
	if (size > s->back.out.size) {
		up_send_first(s, commit, slot, msg);
	} else {
		up_write(s, &s->ledger->pending[slot], msg->hdr.len, msg->payload, 0, size);
		endpoint_produce(&s->back, commit, size);
	}
	commit_end(commit);
}

/* Return: a slot for a request of our own, for which there is room; or -EAGAIN. */
static int own_slot(struct session *s, const struct message *msg)
{
	int slot = pending_slot(s->ledger);

	/* Never between the pieces of another one. */
	if (slot < 0 || word_get(&s->ledger->up_sent) || word_get(&s->ledger->more.renew_sent) ||
	    !up_back_has_room(s, message_size(&msg->hdr)))
		return -EAGAIN;
	return slot;
}

int up_inject(struct session *s, const struct message *msg, struct op *op, uint32_t batch,
	      uint32_t guest_tx)
{
	int slot = own_slot(s, msg), err;
	struct ledger_pending *pending;
	struct message copy = *msg;
	struct commit commit;

	err = slot >= 0 && message_size(&msg->hdr) > s->back.out.size ? borrow_page(s, msg) : 0;
	if (slot < 0 || err)
		return err ? err : slot;
	pending = pending_fill(s->ledger, slot, &s->seq, &msg->hdr, PENDING_SWALLOW);
	pending->up_tx = msg->hdr.tx_id;
	commit_begin(&commit, &s->place);
	err = track_request(s, &commit, &copy, pending, batch);
	if (err && message_size(&msg->hdr) > s->back.out.size)
		up_release_page(s);
	if (err)
		return -refusal_bound(s, msg->hdr.type, err);
	if (guest_tx)
		pending->req_id = guest_tx;
	follow_injected(s->follower, (uint32_t)slot, &copy, pending->up_tx);
	send_own(s, &commit, &copy, slot);
	s->ops[slot] = op;
	return 0;
}

int up_renew(struct session *s, struct commit *commit, const struct message *msg, uint32_t ref)
{
	uint32_t size = message_size(&msg->hdr), n;
	int slot = own_slot(s, msg);
	struct ledger_pending *pending;

	if (slot < 0)
		return slot;
	pending = pending_fill(s->ledger, slot, &s->seq, &msg->hdr, PENDING_SWALLOW);
	pending->up_tx = msg->hdr.tx_id;
	pending->ref = ref;
	pending->flags = PENDING_RENEW;
	pending_take(s->ledger, commit, slot);
	follow_injected(s->follower, (uint32_t)slot, msg, pending->up_tx);
	n = min_u32(again_room(s), size);
	up_write(s, pending, msg->hdr.len, msg->payload, 0, n);
	endpoint_produce(&s->back, commit, n);
	if (n < size)
		renew_split(s, commit, slot, n, size);
	commit_end(commit);
	return 0;
}
