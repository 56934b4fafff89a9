// SPDX-License-Identifier: MIT
#include "proxy/session/track.h"

#include "protocol/control_text.h"
#include "proxy/session/hooks.h"
#include "proxy/session/limit.h"
#include "proxy/session/pending.h"
#include "proxy/session/session.h"

/* END T of a transaction that must not succeed goes upstream as F (down.c makes EAGAIN of it). */
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
