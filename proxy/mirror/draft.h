/* SPDX-License-Identifier: MIT */
/*
 * draft - what open transactions have changed, for when they are ended with OK.
 *
 * The changes lie in the annals, in their order. A session may have so many octets of them; of what
 * comes beyond that only the path is kept, to be read again afterwards, and where there are too
 * many of those only what is above all of them.
 *
 * Used by follow.c; replayed, and kept behind the tail, by mirror.c.
 */
#ifndef XSPROXY_PROXY_MIRROR_DRAFT_H
#define XSPROXY_PROXY_MIRROR_DRAFT_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/mirror/annals.h"
#include "proxy/mirror/change.h"

struct draft;
struct drafts;

/* Kinds of records in the annals. */
enum draft_kind {
	DRAFT_CHANGE = TREE_KINDS,
	DRAFT_OVER,
};

/** drafts_new() - Return: 0 or -ENOMEM. */
int drafts_new(struct drafts **out, struct annals *annals);

/** drafts_free() - NULL is fine; returns NULL. */
struct drafts *drafts_free(struct drafts *drafts);

/**
 * draft_add() - a change in a transaction got OK; in a group of the caller's.
 * @key: of the session; @tx: upstream's id
 * @most: octets that the session may have
 *
 * Return: 0; 1: only its path is kept; or -ENOMEM.
 */
int draft_add(struct drafts *drafts, uint64_t key, uint32_t tx, const struct change *change,
	      uint32_t most);

/** draft_find() - Return: what one transaction has changed, or NULL. */
struct draft *draft_find(struct drafts *drafts, uint64_t key, uint32_t tx);

/** draft_count() - how many changes. */
uint32_t draft_count(const struct draft *draft);

/** draft_above() - what is above all of them, as a change of nothing. */
void draft_above(const struct draft *draft, struct change *change);

/**
 * draft_each() - call @fn for each change, in order, until it returns another value than 0. One
 * with only its path is `odd`.
 *
 * Return: that, or 0.
 */
int draft_each(const struct draft *draft, int (*fn)(void *arg, const struct change *change),
	       void *arg);

/** draft_drop() - it has ended; in a group of the caller's. Return: 0 or -ENOMEM. */
int draft_drop(struct draft *draft);

/** drafts_drop() - all of a session. Return: 0 or -ENOMEM. */
int drafts_drop(struct drafts *drafts, uint64_t key);

/** drafts_sift() - those of sessions that @there does not know. Return: 0 or -ENOMEM. */
int drafts_sift(struct drafts *drafts, bool (*there)(void *arg, uint64_t key), void *arg);

/** drafts_replay() - the record at @pos, in their order. Return: 0, -EINVAL or -ENOMEM. */
int drafts_replay(struct drafts *drafts, uint64_t pos);

/** drafts_keep() - as tree_keep(). */
int drafts_keep(struct drafts *drafts, uint64_t pos);

/** drafts_live() - octets of the annals that count. */
uint64_t drafts_live(const struct drafts *drafts);

#endif
