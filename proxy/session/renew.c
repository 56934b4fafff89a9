// SPDX-License-Identifier: MIT
#include "proxy/session/renew.h"

#include <errno.h>
#include <string.h>

#include "protocol/message.h"
#include "proxy/log.h"
#include "proxy/mirror/follow.h"
#include "proxy/observe/tap.h"
#include "proxy/session/again.h"
#include "proxy/session/pending.h"
#include "proxy/session/rest.h"
#include "proxy/session/session.h"
#include "proxy/util.h"

#define RELEASED "@releaseDomain"

bool renew_rests(const struct session *s)
{
	const struct ledger *ledger = s->ledger;
	enum ledger_state state = session_state(s);
	struct ring_view in;

	if (!session_settled(s) || s->injectors || renew_busy(s) || word_get(&ledger->fifo_fill) ||
	    word_get(&ledger->more.giant_left) || state == LEDGER_RESET || state == LEDGER_GREET)
		return false;
	return ring_load(&s->back.in, &in) || !ring_used(&in);
}

void renew_part(struct session *s)
{
	s->renew = (struct renew){ .what = RENEW_PART };
	session_ready(s);
}

static void begin(struct session *s, enum renew_what what, bool watches)
{
	s->renew = (struct renew){ .what = RENEW_NOTHING };
	/* Upstream is to have nothing of it, and has nothing. */
	if (session_state(s) == LEDGER_ENDED)
		return;
	s->renew = (struct renew){ .what = what, .watches = watches };
	/* Also what an xsproxyd before us has registered may have its first event yet. */
	if (watches)
		watches_unseen(&s->watches);
	session_ready(s);
}

void renew_expect(struct session *s)
{
	begin(s, RENEW_EXPECTED, true);
}

void renew_begin(struct session *s, bool watches)
{
	begin(s, RENEW_SETTLE, watches);
}

bool renew_busy(const struct session *s)
{
	return s->renew.what != RENEW_NOTHING;
}

bool renew_parted(const struct session *s)
{
	for (uint32_t slot = 0; slot < s->transactions.high; slot++)
		if (transaction_live(&s->transactions, (int)slot) &&
		    transaction_at(&s->transactions, (int)slot)->upstream ==
			    TRANSACTION_NOT_UPSTREAM)
			return true;
	return renew_busy(s);
}

/* Whether a request of ours, or of an xsproxyd before us, is not answered yet. */
static bool is_owed(const struct session *s)
{
	PENDING_EACH(s->ledger, slot)
	{
		if (s->ledger->pending[slot].flags & PENDING_RENEW)
			return true;
	}
	return false;
}

/* Return: whether the request has gone, and the next one is to follow. */
static bool ask(struct session *s, const struct message *msg, uint32_t ref)
{
	struct commit commit;

	commit_begin(&commit, &s->place);
	return !up_renew(s, &commit, msg, ref);
}

/* --- transactions */

/* It goes and is not upstream's any more in one step; that it conflicts may be known before. */
static bool part_one(struct session *s, int slot)
{
	struct ledger_tx *tx = transaction_at(&s->transactions, slot);
	struct message msg = { .hdr = { .type = XS_TRANSACTION_END, .tx_id = tx->upstream } };
	struct commit commit;

	if (tx->upstream == TRANSACTION_NOT_UPSTREAM)
		return true;
	message_set_text(&msg, "F", sizeof("F"));
	tx->flags |= TRANSACTION_CONFLICT;
	commit_begin(&commit, &s->place);
	commit_set(&commit, page_word(&tx->upstream), TRANSACTION_NOT_UPSTREAM);
	return !up_renew(s, &commit, &msg, PENDING_NO_TRANSACTION);
}

static bool open_one(struct session *s, int slot)
{
	static const struct message msg = { .hdr = { .type = XS_TRANSACTION_START, .len = 1 } };
	const struct ledger_tx *tx = transaction_at(&s->transactions, slot);

	return tx->upstream != TRANSACTION_NOT_UPSTREAM || ask(s, &msg, (uint32_t)slot);
}

/* Return: whether all have been looked at. */
static bool each_transaction(struct session *s, bool (*one)(struct session *s, int slot))
{
	for (; s->renew.slot < s->transactions.high; s->renew.slot++)
		if (transaction_live(&s->transactions, (int)s->renew.slot) &&
		    !one(s, (int)s->renew.slot))
			return false;
	return true;
}

/* --- watches */

/* Its id, which nobody gets back, says in which form it was sent. */
static bool watch_one(struct session *s)
{
	struct message msg = { .hdr = { .type = XS_WATCH, .req_id = s->renew.flat } };
	struct watch *watch = s->renew.watch;
	uint32_t len;
	const char *text = watch_text(&s->watches, watch, &len);

	message_set_text(&msg, text, s->renew.flat ? len : watch_octets(&s->watches, watch));
	if (!ask(s, &msg, watch_record(watch)))
		return false;
	s->renew.watch = watch_asked(&s->watches, watch);
	return true;
}

void renew_split(struct session *s, struct commit *commit, int slot, uint32_t sent, uint32_t size)
{
	struct ledger_more *more = ledger_more(s->ledger);

	commit_set(commit, &more->renew_slot, (uint32_t)slot);
	commit_set(commit, &more->renew_size, size);
	commit_set(commit, &more->renew_sent, sent);
}

bool renew_more(struct session *s)
{
	struct ledger_more *more = &s->ledger->more;
	uint32_t slot = word_get(&more->renew_slot);
	const struct ledger_pending *pending = &s->ledger->pending[slot];
	uint32_t sent = word_get(&more->renew_sent), size = word_get(&more->renew_size);
	uint32_t n = min_u32(again_room(s), size - sent);
	struct commit commit;
	struct message msg;

	if (!n) {
		s->back.starved = true;
		return false;
	}
	if (pending->flags & PENDING_AGAIN)
		again_sent(s, slot, &msg);
	up_write(s, pending, size - MESSAGE_HEADER,
		 pending->flags & PENDING_AGAIN ? (const void *)msg.payload
						: watchlog_at(&s->watches.log, pending->ref)->text,
		 sent, n);
	commit_begin(&commit, &s->place);
	endpoint_produce(&s->back, &commit, n);
	commit_set(&commit, &more->renew_sent, sent + n < size ? sent + n : 0);
	commit_end(&commit);
	return true;
}

/* --- all */

static bool ask_last(struct session *s)
{
	struct message msg = { .hdr.type = XS_GET_DOMAIN_PATH };

	message_set_text(&msg, "0", sizeof("0"));
	if (!ask(s, &msg, 0))
		return false;
	s->renew.what = RENEW_LAST;
	return true;
}

/* Those that are there say EEXIST. */
static void watch_again(struct session *s)
{
	s->renew.again = false;
	s->renew.what = RENEW_WATCHES;
	s->renew.watch = watches_first(&s->watches);
}

static void end(struct session *s)
{
	uint32_t lost = s->renew.lost;

	s->renew = (struct renew){ .what = RENEW_NOTHING };
	watches_seen(&s->watches);
	/* Its front is not read before. */
	session_ready(s);
	if (lost)
		log_limited(&s->source, LOG_ERR,
			    "watches that the new xenstored does not take: %u; they are lost",
			    lost);
}

bool renew_step(struct session *s)
{
	uint32_t seq = s->seq;

	if (session_state(s) == LEDGER_ENDED) {
		end(s);
		return false;
	}
	switch (s->renew.what) {
	case RENEW_PART:
		if (each_transaction(s, part_one) && !is_owed(s))
			end(s);
		break;
	case RENEW_SETTLE:
		if (is_owed(s))
			break;
		s->renew.what = RENEW_WATCHES;
		s->renew.watch = s->renew.watches ? watches_first(&s->watches) : NULL;
		return true;
	case RENEW_WATCHES:
		if (s->renew.watch)
			return watch_one(s);
		s->renew.what = RENEW_TRANSACTIONS;
		return true;
	case RENEW_TRANSACTIONS:
		if (each_transaction(s, open_one))
			return ask_last(s);
		break;
	case RENEW_LAST:
		if (is_owed(s))
			break;
		if (!s->renew.again) {
			end(s);
			break;
		}
		watch_again(s);
		return true;
	case RENEW_EXPECTED:
	case RENEW_NOTHING:
		break;
	}
	return s->seq != seq;
}

/*
 * This xenstored knows no depth: then without, so that the owner gets events that it has not asked
 * for, and none less.
 */
static void do_without_depth(struct session *s)
{
	if (s->renew.flat)
		return;
	s->renew.flat = s->renew.again = true;
	log_limited(&s->source, LOG_WARNING,
		    "the new xenstored knows no depth of a watch; events are told from any depth");
}

static void watch_answered(struct session *s, struct commit *commit,
			   const struct ledger_pending *pending, int err)
{
	bool deep = err == EINVAL && !pending->req_id &&
		    watchlog_at(&s->watches.log, pending->ref)->depth;
	/* EEXIST: told to the new xenstored by an xsproxyd before us. */
	bool there = !err || err == EEXIST || deep;

	if (deep)
		do_without_depth(s);
	if (!there)
		s->renew.lost++;
	watch_renewed(&s->watches, commit, pending->ref, there, !err || deep);
}

static void transaction_answered(struct session *s, struct commit *commit,
				 const struct ledger_pending *pending, const struct message *msg)
{
	struct ledger_tx *tx = transaction_at(&s->transactions, (int)pending->ref);

	if (msg->hdr.type == XS_ERROR || !tx)
		return;
	commit_set(commit, page_word(&tx->upstream), transaction_said(msg));
}

void renew_reply(struct session *s, struct commit *commit, const struct ledger_pending *pending,
		 struct message *msg)
{
	int err = msg->hdr.type == XS_ERROR ? message_error_parse(msg->payload, msg->hdr.len) : 0;

	if (pending->type == XS_WATCH && pending_is_intent(pending))
		watch_answered(s, commit, pending, err);
	else if (pending->type == XS_TRANSACTION_START)
		transaction_answered(s, commit, pending, msg);
}

void renew_pass(struct session *s)
{
	s->renew.pass = true;
}

void renew_end(const struct session *s, const struct ledger_pending *pending, struct message *msg)
{
	if (pending->ref == PENDING_NO_TRANSACTION ||
	    !transaction_live(&s->transactions, (int)pending->ref) ||
	    transaction_at(&s->transactions, (int)pending->ref)->upstream !=
		    TRANSACTION_NOT_UPSTREAM)
		return;
	msg->hdr.type = XS_TRANSACTION_END;
	message_set_text(msg, "OK", sizeof("OK"));
}

/* Whether a first event may be the only one of its kind (renew_drops()). */
static bool may_be_news(const struct session *s, const char *path)
{
	return s->renew.pass || !strncmp(path, RELEASED, strlen(RELEASED));
}

/* The watch whose first event it is, or NULL. */
static struct watch *first_of(const struct session *s, const struct message *msg)
{
	const char *vec[2];

	if (s->renew.what == RENEW_NOTHING || msg->hdr.type != XS_WATCH_EVENT ||
	    message_strings(msg->payload, msg->hdr.len, vec, 2) < 2 || may_be_news(s, vec[0]))
		return NULL;
	return watch_first_of(&s->watches, vec[0]);
}

bool renew_takes(const struct session *s, const struct message *msg)
{
	int slot = msg->hdr.type == XS_WATCH_EVENT ? -1 : pending_find(s->ledger, msg->hdr.req_id);

	if (slot < 0)
		return first_of(s, msg) != NULL;
	return (s->ledger->pending[slot].flags & PENDING_RENEW) != 0;
}

bool renew_overflows(struct session *s, int err)
{
	if (!err || (!renew_busy(s) && !rest_is_due(s)))
		return false;
	log_limited(&s->source, LOG_WARNING,
		    "no room for events while xenstored is exchanged (%s); some may be lost",
		    strerror(-err));
	return true;
}

bool renew_drops(struct session *s, const struct message *msg)
{
	struct watch *watch = first_of(s, msg);

	if (watch)
		watch_had_first(watch);
	return watch != NULL;
}

/* What an xsproxyd before us may have said of a connection that has ended, to nobody. */
static bool is_reset(const struct ledger_pending *pending)
{
	return pending->kind == PENDING_SWALLOW && pending->type == XS_RESET_WATCHES;
}

static void forget_requests(struct session *s, struct commit *commit)
{
	PENDING_EACH(s->ledger, slot)
	{
		const struct ledger_pending *pending = &s->ledger->pending[slot];

		if (!(pending->flags & PENDING_RENEW) && !is_reset(pending))
			continue;
		if (pending->type == XS_WATCH && pending_is_intent(pending))
			watch_renewed(&s->watches, commit, pending->ref, true, false);
		pending_drop(s->ledger, commit, (int)slot);
		follow_void(s->follower, slot);
	}
}

static bool forget_transaction(struct session *s, int slot)
{
	struct ledger_tx *tx = transaction_at(&s->transactions, slot);
	struct commit commit;

	/* What was changed in it is gone, also where xenstored has crashed. */
	tx->flags |= TRANSACTION_CONFLICT;
	commit_begin(&commit, &s->place);
	commit_set(&commit, page_word(&tx->upstream), TRANSACTION_NOT_UPSTREAM);
	commit_end(&commit);
	return true;
}

/* Octets of a message that was under way, in either direction. */
static void forget_octets(struct session *s, struct commit *commit)
{
	struct xenstore_domain_interface *back = s->place.back_page;
	struct ledger *ledger = s->ledger;

	commit_set(commit, &ledger->fifo_fill, 0);
	commit_set(commit, &ledger->more.giant_left, 0);
	commit_set(commit, &ledger->more.renew_sent, 0);
	if (word_get(&ledger->up_sent)) {
		commit_set(commit, &ledger->up_sent, 0);
		commit_set(commit, &ledger->up_fill, 0);
	}
	if (!back)
		return;
	commit_set(commit, page_word(&back->req_cons), 0);
	commit_set(commit, page_word(&back->req_prod), 0);
	commit_set(commit, page_word(&back->rsp_cons), 0);
	commit_set(commit, page_word(&back->rsp_prod), 0);
}

void renew_forget(struct session *s)
{
	struct commit commit;

	commit_begin(&commit, &s->place);
	forget_requests(s, &commit);
	forget_octets(s, &commit);
	commit_end(&commit);
	follow_reset(s->follower);
	s->renew = (struct renew){ .what = RENEW_NOTHING };
	/* The next one has nothing of it. */
	s->reset_sent = session_state(s) == LEDGER_ENDED;
	watches_seen(&s->watches);
	/* Those that had been opened again. */
	each_transaction(s, forget_transaction);
	s->renew.slot = 0;
}
