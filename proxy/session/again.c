// SPDX-License-Identifier: MIT
#include "proxy/session/again.h"

#include <errno.h>
#include <string.h>

#include "proxy/daemon.h"
#include "proxy/log.h"
#include "proxy/mirror/follow.h"
#include "proxy/observe/tap.h"
#include "proxy/session/hooks.h"
#include "proxy/session/pending.h"
#include "proxy/session/session.h"
#include "proxy/util.h"

/* Where in the back's queue a request begins, in the upper half of its flags. */
#define POS_SHIFT 16
#define POS_MASK  0xffffu

/* Ids wrap around (pending.c). */
#define SEQ_SHIFT 5
#define SEQ_MASK  0x1ffffffu

/* --- as long as it is not answered */

/* Whether what was sent of it must stay where it is in the queue. */
static bool stays(const struct ledger_pending *pending)
{
	return pending->kind == PENDING_FORWARD &&
	       !(pending->flags & (PENDING_LARGE | PENDING_AGAIN));
}

/* A part of it is with upstream, and all of it in the ledger. */
static bool is_halfway(const struct session *s, uint32_t slot)
{
	return word_get(&s->ledger->up_sent) && word_get(&s->ledger->up_slot) == slot;
}

uint32_t again_room(const struct session *s)
{
	uint32_t room = ring_room(&s->back.out, &s->back.out_view), size = s->back.out.size;

	PENDING_EACH(s->ledger, slot)
	{
		const struct ledger_pending *pending = &s->ledger->pending[slot];
		uint32_t back = (s->back.out_view.prod - (pending->flags >> POS_SHIFT)) & POS_MASK;

		/* One of xsproxy 0.1 does not say where it is; of one that is halfway all is in
		 * the ledger. */
		if (stays(pending) && back <= size && !is_halfway(s, slot))
			room = min_u32(room, size - back);
	}
	return room;
}

void again_mark(const struct session *s, struct ledger_pending *pending)
{
	pending->flags &= POS_MASK;
	pending->flags |= s->back.out_view.prod << POS_SHIFT;
}

bool again_has_extent(const struct session *s)
{
	return word_get(&s->ledger->more.kept_page);
}

void again_keep(struct session *s, struct commit *commit, uint32_t slot)
{
	struct ledger_more *more = ledger_more(s->ledger);

	more->kept_id = s->ledger->pending[slot].id;
	more->kept_len = s->ledger->up_hdr.len;
	commit_set(commit, &more->kept_page, word_get(&s->ledger->up_page));
}

static bool extent_is_used(const struct session *s)
{
	return pending_find(s->ledger, s->ledger->more.kept_id) >= 0;
}

static bool is_empty(const struct ledger *ledger)
{
	return word_get(&ledger->more.again_head) == word_get(&ledger->more.again_tail);
}

static void release_pages(struct session *s)
{
	struct ledger_more *more = ledger_more(s->ledger);

	for (uint32_t i = 0; i < LEDGER_AGAIN_PAGES; i++) {
		account_release(&s->account, word_get(&more->again_page[i]));
		atomic_store(&more->again_page[i], 0);
	}
}

void again_trim(struct session *s)
{
	struct ledger_more *more = &s->ledger->more;

	if (word_get(&more->kept_page) && !extent_is_used(s)) {
		account_release(&s->account, word_get(&more->kept_page));
		atomic_store(&more->kept_page, 0);
	}
	if (word_get(&more->again_page[0]) && is_empty(s->ledger))
		release_pages(s);
}

void again_release(struct session *s)
{
	struct ledger_more *more = ledger_more(s->ledger);

	account_release(&s->account, word_get(&more->kept_page));
	atomic_store(&more->kept_page, 0);
	release_pages(s);
}

int again_recover(struct session *s)
{
	struct ledger_more *more = ledger_more(s->ledger);
	int err = 0;

	/* What nobody refers to any more may be somebody else's. */
	if (!extent_is_used(s))
		atomic_store(&more->kept_page, 0);
	if (word_get(&more->kept_page))
		err = account_claim(&s->account, word_get(&more->kept_page));
	for (uint32_t i = 0; i < LEDGER_AGAIN_PAGES && !err; i++) {
		if (is_empty(s->ledger))
			atomic_store(&more->again_page[i], 0);
		else if (word_get(&more->again_page[i]))
			err = account_claim(&s->account, word_get(&more->again_page[i]));
	}
	return err;
}

/* --- what was sent */

static const struct ledger_pending *at_slot(const struct session *s, uint32_t slot)
{
	return &s->ledger->pending[slot];
}

static bool read_extent(const struct session *s, uint32_t page, const struct xsd_sockmsg *hdr,
			struct message *msg)
{
	if (!page || hdr->len > XENSTORE_PAYLOAD_MAX)
		return false;
	msg->hdr = *hdr;
	memcpy(msg->payload, account_page(&s->account, page), hdr->len);
	return true;
}

/* The header of one in the extent that is kept is in front of it no more; its length is behind. */
static bool read_large(const struct session *s, uint32_t slot, struct message *msg)
{
	const struct ledger *ledger = s->ledger;
	struct xsd_sockmsg hdr = { .len = ledger->more.kept_len };

	if (is_halfway(s, slot))
		return read_extent(s, word_get(&ledger->up_page), &ledger->up_hdr, msg);
	if (ledger->more.kept_id != at_slot(s, slot)->id)
		return false;
	return read_extent(s, word_get(&ledger->more.kept_page), &hdr, msg);
}

/* xenstored may write to the queue, too. */
static bool read_queue(const struct session *s, uint32_t slot, struct message *msg)
{
	const struct ledger_pending *pending = at_slot(s, slot);
	uint32_t pos = pending->flags >> POS_SHIFT;

	ring_read(&s->back.out, pos, &msg->hdr, MESSAGE_HEADER);
	if (msg->hdr.type != pending->type || msg->hdr.req_id != pending->id ||
	    message_size(&msg->hdr) > s->back.out.size)
		return false;
	ring_read(&s->back.out, pos + MESSAGE_HEADER, msg->payload, msg->hdr.len);
	return true;
}

static void copy(const struct session *s, uint32_t off, void *octets, uint32_t len, bool write);

static void read_first(const struct session *s, struct message *msg)
{
	uint32_t head = word_get(&s->ledger->more.again_head);

	copy(s, head, &msg->hdr, MESSAGE_HEADER, false);
	msg->hdr.len = min_u32(msg->hdr.len, XENSTORE_PAYLOAD_MAX);
	copy(s, head + MESSAGE_HEADER, msg->payload, msg->hdr.len, false);
}

bool again_sent(const struct session *s, uint32_t slot, struct message *msg)
{
	const struct ledger_pending *pending = at_slot(s, slot);
	bool there = true;

	if (pending->flags & PENDING_AGAIN)
		read_first(s, msg);
	else if (pending->flags & PENDING_LARGE)
		there = read_large(s, slot, msg);
	else
		there = read_queue(s, slot, msg);
	if (!there)
		return false;
	msg->hdr.type = pending->type;
	msg->hdr.req_id = pending->id;
	msg->hdr.tx_id = pending->up_tx;
	return true;
}

/* --- the extents */

static uint32_t page_of(const struct session *s, uint32_t off)
{
	return word_get(&s->ledger->more.again_page[off / POOL_PAGE % LEDGER_AGAIN_PAGES]);
}

static void copy(const struct session *s, uint32_t off, void *octets, uint32_t len, bool write)
{
	uint8_t *p = octets;

	while (len) {
		uint32_t n = min_u32(len, POOL_PAGE - off % POOL_PAGE);
		uint8_t *at =
			(uint8_t *)account_page(&s->account, page_of(s, off)) + off % POOL_PAGE;

		memcpy(write ? at : p, write ? p : at, n);
		p += n;
		off += n;
		len -= n;
	}
}

/* Return: whether there is memory for @len octets behind the last one. */
static bool reserve(struct session *s, uint32_t len)
{
	struct ledger_more *more = ledger_more(s->ledger);
	uint32_t end = word_get(&more->again_tail) + len;

	if (end > LEDGER_AGAIN_PAGES * POOL_PAGE)
		return false;
	for (uint32_t i = 0; i * POOL_PAGE < end; i++) {
		uint32_t page = word_get(&more->again_page[i]);

		if (!page)
			page = account_alloc_vital(&s->account);
		if (!page)
			return false;
		atomic_store(&more->again_page[i], page);
	}
	return true;
}

/* --- when xenstored has crashed */

static uint32_t age(const struct session *s, uint32_t slot)
{
	return (s->seq - (at_slot(s, slot)->id >> SEQ_SHIFT)) & SEQ_MASK;
}

/* The one that was asked first of those that it owes an answer to, or -1. */
static int oldest(const struct session *s)
{
	int found = -1;

	PENDING_EACH(s->ledger, slot)
	{
		if (at_slot(s, slot)->kind == PENDING_ANSWER ||
		    at_slot(s, slot)->flags & PENDING_RENEW)
			continue;
		if (found < 0 || age(s, slot) > age(s, (uint32_t)found))
			found = (int)slot;
	}
	return found;
}

static bool wants_answer(const struct session *s, const struct ledger_pending *pending)
{
	enum ledger_state state = session_state(s);

	return pending->kind == PENDING_FORWARD && (state == LEDGER_RUN || state == LEDGER_QUIET);
}

/* As the front has asked it. */
static bool restore(const struct session *s, uint32_t slot, struct message *msg)
{
	const struct ledger_pending *pending = at_slot(s, slot);

	if (!again_sent(s, slot, msg))
		return false;
	msg->hdr.req_id = pending->req_id;
	msg->hdr.tx_id = pending->tx_id;
	if (pending->flags & PENDING_CONFLICT && msg->hdr.len)
		msg->payload[0] = 'T';
	return true;
}

static void answer_eio(struct session *s, struct commit *commit, const struct xsd_sockmsg *asked,
		       int slot)
{
	struct message msg = { .hdr.req_id = asked->req_id, .hdr.tx_id = asked->tx_id };

	message_set_error(&msg, EIO);
	if (fifo_reserve(&s->fifo, 0, message_size(&msg.hdr)))
		return;
	fifo_append(&s->fifo, commit, &msg);
	tap_reply(s->tap, slot, &msg.hdr, msg.payload, msg.hdr.len);
}

/* Have @commit note it behind the others; what is not known any more gets EIO. Return: whether it
 * will be asked again. */
static bool append(struct session *s, struct commit *commit, uint32_t slot)
{
	const struct ledger_pending *pending = at_slot(s, slot);
	struct ledger_more *more = ledger_more(s->ledger);
	const struct xsd_sockmsg asked = { .req_id = pending->req_id, .tx_id = pending->tx_id };
	uint32_t tail = word_get(&more->again_tail);
	struct message msg;

	if (!restore(s, slot, &msg) || !reserve(s, message_size(&msg.hdr))) {
		log_limited(&s->source, LOG_ERR,
			    "a request that was under way when xenstored crashed is lost (%s): EIO",
			    message_name(pending->type));
		answer_eio(s, commit, &asked, (int)slot);
		return false;
	}
	copy(s, tail, &msg, message_size(&msg.hdr), true);
	commit_set(commit, &more->again_tail, tail + message_size(&msg.hdr));
	return true;
}

static void take_back(struct session *s, uint32_t slot, uint32_t *count)
{
	const struct ledger_pending pending = *at_slot(s, slot);
	bool halfway = is_halfway(s, slot), wanted = wants_answer(s, &pending);
	struct commit commit;

	commit_begin(&commit, &s->place);
	if (pending.flags & PENDING_AGAIN)
		++*count; /* it is there still */
	else if (wanted)
		*count += append(s, &commit, slot);
	if (pending_is_intent(&pending))
		watch_refused(&s->watches, &commit, pending.ref);
	if (halfway) {
		commit_set(&commit, &s->ledger->up_sent, 0);
		commit_set(&commit, &s->ledger->up_fill, 0);
	}
	if (word_get(&s->ledger->more.renew_sent) && word_get(&s->ledger->more.renew_slot) == slot)
		commit_set(&commit, &s->ledger->more.renew_sent, 0);
	pending_drop(s->ledger, &commit, (int)slot);
	commit_end(&commit);
	follow_void(s->follower, slot);
	if (s->ops[slot])
		s->hooks->lost(s, (int)slot);
}

uint32_t again_gather(struct session *s)
{
	uint32_t count = 0;
	int slot;

	while ((slot = oldest(s)) >= 0)
		take_back(s, (uint32_t)slot, &count);
	s->again.may = false;
	again_trim(s);
	return count;
}

void again_forget(struct session *s)
{
	struct ledger_more *more = ledger_more(s->ledger);
	struct commit commit;

	commit_begin(&commit, &s->place);
	commit_set(&commit, &more->again_head, 0);
	commit_set(&commit, &more->again_tail, 0);
	commit_end(&commit);
	again_trim(s);
}

/* --- asked again */

bool again_waits(const struct session *s)
{
	return s->ledger->more.map_gen == s->ledger->map_gen && !is_empty(s->ledger);
}

void again_let(struct session *s)
{
	s->again.may = true;
	session_ready(s);
}

bool again_is_under_way(const struct session *s)
{
	PENDING_EACH(s->ledger, slot)
	{
		if (at_slot(s, slot)->flags & PENDING_AGAIN)
			return true;
	}
	return false;
}

bool again_next(struct session *s, struct message *msg)
{
	/* There may be nobody. */
	if (s->daemon->parted || !s->again.may || !again_waits(s) || again_is_under_way(s))
		return false;
	read_first(s, msg);
	return true;
}

void again_taken(struct session *s, struct commit *commit)
{
	struct ledger_more *more = ledger_more(s->ledger);
	struct xsd_sockmsg hdr;
	uint32_t head = word_get(&more->again_head);

	copy(s, head, &hdr, MESSAGE_HEADER, false);
	head += MESSAGE_HEADER + min_u32(hdr.len, XENSTORE_PAYLOAD_MAX);
	s->again.may = false;
	if (head >= word_get(&more->again_tail))
		commit_set(commit, &more->again_tail, head = 0);
	commit_set(commit, &more->again_head, head);
}

int again_refuse(struct session *s)
{
	struct message msg;
	struct commit commit;

	if (!again_waits(s))
		return 0;
	read_first(s, &msg);
	if (fifo_reserve(&s->fifo, 0, MESSAGE_HEADER + 16))
		return -ENOMEM;
	commit_begin(&commit, &s->place);
	answer_eio(s, &commit, &msg.hdr, TAP_NO_SLOT);
	again_taken(s, &commit);
	commit_end(&commit);
	again_trim(s);
	return 0;
}
