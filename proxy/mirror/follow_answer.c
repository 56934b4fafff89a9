// SPDX-License-Identifier: MIT
/*
 * follow_answer - what a reply changes in the mirror, and what there is to be read again where
 * nobody will know. Called by proxy/session/ and proxy/mend/ (follow.h), and by follow.c for who
 * leaves.
 */
#include <errno.h>
#include <stdlib.h>

#include "protocol/message.h"
#include "proxy/mirror/change.h"
#include "proxy/mirror/claim.h"
#include "proxy/mirror/draft.h"
#include "proxy/mirror/follow.h"
#include "proxy/mirror/follow_parts.h"
#include "proxy/mirror/mirror.h"

struct applying {
	struct follow *follow;
	struct change_by by;
};

/* A group of more than this is none: the rest is read again. */
#define GROUP_MOST (4u << 20)

static int apply_one(void *arg, const struct change *change)
{
	const struct applying *applying = arg;
	struct mirror *mirror = applying->follow->mirror;
	bool most = annals_group(&mirror->annals) > GROUP_MOST;
	int ret = most ? 1 : change_apply(mirror->tree, change, &applying->by);

	if (ret > 0)
		follow_unsure(applying->follow, change->path, change->len,
			      change->odd || most || change->kind != CHANGE_PERMS);
	return ret < 0 ? ret : 0;
}

static struct applying applying_of(const struct follower *follower)
{
	return (struct applying){ .follow = follower->follow, .by = by_of(follower) };
}

/* A transaction's, for its end; else at once. */
static int changed(struct follower *follower, struct asked *asked)
{
	struct applying applying = applying_of(follower);
	struct follow *follow = follower->follow;
	struct change *change = &asked->change;
	int ret;

	/* It was thought that upstream would refuse it. */
	if (!asked->tx && !asked->claim)
		follow_unsure(follow, change->path, change->len, true);
	if (!asked->tx)
		return apply_one(&applying, change);
	ret = draft_add(follow->mirror->drafts, follower->key, asked->tx, change, follow->most);
	follow->counts.beyond += ret > 0;
	return ret < 0 ? ret : 0;
}

/* In a transaction for its end: oxenstored may have made what is above. */
static int refused(struct follower *follower, struct asked *asked, int err)
{
	struct applying applying = applying_of(follower);
	struct follow *follow = follower->follow;
	struct change *change = &asked->change;
	uint32_t len;
	int ret;

	if (!change_refused(follow->mirror->tree, change, &applying.by, err, &len))
		return 0;
	if (!asked->tx) {
		follow_unsure(follow, change->path, len, true);
		return 0;
	}
	change->odd = true;
	change->len = (uint16_t)len;
	change->path[len] = '\0';
	ret = draft_add(follow->mirror->drafts, follower->key, asked->tx, change, follow->most);
	return ret < 0 ? ret : 0;
}

void follow_blind(struct follower *follower, uint32_t tx)
{
	uint32_t *blind;

	if (!mirror_of(follower))
		return;
	blind = realloc(follower->blind, (follower->nr_blind + 1) * sizeof(*blind));
	if (!blind) {
		follow_give_up(follower);
		return;
	}
	follower->blind = blind;
	blind[follower->nr_blind++] = tx;
}

/* One of those has ended. */
static void ended_blind(struct follower *follower, uint32_t tx, bool well)
{
	for (uint32_t i = 0; i < follower->nr_blind; i++) {
		if (follower->blind[i] != tx)
			continue;
		follower->blind[i--] = follower->blind[--follower->nr_blind];
		if (well)
			follow_unsure(follower->follow, "/", 1, true);
	}
}

/* What does not end one: docs/daemons.md, "What ends a transaction". */
static int ended(struct follower *follower, const struct asked *asked, int err)
{
	struct draft *draft = draft_find(mirror_of(follower)->drafts, follower->key, asked->tx);
	struct applying applying = applying_of(follower);
	int ret = 0;

	if (err == EINVAL || err == EDQUOT)
		return 0;
	ended_blind(follower, asked->tx, !err && asked->ends);
	if (!draft)
		return 0;
	if (!err && asked->ends)
		ret = draft_each(draft, apply_one, &applying);
	return ret ? ret : draft_drop(draft);
}

static int answered(struct follower *follower, struct asked *asked, int err)
{
	switch (asked->type) {
	case XS_TRANSACTION_END:
		return ended(follower, asked, err);
	case XS_RESET_WATCHES:
		return err ? 0 : drafts_drop(mirror_of(follower)->drafts, follower->key);
	default:
		return err ? refused(follower, asked, err) : changed(follower, asked);
	}
}

static void unsure_parts(struct follow *follow, const struct claim *claim)
{
	for (uint32_t i = 0; i < claim->nr; i++)
		follow_unsure(follow, claim->parts[i]->path, claim->parts[i]->top, true);
}

void follow_replied(struct follower *follower, uint32_t slot, int err)
{
	struct asked *asked = follower ? follower->asked[slot] : NULL;
	struct mirror *mirror = mirror_of(follower);

	if (!asked)
		return;
	if (mirror) {
		mirror_begin(mirror);
		mirror_end(mirror, answered(follower, asked, err));
		follower->follow->counts.changes += !err;
		if (asked->claim && asked->claim->unsure)
			unsure_parts(follower->follow, asked->claim);
	}
	follow_drop_asked(follower, slot);
}

void follow_lost(struct follower *follower, uint32_t slot)
{
	struct asked *asked = follower ? follower->asked[slot] : NULL;

	if (asked && asked->claim && mirror_of(follower))
		unsure_parts(follower->follow, asked->claim);
	if (asked)
		follow_drop_asked(follower, slot);
}

void follow_void(struct follower *follower, uint32_t slot)
{
	if (follower)
		follow_drop_asked(follower, slot);
}

void follow_reset(struct follower *follower)
{
	struct mirror *mirror = mirror_of(follower);

	if (!mirror)
		return;
	follower->nr_blind = 0;
	mirror_begin(mirror);
	mirror_end(mirror, drafts_drop(mirror->drafts, follower->key));
}
