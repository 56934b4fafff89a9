// SPDX-License-Identifier: MIT
#include "proxy/session/track.h"

#include <errno.h>
#include <stdio.h>

#include "protocol/control_text.h"
#include "proxy/session/hooks.h"
#include "proxy/session/limit.h"
#include "proxy/session/pending.h"
#include "proxy/session/session.h"

/* END T of a transaction that must not succeed goes upstream as F (track_end() makes it EAGAIN). */
static void end_transaction(struct session *s, struct message *msg, struct ledger_pending *pending)
{
	int slot = transaction_find(&s->transactions, msg->hdr.tx_id);

	pending->ref = PENDING_NO_TRANSACTION;
	if (slot < 0)
		return;
	pending->ref = (uint32_t)slot;
	if (!(transaction_at(&s->transactions, slot)->flags & TRANSACTION_CONFLICT))
		return;
	if (msg->hdr.len && msg->payload[0] == 'T') {
		msg->payload[0] = 'F';
		pending->flags |= PENDING_CONFLICT;
	}
}

/* How many watches it may have and what they may take, as configured now. */
static void bound_watches(struct session *s)
{
	s->watches.most = limit_own(s);
	s->watches.log.most = limit_memory(s) * POOL_MIB;
}

int track_request(struct session *s, struct commit *commit, struct message *msg,
		  struct ledger_pending *pending, uint32_t batch)
{
	int ret = 0;

	switch (msg->hdr.type) {
	case XS_WATCH:
		bound_watches(s);
		return -watch_intend(&s->watches, commit, msg->payload, msg->hdr.len, batch,
				     &pending->ref);
	case XS_UNWATCH:
		return -watch_intend_removal(&s->watches, commit, msg->payload, msg->hdr.len,
					     &pending->ref);
	case XS_TRANSACTION_START:
		ret = transaction_reserve(&s->transactions);
		if (ret < 0)
			return -ret;
		pending->ref = (uint32_t)ret;
		return 0;
	case XS_TRANSACTION_END:
		end_transaction(s, msg, pending);
		return 0;
	case XS_INTRODUCE:
	case XS_RELEASE:
	case XS_SET_TARGET:
		s->hooks->gate_pass(s, (int)(pending - s->ledger->pending));
		return 0;
	case XS_CONTROL:
		limit_request(s, (int)(pending - s->ledger->pending), msg);
		if (s->privileged && control_text_is_help(msg))
			pending->flags |= PENDING_HELP;
		return 0;
	default:
		return 0;
	}
}

/* --- what replies change */

static void track_watch(struct session *s, struct commit *commit,
			const struct ledger_pending *pending, bool ok)
{
	if (!pending_is_intent(pending))
		return;
	if (!ok)
		watch_refused(&s->watches, commit, pending->ref);
	else if (pending->type == XS_WATCH)
		watch_added(&s->watches, commit, pending->ref);
	else
		watch_removed(&s->watches, commit, pending->ref);
}

/* The guest gets upstream's id, unless it uses that one already. */
static void track_start(struct session *s, struct commit *commit,
			const struct ledger_pending *pending, struct message *msg)
{
	uint32_t upstream, guest, flags = 0;
	char text[16];

	if (msg->hdr.type == XS_ERROR)
		return;
	upstream = transaction_said(msg);
	if (pending->kind == PENDING_SWALLOW) {
		guest = pending->req_id;
		flags = TRANSACTION_CONFLICT;
	} else {
		guest = transaction_guest_id(&s->transactions, upstream);
	}
	transaction_open(&s->transactions, commit, (int)pending->ref, guest, upstream, flags);
	if (guest != upstream) {
		int n = snprintf(text, sizeof(text), "%u", guest);

		message_set_text(msg, text, (uint32_t)n + 1);
	}
}

/* What ends a transaction, and what does not: docs/daemons.md, "What ends a transaction". */
static void track_end(struct session *s, struct commit *commit,
		      const struct ledger_pending *pending, struct message *msg)
{
	renew_end(s, pending, msg);
	if (msg->hdr.type == XS_ERROR) {
		int err = message_error_parse(msg->payload, msg->hdr.len);

		if (err == EINVAL || err == EDQUOT)
			return;
	}
	if (pending->ref != PENDING_NO_TRANSACTION &&
	    transaction_live(&s->transactions, (int)pending->ref))
		transaction_end(&s->transactions, commit, (int)pending->ref);
	if (msg->hdr.type != XS_ERROR && (pending->flags & PENDING_CONFLICT))
		message_set_error(msg, EAGAIN);
}

/* Watches and transactions are gone at once: one word, the epoch, does it. */
static void track_reset(struct session *s, struct commit *commit, bool ok)
{
	struct ledger *ledger = s->ledger;

	if (!ok)
		return;
	session_bury(s);
	commit_set(commit, &ledger->epoch, ledger_next_epoch(ledger));
	commit_set(commit, &ledger->watch_gen, word_get(&ledger->watch_gen) + 1);
	watches_forget(&s->watches);
}

void track_reply(struct session *s, struct commit *commit, const struct ledger_pending *pending,
		 struct message *msg)
{
	bool ok = msg->hdr.type != XS_ERROR;

	/* A RESET_WATCHES follows it upstream (afresh.c). */
	if (pending->kind == PENDING_DISCARD)
		return;
	switch (pending->type) {
	case XS_WATCH:
	case XS_UNWATCH:
		track_watch(s, commit, pending, ok);
		break;
	case XS_TRANSACTION_START:
		track_start(s, commit, pending, msg);
		break;
	case XS_TRANSACTION_END:
		track_end(s, commit, pending, msg);
		break;
	case XS_RESET_WATCHES:
		track_reset(s, commit, ok);
		break;
	case XS_CONTROL:
		if (ok && (pending->flags & PENDING_HELP))
			control_text_help(msg);
		break;
	}
}
