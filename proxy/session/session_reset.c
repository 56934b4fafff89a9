// SPDX-License-Identifier: MIT
/*
 * session_reset - what a connection loses when upstream has forgotten it. Called by host/domain.c,
 * and session_bury() by track.c.
 */
#include <errno.h>

#include "proxy/daemon.h"
#include "proxy/mirror/follow.h"
#include "proxy/observe/tap.h"
#include "proxy/session/again.h"
#include "proxy/session/hooks.h"
#include "proxy/session/pending.h"
#include "proxy/session/session.h"

/* Upstream will never answer these. */
static void answer_unanswerable(struct session *s)
{
	enum ledger_state state = session_state(s);
	bool deliver = state == LEDGER_RUN || state == LEDGER_QUIET, again = false;

	PENDING_EACH(s->ledger, slot)
	{
		const struct ledger_pending *pending = &s->ledger->pending[slot];
		struct message msg = { .hdr.req_id = pending->req_id, .hdr.tx_id = pending->tx_id };
		struct commit commit;

		if (pending->kind == PENDING_ANSWER)
			continue;
		message_set_error(&msg, EIO);
		commit_begin(&commit, &s->place);
		if (deliver && pending->kind == PENDING_FORWARD &&
		    !fifo_reserve(&s->fifo, 0, message_size(&msg.hdr))) {
			fifo_append(&s->fifo, &commit, &msg);
			tap_reply(s->tap, (int)slot, &msg.hdr, msg.payload, msg.hdr.len);
		}
		pending_drop(s->ledger, &commit, (int)slot);
		/* Those behind it are asked yet. */
		if (pending->flags & PENDING_AGAIN) {
			again_taken(s, &commit);
			again = true;
		}
		commit_end(&commit);
		follow_lost(s->follower, slot);
		if (s->ops[slot])
			s->hooks->lost(s, (int)slot);
	}
	again_trim(s);
	if (again && s->daemon->again_answered)
		s->daemon->again_answered(s->daemon, s);
	follow_reset(s->follower);
}

void session_bury(struct session *s)
{
	if (!ledger_must_bury(s->ledger))
		return;
	transactions_bury(&s->transactions);
	watchlog_bury(&s->watches.log);
}

void session_upstream_reset(struct session *s)
{
	struct commit commit;

	commit_begin(&commit, &s->place);
	commit_set(&commit, &s->ledger->fifo_fill, 0);
	commit_set(&commit, &s->ledger->more.renew_sent, 0);
	if (word_get(&s->ledger->up_sent)) {
		commit_set(&commit, &s->ledger->up_sent, 0);
		commit_set(&commit, &s->ledger->up_fill, 0);
	}
	commit_end(&commit);
	answer_unanswerable(s);
	s->hooks->watches_lost(s);

	session_bury(s);
	watches_end(&s->watches, &s->place);
	s->renew = (struct renew){ .what = RENEW_NOTHING };
	s->reset_sent = false;
	s->await_back = true;
}
