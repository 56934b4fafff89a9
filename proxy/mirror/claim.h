/* SPDX-License-Identifier: MIT */
/*
 * claim - requests under way that will change the store, and reads of it that are under way: which
 * of them have to do with each other.
 *
 * The order in which two connections' replies come says nothing about the order in which the daemon
 * has carried out their requests. So of two that have to do with each other only one is under way
 * at a time: the other one waits for its reply, for a moment (CLAIM_WAIT_NS); beyond that it goes,
 * and what both have changed is read again. Those of one connection are carried out in their order.
 * Who may not write a node has nothing to do with it.
 *
 * Used by follow.c. Must never look at what is in the store, but for which nodes there are.
 */
#ifndef XSPROXY_PROXY_MIRROR_CLAIM_H
#define XSPROXY_PROXY_MIRROR_CLAIM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proxy/mirror/change.h"
#include "proxy/mirror/tree.h"

#define CLAIM_WAIT_NS 10000000u
#define CLAIM_PARTS   64u /* of one; of more only what is above all of them */

/* A part of the store that a request may change. */
struct claim_part {
	uint32_t len; /* of the path */
	uint32_t top; /* change_top() */
	char path[];
};

struct claim {
	TAILQ_ENTRY(claim) list;
	const void *owner; /* claims of one have nothing to do with each other */
	bool unsure;	   /* what it has changed is to be read again */
	uint32_t nr, room;
	struct claim_part **parts; /* owned, but for the array where it is `only` ... */
	struct claim_part *only;
	uint32_t own_room;
	struct claim_part own; /* ... and for this one; must be last */
};

/* A read that is under way: of one node, its value, permissions and children's names. */
struct claim_read {
	TAILQ_ENTRY(claim_read) list;
	const char *path; /* the reader's */
	uint32_t len;
	uint64_t since; /* ns of CLOCK_MONOTONIC; that it holds */
	bool holds;	/* nothing that has to do with it begins, for a moment */
	bool disturbed; /* something had to do with it: what was read may be of before or after */
};

struct claims {
	TAILQ_HEAD(claim_list, claim) all;
	TAILQ_HEAD(claim_read_list, claim_read) reads;
};

/** claims_init() - none. */
void claims_init(struct claims *claims);

/**
 * claim_new() - of @owner, not under way yet.
 * @room: octets of the first change's path, if that is known; others are found room for
 *
 * Return: it, or NULL.
 */
struct claim *claim_new(const void *owner, uint32_t room);

/** claim_add() - it may change this, too. Return: 0 or -ENOMEM. */
int claim_add(struct claim *claim, const struct tree *tree, const struct change *change);

/** claim_free() - one that is not under way. NULL is fine. */
void claim_free(struct claim *claim);

/** claims_are_apart() - whether it has to do with nothing, whatever time it is. */
bool claims_are_apart(const struct claims *claims, const struct claim *claim);

/**
 * claim_may() - whether it may be under way now.
 * @now: ns of CLOCK_MONOTONIC
 * @waited: for long enough: then it may, and all of which it has to do with are unsure
 */
bool claim_may(struct claims *claims, struct claim *claim, const struct tree *tree, uint64_t now,
	       bool waited);

/** claim_begin() - it is under way. */
void claim_begin(struct claims *claims, struct claim *claim, const struct tree *tree);

/** claim_end() - it is not any more; claim_free() it. */
void claim_end(struct claims *claims, struct claim *claim);

/** claims_unsure() - all that are under way are unsure from now on. */
void claims_unsure(struct claims *claims);

/** claims_disturb() - no read that is under way is of any use. */
void claims_disturb(struct claims *claims);

/**
 * claim_read_begin() - a read is under way, until claim_read_end().
 * @path: stays there
 * @holds: since when, ns of CLOCK_MONOTONIC; 0: it does not
 */
void claim_read_begin(struct claims *claims, struct claim_read *read, const char *path,
		      uint32_t len, uint64_t holds);

/** claim_read_waits() - whether anything that has to do with it is under way. */
bool claim_read_waits(const struct claims *claims, const struct claim_read *read);

/** claim_read_end() - it is over; `disturbed` says whether it is of any use. */
void claim_read_end(struct claims *claims, struct claim_read *read);

#endif
