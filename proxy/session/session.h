/* SPDX-License-Identifier: MIT */
/*
 * session - one connection: a front, a back, and what is known of the requests, watches and
 * transactions between them. Guests, dom0's kernel and toolstack sockets are all sessions.
 *
 * session_run() is one turn: first what upstream says (down.c), then what the front asks (up.c), a
 * bounded number of messages, then the bells. Only a session sees both of its sides, and no session
 * touches another one. Everything that must outlive the process is in the ledger.
 *
 * The rules that all steps obey: a message is copied to private memory once, then checked, then
 * used; a step writes where nobody looks and ends in one commit; a guest's fault ends its own
 * session at most.
 *
 * Made by host/domain.c and host/client.c, run by the loop, asked and told by toolstack/; what it
 * asks of them goes through hooks.h. Must never wait, nor know who is above it.
 */
#ifndef XSPROXY_PROXY_SESSION_SESSION_H
#define XSPROXY_PROXY_SESSION_SESSION_H

#include <sys/queue.h>

#include "link/rings.h"
#include "protocol/message.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/session/endpoint.h"
#include "proxy/session/fifo.h"
#include "proxy/session/ledger.h"
#include "proxy/session/limit.h"
#include "proxy/session/refusal.h"
#include "proxy/session/renew.h"
#include "proxy/session/transaction.h"
#include "proxy/session/watch.h"
#include "proxy/session/who.h"

struct daemon;
struct follower;
struct op;
struct session_hooks;
struct tap;

/* Why a session's front is read no further; several reasons may hold at once. */
struct session_drain {
	uint32_t quiesce; /* QUIESCE requests that wait */
	uint32_t settle;  /* INTRODUCE or RELEASE of this domain, held back or under way */
	bool closing;	  /* the client has gone */
};

/* Of again.c. */
struct session_again {
	bool may;    /* the next one may go */
	bool taking; /* what up.c has in hand is such a request, not the front's */
};

#define SESSION_OFFERS_NOTHING UINT32_MAX /* of `features`: so far */

struct session {
	struct daemon *daemon;
	const struct session_hooks *hooks;
	struct loop_task task;
	uint32_t domid;		     /* 0 for toolstack sockets too */
	uint32_t id;		     /* for the log */
	uint32_t slot;		     /* sockets: see host/slots.h */
	bool socket;		     /* a toolstack client's; else a ring */
	bool privileged;	     /* may use the toolstack requests: dom0's ring and sockets */
	bool await_back;	     /* the C daemon has not reset the back ring yet */
	bool unbound;		     /* rings: between xenstored's unbind and bind */
	bool dead;		     /* to be freed at the end of the round */
	bool front_open;	     /* this turn may touch the front */
	enum rings_quiet quiet_bell; /* what the bridge knows */
	struct session_again again;
	bool reset_sent; /* our RESET_WATCHES is under way, or answered in LEDGER_ENDED */
	struct session_drain drain;

	struct endpoint front;
	struct endpoint back;
	struct ledger_place place;
	struct ledger *ledger;	     /* place.ledger */
	struct rings_attach *attach; /* rings only */

	struct account account;
	struct transactions transactions;
	struct watches watches;
	struct fifo fifo;
	uint32_t seq; /* of request ids; pending.h */
	/* server_features, as they were last put into the guest's page */
	uint32_t features;
	uint32_t orphans; /* PENDING_ANSWER slots of a killed xsproxyd: they get EAGAIN */

	struct op *ops[LEDGER_PENDING]; /* who waits for the reply to a request; mostly nobody */
	TAILQ_HEAD(session_asked, op) asked;	   /* ops that this session waits for */
	TAILQ_HEAD(session_targeted, op) targeted; /* ops that wait for something of this session */
	struct op *settle;  /* of the INTRODUCE, RELEASE or SET_TARGET that it has not forwarded */
	uint64_t up_since;  /* s; when the front began, or we took up, what up_fill counts */
	uint32_t injectors; /* ops that want to send requests on its behalf */

	uint32_t gave;	    /* the domain that its asker gave watches or transactions, or 0 */
	struct who who;	    /* of a privileged one: who asks */
	struct stand stand; /* stand.h */
	struct renew renew;
	struct log_source source;
	struct refusals refusals;
	struct limits limits;
	struct follower *follower; /* NULL: there is no memory for it */
	struct tap *tap;	   /* NULL: nobody sees what passes */

	/* The owner (domain.c or client.c) is told when a turn is over; may be NULL. */
	void (*on_turn)(struct session *s);
	void *owner;
};

struct session_params {
	struct daemon *daemon;
	const struct session_hooks *hooks;
	uint32_t domid;
	bool socket;
	struct endpoint front; /* in, out, kick and owner are taken over */
	struct endpoint back;
	struct ledger_place place;
	struct rings_attach *attach;
	struct pool *pool;
	uint32_t pages; /* that it may have of the pool at most, or 0: no such bound */
	void (*on_turn)(struct session *s);
	void *owner;
};

/**
 * session_new() - a session over a fresh (formatted) or a recovered ledger.
 * @recovered: rebuild the caches from the ledger
 *
 * Return: 0, or a negative errno: -ENOMEM, or what ledger_recover() and the caches say.
 */
int session_new(struct session **out, const struct session_params *params, bool recovered);

/**
 * session_free() - free the caches; frees extents too when the ledger's content is of no more use.
 * @forget: whether to; false when xsproxyd ends and another one will go on
 */
void session_free(struct session *s, bool forget);

/** session_run() - one turn. Called by the loop only. */
void session_run(struct session *s);

/** session_name() - a number that no other session has at the time; not 0. */
static inline uint32_t session_name(const struct session *s)
{
	return s->socket ? ARENA_DOMIDS + 1 + s->slot : s->domid + 1;
}

/** session_ready() - have the loop run the session once more. */
void session_ready(struct session *s);

/** session_retry() - the same a little later: memory was short. */
void session_retry(struct session *s);

/** session_state() - its ledger's state. */
static inline enum ledger_state session_state(const struct session *s)
{
	return (enum ledger_state)word_get(&s->ledger->state);
}

/** session_fault() - what the front did that ended the connection (LEDGER_ENDED). */
static inline const char *session_fault(const struct session *s)
{
	const char *fault = ledger_fault(s->ledger);

	return *fault ? fault : "it broke the protocol, as an xsproxyd before this one has logged";
}

/**
 * session_drained() - whether nothing is owed to the front, and nothing is taken from it in part:
 * each request has its reply in the front's queue. Events may wait; the front may have got a part
 * of one (fifo_left), when it does not read.
 */
bool session_drained(const struct session *s);

/**
 * session_settled() - whether upstream has taken all that we sent it, and we all its replies;
 * events may wait (docs/architecture.md, "INTRODUCE, RELEASE and the C daemon's zeroes").
 */
bool session_settled(const struct session *s);

/**
 * session_quiet() - touch the front no more, until session_resume(); only when drained, or before
 * the first turn.
 */
void session_quiet(struct session *s);

/** session_resume() - end what session_quiet() began; else do nothing. */
void session_resume(struct session *s);

/** session_bound() - xenstored has bound the event channel anew. @reset: and will reset the ring */
void session_bound(struct session *s, bool reset);

/**
 * session_follow() - what has been forwarded before the mirror was there, or by an xsproxyd before
 * us, changes the store when it is answered.
 */
void session_follow(struct session *s);

/** session_greet() - end a reconnection: tell the guest that its ring is connected. */
void session_greet(struct session *s);

/**
 * session_fail() - the guest broke the protocol: say so in its page, end its upstream watches and
 * transactions, and ignore it from now on, as xenstored would.
 * @error: XENSTORE_ERROR_*
 * @why: what it did, for the log
 */
void session_fail(struct session *s, uint32_t error, const char *why);

/** session_bury() - before a commit that moves the epoch on: see ledger_must_bury(). */
void session_bury(struct session *s);

/**
 * session_upstream_reset() - the C daemon re-introduces the domain: its watches, transactions and
 * back ring are gone; requests that it never answered get EIO.
 */
void session_upstream_reset(struct session *s);

/* --- between session.c, up.c and down.c */

/** up_step() - take one step with what the front asks. Return: whether something moved. */
bool up_step(struct session *s);

/** up_inject() - send a request of our own. Return: 0, -EAGAIN without room or slot, -ENOMEM. */
int up_inject(struct session *s, const struct message *msg, struct op *op, uint32_t batch,
	      uint32_t guest_tx);

/**
 * up_write() - write what upstream sees of a request, beyond the back ring's producer index.
 * @payload: all of it, @body octets
 * @off: octets of the request, its header included, that have gone before
 */
void up_write(struct session *s, const struct ledger_pending *pending, uint32_t body,
	      const void *payload, uint32_t off, uint32_t len);

/**
 * up_renew() - send a request of renew.c's, in the transaction hdr.tx_id of upstream's.
 * @commit: begun; ended with what it takes, if the request goes
 * @ref: of its pending slot
 *
 * One that is larger than the back ring, which can be a WATCH only, goes in pieces (renew_more()).
 *
 * Return: 0; -EAGAIN without room or slot.
 */
int up_renew(struct session *s, struct commit *commit, const struct message *msg, uint32_t ref);

/** down_step() - take one step with what upstream says. Return: whether something moved. */
bool down_step(struct session *s);

/**
 * down_reserve() - make sure that a message of @size octets (or a short error in its place) can be
 * delivered.
 *
 * Return: whether it can; if not, the session runs again once it might.
 */
bool down_reserve(struct session *s, uint32_t size);

/** down_deliver() - have @commit pass a message to the front, after down_reserve(). */
void down_deliver(struct session *s, struct commit *commit, const struct message *msg);

/** down_answer() - deliver a reply to a PENDING_ANSWER request and free its slot. */
void down_answer(struct session *s, int slot, struct message *msg);

#endif
