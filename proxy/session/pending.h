/* SPDX-License-Identifier: MIT */
/*
 * pending - the requests that upstream (or we) have not answered yet.
 *
 * Upstream sees ids of our own: the low five bits name the slot, the rest counts, so a reply finds
 * its request at once and an id is never used twice in a row. A slot exists while its bit in the
 * ledger's pending_mask is set; it is filled while nobody looks, then taken by a commit.
 *
 * Used by proxy/session/, and by proxy/toolstack/ to see whether anything is under way.
 */
#ifndef XSPROXY_PROXY_SESSION_PENDING_H
#define XSPROXY_PROXY_SESSION_PENDING_H

#include "proxy/session/ledger.h"

enum pending_kind {
	PENDING_FORWARD = 1, /* pass the reply on */
	PENDING_SWALLOW,     /* we injected the request, its reply is ours */
	PENDING_ANSWER,	     /* upstream never saw it, we answer */
	PENDING_DISCARD,     /* begun before the session was made afresh; drop the reply */
};

/* struct ledger_pending.ref of a TRANSACTION_END whose id the connection does not have */
#define PENDING_NO_TRANSACTION UINT32_MAX

/* struct ledger_pending.flags */
#define PENDING_CONFLICT 1u /* an END T that went upstream as F: its OK becomes EAGAIN */

#define PENDING_HELP	 2u  /* CONTROL help: our commands are added to the reply */
#define PENDING_RENEW	 4u  /* renew.c: its own; WATCH, as any, refers to a record */
#define PENDING_LARGE	 8u  /* it was larger than the back's queue (again.h) */
#define PENDING_AGAIN	 16u /* it is the first of those that are asked again */
/* The upper half says where in that queue it is (again.c). */

/** pending_slot() - a free slot, or -1. */
int pending_slot(const struct ledger *ledger);

/**
 * pending_fill() - prepare a free slot; it counts only once pending_take()'s commit ended.
 * @seq: the session's counter of requests, moved on
 * @req: the requester's header
 */
struct ledger_pending *pending_fill(struct ledger *ledger, int slot, uint32_t *seq,
				    const struct xsd_sockmsg *req, enum pending_kind kind);

/** pending_take() - have @commit take the slot. */
void pending_take(struct ledger *ledger, struct commit *commit, int slot);

/** pending_drop() - have @commit free the slot. */
void pending_drop(struct ledger *ledger, struct commit *commit, int slot);

/** pending_find() - the slot of the request that upstream knows as @id, or -1. */
int pending_find(const struct ledger *ledger, uint32_t id);

/** pending_is_intent() - whether a request refers to a record of the watch log. */
static inline bool pending_is_intent(const struct ledger_pending *pending)
{
	return (pending->type == XS_WATCH || pending->type == XS_UNWATCH) && pending->ref &&
	       (pending->kind == PENDING_FORWARD || pending->kind == PENDING_SWALLOW);
}

/** pending_upstream() - how many requests wait for upstream (not for ourselves). */
int pending_upstream(const struct ledger *ledger);

/** pending_seq_recover() - a counter value that no request under way uses. */
uint32_t pending_seq_recover(const struct ledger *ledger);

/* PENDING_EACH() - run the statement for each slot in use. */
// NOLINTBEGIN(bugprone-macro-parentheses): @slot is declared here
#define PENDING_EACH(ledger, slot)                                     \
	for (uint32_t mask_ = word_get(&(ledger)->pending_mask), slot; \
	     mask_ && (slot = (uint32_t)__builtin_ctz(mask_), true); mask_ &= mask_ - 1)
// NOLINTEND(bugprone-macro-parentheses)

#endif
