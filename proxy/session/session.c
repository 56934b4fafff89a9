// SPDX-License-Identifier: MIT
#include "proxy/session/session.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/mirror/follow.h"
#include "proxy/observe/tap.h"
#include "proxy/session/again.h"
#include "proxy/session/audit.h"
#include "proxy/session/blame.h"
#include "proxy/session/hooks.h"
#include "proxy/session/pending.h"
#include "proxy/session/stand.h"
#include "proxy/util.h"

/* Messages that one turn may move in each direction before the next session has its turn. */
#define TURN_BUDGET 16

_Static_assert(LEDGER_PENDING <= TAP_SLOTS, "the tap has a place for each request");

/*
 * What a guest may have of what upstream offers it (docs/protocol.md, "What a guest sees"). 4:
 * depth
 */
#define FEATURES_OURS                                                                \
	(XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR | 4u | \
	 MESSAGE_FEATURE_DOMID_ANY)

/* See session_greet(). */
static void recover_greet(struct session *s)
{
	struct ledger *ledger = s->ledger;

	if (word_get(&ledger->state) != LEDGER_GREET)
		return;
	atomic_store(&ledger->state, atomic_load(page_word(&s->place.front_page->connection))
					     ? LEDGER_RESET
					     : LEDGER_RUN);
}

/* The caches of a recovered ledger. */
static int recover(struct session *s)
{
	struct ledger *ledger = s->ledger;
	int err;

	err = audit_words(ledger, s->socket);
	if (!err)
		err = transactions_recover(&s->transactions);
	if (!err)
		err = watchlog_recover(&s->watches.log);
	if (!err)
		err = audit_refs(ledger, &s->watches.log, &s->transactions);
	if (!err)
		err = watches_recover(&s->watches);
	if (!err)
		err = fifo_recover(&s->fifo, s->socket);
	if (err)
		return err;

	recover_greet(s);
	stand_recover(s);
	s->seq = pending_seq_recover(ledger);
	s->up_since = clock_seconds();
	if (word_get(&ledger->up_fill) <= MESSAGE_HEADER && !word_get(&ledger->up_sent))
		atomic_store(&ledger->up_page, 0);
	else
		err = account_claim(&s->account, word_get(&ledger->up_page));
	if (!err)
		err = again_recover(s);
	PENDING_EACH(ledger, slot)
	{
		const struct ledger_pending *pending = &ledger->pending[slot];

		/* In any other state it is a RESET_DOMAIN's. */
		if (pending->type == XS_RESET_WATCHES && pending->kind == PENDING_SWALLOW &&
		    (word_get(&ledger->state) == LEDGER_RESET ||
		     word_get(&ledger->state) == LEDGER_ENDED))
			s->reset_sent = true;
		if (pending->kind == PENDING_ANSWER)
			s->orphans |= 1u << slot;
	}
	return err;
}

/* No other session's is the same, ever; a ring's is that of its mapping. */
static uint64_t key_of(const struct session *s)
{
	if (s->socket)
		return s->ledger->of.cookie << 1 | 1;
	return ((uint64_t)s->ledger->map_gen << 16 | s->domid) << 1;
}

static void wake_cb(void *arg)
{
	session_ready(arg);
}

/* Of our own nothing is kept, but those that matter say little. Return: whether it does. */
static bool own_sent(const struct ledger_pending *pending, struct message *msg)
{
	msg->hdr = (struct xsd_sockmsg){ .type = pending->type, .tx_id = pending->up_tx };
	/* A transaction is ended for our own sake only so that nothing comes of it. */
	message_set_text(msg, "F", 2);
	return pending->kind == PENDING_SWALLOW &&
	       (pending->type == XS_RESET_WATCHES || pending->type == XS_TRANSACTION_END);
}

void session_follow(struct session *s)
{
	struct message msg;

	PENDING_EACH(s->ledger, slot)
	{
		const struct ledger_pending *pending = &s->ledger->pending[slot];

		if (own_sent(pending, &msg) ||
		    (pending->kind == PENDING_FORWARD && again_sent(s, slot, &msg)))
			follow_injected(s->follower, slot, &msg, msg.hdr.tx_id);
	}
}

static void run_task(struct loop_task *task)
{
	struct session *s = (struct session *)((char *)task - offsetof(struct session, task));

	if (s->socket)
		blame_socket(s->slot);
	else
		blame_turn(s->domid);
	session_run(s);
	blame_rest();
}

int session_new(struct session **out, const struct session_params *params, bool recovered)
{
	struct session *s = calloc(1, sizeof(*s));
	int err = 0;

	if (!s)
		return -ENOMEM;
	s->daemon = params->daemon;
	s->hooks = params->hooks;
	s->task.run = run_task;
	s->domid = params->domid;
	s->id = params->daemon->next_session++;
	s->source = (struct log_source){ .domid = s->domid, .session = s->id };
	s->socket = params->socket;
	s->privileged = params->domid == 0;
	s->front = params->front;
	s->back = params->back;
	s->place = params->place;
	s->ledger = params->place.ledger;
	s->attach = params->attach;
	/* Sockets have a pool of their own. */
	account_init(&s->account, params->pool, s->privileged && !s->socket, params->pages);
	/* One of a recovered ledger is claimed later, one that is there else is afresh.c's. */
	s->account.used = !recovered && word_get(&s->ledger->up_page);
	s->on_turn = params->on_turn;
	s->owner = params->owner;
	s->who = WHO_KERNEL;
	s->seq = 1;
	s->features = SESSION_OFFERS_NOTHING;
	TAILQ_INIT(&s->asked);
	TAILQ_INIT(&s->targeted);

	/* First of all: what the caches look at must be of one step. */
	if (recovered)
		err = ledger_recover(&s->place);
	transactions_init(&s->transactions, s->ledger, &s->account);
	watches_init(&s->watches, s->ledger, &s->account, s->domid);
	fifo_init(&s->fifo, s->ledger, &s->account);
	if (recovered && !err)
		err = recover(s);
	if (err) {
		/* Extents that were claimed stay so: whose they are is not certain any more. */
		watches_drop(&s->watches);
		free(s);
		return err;
	}
	s->tap = tap_new(s->daemon->taps, &s->source, s->socket);
	if (s->daemon->follow)
		s->follower = follow_join(s->daemon->follow, key_of(s), s->domid, s->privileged,
					  wake_cb, s);
	if (recovered)
		session_follow(s);
	*out = s;
	return 0;
}

void session_free(struct session *s, bool forget)
{
	if (!s)
		return;
	s->hooks->gone(s);
	loop_forget(s->daemon->loop, &s->task);
	refusals_fini(&s->refusals);
	s->tap = tap_free(s->tap);
	s->follower = follow_leave(s->follower, forget);
	if (forget) {
		again_release(s);
		account_release(&s->account, word_get(&s->ledger->up_page));
		atomic_store(&s->ledger->up_page, 0);
		transactions_fini(&s->transactions);
		fifo_fini(&s->fifo);
		watches_fini(&s->watches);
	}
	fifo_forget_events(&s->fifo);
	watches_drop(&s->watches);
	free(s);
}

void session_ready(struct session *s)
{
	if (!s->dead)
		loop_ready(s->daemon->loop, &s->task);
}

void session_retry(struct session *s)
{
	loop_retry(s->daemon->loop, &s->task);
}

/*
 * The C daemon zeroes the back ring after it was bound, then says so in `connection`
 * (docs/architecture.md, "INTRODUCE, RELEASE and the C daemon's zeroes").
 */
static bool back_awake(struct session *s)
{
	if (s->await_back)
		s->await_back = atomic_load_explicit(page_word(&s->place.back_page->connection),
						     memory_order_acquire) != XENSTORE_CONNECTED;
	return !s->await_back;
}

/* Each turn anew: oxenstored, and the C daemon for dom0, write theirs some time after the bind. */
static void offer_features(struct session *s)
{
	uint32_t theirs = atomic_load_explicit(page_word(&s->place.back_page->server_features),
					       memory_order_relaxed);

	if (s->features == (theirs & FEATURES_OURS))
		return;
	s->daemon->features |= theirs;
	s->features = theirs & FEATURES_OURS;
	s->place.front_page->server_features = s->features;
}

/* Nobody is there any more who asked for what we were to answer. */
static void drop_answers(struct session *s)
{
	struct commit commit;

	s->hooks->asker_gone(s);
	s->hooks->dropped(s);
	s->orphans = 0;
	commit_begin(&commit, &s->place);
	PENDING_EACH(s->ledger, slot)
	if (s->ledger->pending[slot].kind == PENDING_ANSWER)
		pending_drop(s->ledger, &commit, (int)slot);
	commit_end(&commit);
}

/* The guest wants its ring reset: what it was owed is void, what upstream holds for it must go. */
static void reconnect_begin(struct session *s)
{
	struct commit commit;

	commit_begin(&commit, &s->place);
	commit_set(&commit, &s->ledger->state, LEDGER_RESET);
	fifo_clear(&s->fifo, &commit);
	if (!word_get(&s->ledger->up_sent))
		commit_set(&commit, &s->ledger->up_fill, 0);
	commit_end(&commit);
	fifo_trim(&s->fifo);
	s->reset_sent = false;
	drop_answers(s);
	s->hooks->watches_lost(s);
	log_limited(&s->source, LOG_INFO, "the guest reconnects its ring");
}

/* Whether this turn may use the front; loads its indexes. */
static bool front_begin(struct session *s)
{
	enum ledger_state state = session_state(s);

	if (state != LEDGER_RUN)
		return false;
	if (!s->socket) {
		offer_features(s);
		if (atomic_load_explicit(page_word(&s->place.front_page->connection),
					 memory_order_acquire) != XENSTORE_CONNECTED) {
			/* xenstored would be told, and may be about to end. */
			if (!s->daemon->paused)
				reconnect_begin(s);
			return false;
		}
	}
	if (endpoint_begin(&s->front)) {
		session_fail(s, XENSTORE_ERROR_RINGIDX, "its ring indexes are broken");
		return false;
	}
	return true;
}

static bool back_begin(struct session *s)
{
	uint32_t error = s->place.back_page ? s->place.back_page->error : 0;

	if (endpoint_begin(&s->back)) {
		log_limited(&s->source, LOG_ERR, "xenstored broke the back ring's indexes");
		return false;
	}
	if (error && session_state(s) == LEDGER_RUN)
		session_fail(s, error, "xenstored ended its connection");
	return true;
}

/*
 * Linux stores its index and then looks at ours, with no full barrier in between: its store may
 * still be on its way when we look, and it may have seen our old index and sent no event. One more
 * turn, a round and a system call later, finds it; that turn moves nothing, so it is the last.
 * Where upstream owes a reply, the turn that this causes is late enough, too.
 */
static bool look_once_more(const struct session *s)
{
	if (s->socket)
		return false;
	return (endpoint_consumed(&s->front) && !pending_upstream(s->ledger)) ||
	       (s->front.starved && s->front.produced);
}

static enum rings_quiet wanted_quiet(const struct session *s)
{
	if (s->back.starved || s->drain.settle)
		return RINGS_QUIET_NOTHING;
	return word_get(&s->ledger->fifo_fill) ? RINGS_QUIET_ROOM : RINGS_QUIET_PARTS;
}

/* What the bridge need not tell us; a full barrier must follow before the ring is read again. */
static void set_quiet_bell(struct session *s, enum rings_quiet quiet_bell)
{
	if (s->socket || s->quiet_bell == quiet_bell)
		return;
	s->quiet_bell = quiet_bell;
	atomic_store_explicit(&s->attach->quiet_bell, quiet_bell, memory_order_relaxed);
}

void session_bound(struct session *s, bool reset)
{
	s->await_back = reset;
	s->unbound = false;
	/* Whoever was here before may have left it. */
	s->quiet_bell = RINGS_QUIET_ROOM;
	set_quiet_bell(s, RINGS_QUIET_NOTHING);
	session_ready(s);
}

/* Whether it has sent what nobody takes: it stands still, or is served slower than it asks. */
static bool is_unread(const struct session *s)
{
	return session_state(s) == LEDGER_QUIET || (s->front_open && ring_used(&s->front.in_view));
}

void session_run(struct session *s)
{
	bool again = false;
	int budget;

	if (s->dead || s->unbound || !back_awake(s) || !back_begin(s))
		return;
	s->front_open = (!s->daemon->paused || s->daemon->ebbs) && !renew_busy(s) && front_begin(s);

	for (budget = TURN_BUDGET; budget; budget--) {
		bool moved = down_step(s);

		if (!(up_step(s) || moved))
			break;
	}

	/*
	 * oxenstored decides how much of a message fits, and does not look again before an event
	 * comes: one of which we have only a part may be waiting for the room that we made since.
	 * A socket reads on.
	 */
	if ((s->socket || s->daemon->flavour == RINGS_FLAVOUR_OCAML) &&
	    (ring_used(&s->back.in_view) || word_get(&s->ledger->fifo_fill)))
		s->back.nudge = true;

	tap_turn_moved(s->tap, s->front_open && fifo_used(&s->fifo), is_unread(s));
	s->daemon->heard += endpoint_consumed(&s->back);
	set_quiet_bell(s, wanted_quiet(s));
	/* Our indexes must be visible before theirs are read again, or both sides might sleep. */
	atomic_thread_fence(memory_order_seq_cst);
	if (s->front_open)
		endpoint_kick(&s->front);
	endpoint_kick(&s->back);
	if (s->front_open)
		again = endpoint_again(&s->front) || look_once_more(s);
	s->front_open = false;
	if (watches_tidy(&s->watches, &s->place) || again || endpoint_again(&s->back) || !budget)
		session_ready(s);
	s->hooks->turn(s);
	if (s->on_turn)
		s->on_turn(s);
}

bool session_drained(const struct session *s)
{
	const struct ledger *ledger = s->ledger;

	/* What upstream has sent of a message only in part (fifo_fill) is of an event then. */
	return !word_get(&ledger->pending_mask) && !word_get(&ledger->up_fill) && !again_waits(s) &&
	       !s->fifo.waiting.replies && session_state(s) != LEDGER_RESET;
}

bool session_settled(const struct session *s)
{
	struct ring_view out;

	if (pending_upstream(s->ledger) || word_get(&s->ledger->up_sent) ||
	    word_get(&s->ledger->more.renew_sent))
		return false;
	/* Nothing will come of a broken ring; what may still come in are events. */
	return ring_load(&s->back.out, &out) || !ring_used(&out);
}

static void set_state(struct session *s, enum ledger_state state)
{
	struct commit commit;

	commit_begin(&commit, &s->place);
	commit_set(&commit, &s->ledger->state, state);
	commit_end(&commit);
}

void session_quiet(struct session *s)
{
	struct stand nobody = { 0 };

	stand_set(s, &nobody);
	set_state(s, LEDGER_QUIET);
}

void session_resume(struct session *s)
{
	if (session_state(s) != LEDGER_QUIET)
		return;
	set_state(s, LEDGER_RUN);
	fifo_forget_events(&s->fifo);
	session_ready(s);
}

/*
 * The guest may write to its ring, or reconnect again, as soon as it sees 0, so this store is in no
 * commit. Who finds LEDGER_GREET after a restart looks at `connection`: 0 means that it was stored;
 * 1 that it was not, or that the guest asks anew: then all is done once more (recover_greet()).
 */
void session_greet(struct session *s)
{
	atomic_store_explicit(page_word(&s->place.front_page->connection), XENSTORE_CONNECTED,
			      memory_order_release);
	set_state(s, LEDGER_RUN);
	s->front.kick(s->front.owner);
	session_ready(s);
}

void session_fail(struct session *s, uint32_t error, const char *why)
{
	struct commit commit;

	if (session_state(s) == LEDGER_ENDED)
		return;
	log_limited(&s->source, LOG_WARNING, "%s; its Xenstore connection %s", why,
		    s->socket ? "is closed" : "is ignored until the domain is released");
	ledger_blame(s->ledger, why);
	tap_dump(s->tap);
	commit_begin(&commit, &s->place);
	commit_set(&commit, &s->ledger->state, LEDGER_ENDED);
	if (s->place.front_page)
		commit_set(&commit, page_word(&s->place.front_page->error), error);
	commit_set(&commit, &ledger_more(s->ledger)->stub, fifo_sent(&s->fifo));
	fifo_clear(&s->fifo, &commit);
	if (!word_get(&s->ledger->up_sent))
		commit_set(&commit, &s->ledger->up_fill, 0);
	commit_end(&commit);
	fifo_trim(&s->fifo);
	drop_answers(s);
	s->reset_sent = false;
	s->front_open = false;
	if (s->place.front_page)
		s->front.kick(s->front.owner);
	session_ready(s);
}
