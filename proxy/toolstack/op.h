/* SPDX-License-Identifier: MIT */
/*
 * op - a toolstack request that must wait: for a domain to drain (QUIESCE), to settle (INTRODUCE,
 * RELEASE), or for upstream's answers to what we inject (START_DOMAIN_TRANSACTION,
 * ADD_DOMAIN_WATCHES).
 *
 * An op knows its asker and its target, either of which may go away first, and both know it: a turn
 * looks only at the ops of its own session. It ends once: with an answer, at its deadline, or
 * silently when nobody is left to answer.
 *
 * Used by proxy/toolstack/; the control socket only fills in an asker.
 */
#ifndef XSPROXY_PROXY_TOOLSTACK_OP_H
#define XSPROXY_PROXY_TOOLSTACK_OP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proxy/session/who.h"

struct daemon;
struct event;
struct message;
struct session;

enum op_kind {
	/* the asker's INTRODUCE, RELEASE or SET_TARGET waits in its queue, or is under way */
	OP_SETTLE,
	OP_QUIESCE,
	OP_START,
	OP_RESET,
	OP_BATCH,
	OP_UPDATE, /* a live update of xenstored (update.h); it has no target */
};

struct batch;

/*
 * Who asked: a session, whose PENDING_ANSWER is answered; or a control connection, which gets the
 * reply by a call; or nobody (any more).
 */
struct asker {
	struct session *session;
	int slot; /* the session's PENDING_ANSWER, or -1 */
	void (*reply)(void *arg, const struct message *msg);
	void *arg;
	bool lease; /* QUIESCE: only as long as the connection lives (lease.h) */
	struct who who;
};

#define ASKER_NOBODY ((struct asker){ .slot = -1 })

struct op {
	TAILQ_ENTRY(op) link;	   /* the daemon's list */
	TAILQ_ENTRY(op) on_asker;  /* the asking session's list */
	TAILQ_ENTRY(op) on_target; /* the target's list */
	struct daemon *daemon;
	enum op_kind kind;
	struct asker asker;
	struct session *target; /* NULL: gone */
	struct event *timer;	/* the deadline, or NULL */
	bool moment;		/* OP_QUIESCE: the timer is that of wait_a_moment() */
	bool late;		/* OP_SETTLE: its deadline is over, toolstack_gate() decides */
	bool passed;		/* OP_SETTLE: the request may go on */
	bool refused;		/* OP_SETTLE: or it may not */
	bool under_way;		/* OP_SETTLE: it was forwarded; OP_START, OP_RESET: injected */
	bool done;		/* only the answer is left, there was no room for it */
	int err;		/* the answer: 0 or a positive errno */
	uint32_t transaction;	/* OP_START */
	uint32_t user;		/* OP_SETTLE of a SET_TARGET: the domain that gets a target */
	struct batch *batch;	/* OP_BATCH */
	char *text;		/* the answer, if it is no error: then in place of "OK" */
};

/**
 * op_new() - a new op on the daemon's list.
 * @asker: copied
 * @deadline: whether it ends after the configured quiesce timeout
 *
 * Return: 0 or -ENOMEM.
 */
int op_new(struct op **out, struct daemon *daemon, enum op_kind kind, const struct asker *asker,
	   struct session *target, bool deadline);

/** op_free() - off the list, and freed with all it holds on to. */
void op_free(struct op *op);

/** op_finish() - answer the asker and free the op; if there is no room, when there is. */
void op_finish(struct op *op, int err);

/**
 * op_finish_text() - the same with a line of text, that of a CONTROL; without memory it is ENOMEM.
 */
void op_finish_text(struct op *op, const char *text);

/** op_answer() - answer a request of ours. @err: 0 for "OK", or a positive errno. */
void op_answer(const struct asker *asker, int err);

/** op_answer_message() - answer with @msg, whose type and payload are filled in. */
void op_answer_message(const struct asker *asker, struct message *msg);

/* --- batch.c */

/**
 * batch_begin() - ADD_DOMAIN_WATCHES.
 * @watches: "path NUL token NUL" pairs, @len octets, checked to be pairs
 *
 * Return: 0 (the op answers later), or a negative errno.
 */
int batch_begin(const struct asker *asker, struct session *target, const char *watches,
		uint32_t len);

/**
 * batch_recover() - take back what a batch did that a killed process left.
 *
 * Return: 0 or -ENOMEM.
 */
int batch_recover(struct session *target);

/** batch_inject() - send the next request. Return: whether one was sent. */
bool batch_inject(struct op *op);

/** batch_reply() - upstream answered one. @err: 0 or a positive errno */
void batch_reply(struct op *op, int err);

/**
 * batch_watches_lost() - what it has added so far is gone upstream, or will be: it fails with
 * EAGAIN.
 */
void batch_watches_lost(struct op *op);

/** batch_overflow() - its events cannot be kept: it fails with ENOSPC. */
void batch_overflow(struct op *op);

/** batch_turn() - the target ended a turn; may free @op. */
void batch_turn(struct op *op);

/** batch_abandon() - the asker went away or time ran out; may free @op. */
void batch_abandon(struct op *op, int err);

/** batch_free() - called by op_free(). */
void batch_free(struct op *op);

#endif
