/* SPDX-License-Identifier: MIT */
/*
 * hooks - what a session asks of those above it, set when it is made.
 *
 * A session knows neither which requests the toolstack's are nor what comes of them: up.c, down.c
 * and session.c call these at the moments that they name. toolstack.h has the only ones there are.
 * None may free the session; those that may send or deliver say so.
 */
#ifndef XSPROXY_PROXY_SESSION_HOOKS_H
#define XSPROXY_PROXY_SESSION_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

struct ledger_pending;
struct message;
struct op;
struct session;

struct session_hooks {
	/* --- up.c, with a whole request; of any session gate() and gate_pass() only */

	/** root_only() - whether it is refused with EACCES, for its user may not ask for it. */
	bool (*root_only)(const struct session *s, const struct message *msg);
	/** wants() - whether it is answered by take() and never reaches upstream. */
	bool (*wants)(const struct message *msg);
	/** take() - answer it now or later, with down_answer(); @slot is its PENDING_ANSWER. */
	void (*take)(struct session *s, int slot, const struct message *msg);
	/** forbids() - whether it is refused with EINVAL. */
	bool (*forbids)(const struct message *msg);
	/** spares() - whether take() answers it, though it is upstream's. */
	bool (*spares)(struct session *s, const struct message *msg);
	/**
	 * gate() - whether it may be forwarded now: 1; 0: the session is run again when it may; or
	 * a negative errno to refuse it with.
	 */
	int (*gate)(struct session *s, const struct message *msg);
	/** gate_pass() - an INTRODUCE, RELEASE or SET_TARGET is being forwarded, in @slot. */
	void (*gate_pass)(struct session *s, int slot);

	/* --- requests on a session's behalf, while session.injectors is not 0 */

	/** inject() - send one by up_inject(). Return: whether one was sent. */
	bool (*inject)(struct session *s);
	/**
	 * reply() - upstream's reply to a request that @op sent, which nobody else gets; or that it
	 * held back (gate()), whose asker has been given it.
	 */
	void (*reply)(struct session *s, struct op *op, const struct ledger_pending *pending,
		      const struct message *msg);
	/** lost() - the reply to what was sent in @slot will never come. */
	void (*lost)(struct session *s, int slot);

	/* --- what happens to a session */

	/** turn() - it has ended a turn; what its ops wait for may be there. May deliver. */
	void (*turn)(struct session *s);
	/** overflow() - it has more events than can be kept while a batch holds them back. */
	void (*overflow)(struct session *s);
	/** watches_lost() - its watches are gone upstream, or will be. */
	void (*watches_lost)(struct session *s);
	/** asker_gone() - whoever asked over it waits for no answer any more. */
	void (*asker_gone)(struct session *s);
	/** dropped() - the request that gate() held back exists no more. */
	void (*dropped)(struct session *s);
	/** recover() - it was taken up again: undo what is half done. Return: 0 or -ENOMEM. */
	int (*recover)(struct session *s);
	/** gone() - it is about to be freed. */
	void (*gone)(struct session *s);
};

#endif
