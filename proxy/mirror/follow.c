// SPDX-License-Identifier: MIT
#include "proxy/mirror/follow.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/clock.h"
#include "protocol/message.h"
#include "proxy/mirror/follow_parts.h"

int follow_new(struct follow **out)
{
	struct follow *follow = calloc(1, sizeof(*follow));

	if (!follow)
		return -ENOMEM;
	claims_init(&follow->claims);
	TAILQ_INIT(&follow->all);
	TAILQ_INIT(&follow->waiting);
	*out = follow;
	return 0;
}

struct follow *follow_free(struct follow *follow)
{
	free(follow);
	return NULL;
}

void follow_use(struct follow *follow, struct mirror *mirror, uint32_t most,
		const struct follow_hooks *hooks, void *arg)
{
	follow->mirror = mirror;
	follow->most = most;
	follow->hooks = hooks;
	follow->arg = arg;
	if (!mirror)
		follow_wake(follow);
}

struct claims *follow_claims(struct follow *follow)
{
	return &follow->claims;
}

const struct mirror *follow_mirror(const struct follow *follow)
{
	return follow->mirror;
}

const struct follow_counts *follow_counts(const struct follow *follow)
{
	return &follow->counts;
}

void follow_unsure(struct follow *follow, const char *path, uint32_t len, bool deep)
{
	follow->counts.unsure++;
	if (follow->hooks)
		follow->hooks->unsure(follow->arg, path, len, deep);
}

void follow_wake(struct follow *follow)
{
	struct follower *follower;

	while ((follower = TAILQ_FIRST(&follow->waiting))) {
		TAILQ_REMOVE(&follow->waiting, follower, waiting);
		follower->waits = false;
		follower->wake(follower->arg);
	}
}

/* --- sessions */

struct follower *follow_join(struct follow *follow, uint64_t key, uint32_t domid, bool privileged,
			     void (*wake)(void *arg), void *arg)
{
	struct follower *follower = calloc(1, sizeof(*follower));

	if (!follower) {
		if (follow->mirror)
			mirror_break(follow->mirror, -ENOMEM);
		return NULL;
	}
	follower->follow = follow;
	follower->key = key;
	follower->domid = domid;
	change_home(&follower->home, domid);
	follower->privileged = privileged;
	follower->wake = wake;
	follower->arg = arg;
	TAILQ_INSERT_TAIL(&follow->all, follower, list);
	return follower;
}

static void free_asked(struct asked *asked)
{
	if (!asked)
		return;
	claim_free(asked->claim);
	free(asked);
}

void follow_drop_asked(struct follower *follower, uint32_t slot)
{
	struct asked *asked = follower->asked[slot];
	struct follow *follow = follower->follow;

	if (!asked)
		return;
	follower->asked[slot] = NULL;
	if (asked->claim) {
		claim_end(&follow->claims, asked->claim);
		follow_wake(follow);
		if (follow->hooks)
			follow->hooks->ended(follow->arg);
	}
	free_asked(asked);
}

struct follower *follow_leave(struct follower *follower, bool gone)
{
	struct follow *follow;

	if (!follower)
		return NULL;
	follow = follower->follow;
	/* Nobody may wake it any more. */
	if (follower->waits)
		TAILQ_REMOVE(&follow->waiting, follower, waiting);
	follower->waits = false;
	if (gone)
		follow_reset(follower);
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		if (gone)
			follow_lost(follower, slot);
		else
			follow_drop_asked(follower, slot);
	}
	free_asked(follower->next);
	free(follower->blind);
	if (follower->waits)
		TAILQ_REMOVE(&follow->waiting, follower, waiting);
	TAILQ_REMOVE(&follow->all, follower, list);
	free(follower);
	return NULL;
}

static struct follower *find_key(struct follow *follow, uint64_t key)
{
	struct follower *follower;

	TAILQ_FOREACH(follower, &follow->all, list)
		if (follower->key == key)
			return follower;
	return NULL;
}

static bool is_there(void *arg, uint64_t key)
{
	return find_key(arg, key) != NULL;
}

void follow_sift(struct follow *follow)
{
	if (!follow->mirror || follow->mirror->broken)
		return;
	mirror_begin(follow->mirror);
	mirror_end(follow->mirror, drafts_sift(follow->mirror->drafts, is_there, follow));
}

/* --- before a request goes */

struct gathering {
	struct claim *claim;
	const struct tree *tree;
};

static int gather_one(void *arg, const struct change *change)
{
	const struct gathering *gathering = arg;

	return claim_add(gathering->claim, gathering->tree, change);
}

/* Of many what is above all of them. */
static int gather_draft(struct follower *follower, struct claim *claim, const struct draft *draft)
{
	struct gathering gathering = { claim, mirror_of(follower)->tree };
	struct change above;

	if (draft_count(draft) <= CLAIM_PARTS)
		return draft_each(draft, gather_one, &gathering);
	draft_above(draft, &above);
	return claim_add(claim, gathering.tree, &above);
}

/* Also what is under way in it. */
static int gather_transaction(struct follower *follower, struct claim *claim, uint32_t tx)
{
	const struct mirror *mirror = mirror_of(follower);
	struct draft *draft = draft_find(mirror->drafts, follower->key, tx);
	int err = draft ? gather_draft(follower, claim, draft) : 0;

	for (uint32_t slot = 0; !err && slot < SLOTS; slot++) {
		const struct asked *asked = follower->asked[slot];

		if (asked && asked->tx == tx && asked->change.kind != CHANGE_NOTHING)
			err = claim_add(claim, mirror->tree, &asked->change);
	}
	return err;
}

/* What upstream will refuse is in nobody's way. */
static int gather_request(struct follower *follower, struct claim *claim, struct change *change)
{
	const struct tree *tree = mirror_of(follower)->tree;
	const struct change_by by = by_of(follower);

	change_find(tree, change);
	return change_may(tree, change, &by) ? claim_add(claim, tree, change) : 0;
}

/* What a request may change at once. Return: 0, also where it is nothing; or -ENOMEM. */
static int claim_of(struct follower *follower, struct asked *asked)
{
	bool at_once = !asked->tx && asked->change.kind != CHANGE_NOTHING;
	struct claim *claim;
	int err;

	if (!asked->ends && !at_once)
		return 0;
	claim = claim_new(follower, at_once ? asked->change.len : 0);
	if (!claim)
		return -ENOMEM;
	err = at_once ? gather_request(follower, claim, &asked->change)
		      : gather_transaction(follower, claim, asked->tx);
	if (!err && claim->nr) {
		asked->claim = claim;
		return 0;
	}
	claim_free(claim);
	return err;
}

static bool matters(const struct message *msg, uint32_t tx)
{
	return msg->hdr.type == XS_RESET_WATCHES || (tx && msg->hdr.type == XS_TRANSACTION_END);
}

/* Return: 0; *@out is NULL where the mirror need not know of it; or -ENOMEM. */
static int note(struct follower *follower, const struct message *msg, uint32_t tx,
		struct asked **out)
{
	struct change change;
	struct asked *asked;

	*out = NULL;
	if (!change_read(&change, msg->hdr.type, msg->payload, msg->hdr.len, &follower->home) &&
	    !matters(msg, tx))
		return 0;
	asked = malloc(offsetof(struct asked, change) + change_size(&change));
	if (!asked)
		return -ENOMEM;
	asked->type = msg->hdr.type;
	asked->tx = tx;
	asked->ends = tx && ends_well(msg);
	asked->claim = NULL;
	change_keep(&asked->change, &change);
	*out = asked;
	return 0;
}

static int note_claimed(struct follower *follower, const struct message *msg, uint32_t tx)
{
	int err = note(follower, msg, tx, &follower->next);

	return err || !follower->next ? err : claim_of(follower, follower->next);
}

static void forget_next(struct follower *follower)
{
	free_asked(follower->next);
	follower->next = NULL;
}

void follow_give_up(struct follower *follower)
{
	mirror_break(follower->follow->mirror, -ENOMEM);
}

/* It waits, for a moment at most. */
static void wait(struct follower *follower, uint64_t now)
{
	struct follow *follow = follower->follow;

	forget_next(follower);
	follow->counts.waits += !follower->since;
	if (!follower->since)
		follower->since = now;
	if (!follower->waits)
		TAILQ_INSERT_TAIL(&follow->waiting, follower, waiting);
	follower->waits = true;
	follow->hooks->waits(follow->arg);
}

/* Whether the next one may go, which waits else. */
static bool may_next(struct follower *follower, const struct tree *tree)
{
	struct claims *claims = &follower->follow->claims;
	bool waited;
	uint64_t now;

	/* Mostly, and then it matters to nobody what time it is. */
	if (!follower->since && claims_are_apart(claims, follower->next->claim))
		return true;
	now = clock_monotonic();
	waited = follower->since && now - follower->since >= CLAIM_WAIT_NS;
	if (claim_may(claims, follower->next->claim, tree, now, waited))
		return true;
	wait(follower, now);
	return false;
}

bool follow_may(struct follower *follower, const struct message *msg, uint32_t tx)
{
	const struct mirror *mirror = mirror_of(follower);

	if (!mirror)
		return true;
	forget_next(follower);
	if (note_claimed(follower, msg, tx)) {
		forget_next(follower);
		follow_give_up(follower);
	}
	if (follower->next && follower->next->claim && !may_next(follower, mirror->tree))
		return false;
	follower->since = 0;
	return true;
}

bool follow_waits(const struct follower *follower)
{
	return follower && follower->waits;
}

void follow_asked(struct follower *follower, uint32_t slot, const struct message *msg, uint32_t tx)
{
	struct mirror *mirror = mirror_of(follower);
	struct asked *asked;

	if (!mirror)
		return;
	/* What was there before nobody will answer any more. */
	follow_drop_asked(follower, slot);
	asked = follower->next;
	follower->next = NULL;
	/* Not when it was let go, or memory was short then. */
	if (!asked && note(follower, msg, tx, &asked))
		follow_give_up(follower);
	if (!asked)
		return;
	/* It may be made one that does not, since. */
	asked->ends = tx && ends_well(msg);
	follower->asked[slot] = asked;
	if (asked->claim)
		claim_begin(&follower->follow->claims, asked->claim, mirror->tree);
}

void follow_injected(struct follower *follower, uint32_t slot, const struct message *msg,
		     uint32_t tx)
{
	if (!mirror_of(follower) || follower->asked[slot])
		return;
	forget_next(follower);
	if (note_claimed(follower, msg, tx)) {
		forget_next(follower);
		follow_give_up(follower);
	}
	/* Which of them comes first is not known. */
	if (follower->next && follower->next->claim)
		claim_may(&follower->follow->claims, follower->next->claim,
			  mirror_of(follower)->tree, 0, true);
	follow_asked(follower, slot, msg, tx);
}

/* --- domains */

void follow_domain_is(struct follow *follow, uint32_t domid, uint32_t map_gen)
{
	if (follow->mirror)
		mirror_domain_is(follow->mirror, domid, map_gen);
}

/* What was made there since, and taken before we knew. */
static void removed_cb(void *arg, const char *path, uint32_t len)
{
	follow_unsure(arg, path, len, true);
}

void follow_domain_gone(struct follow *follow, uint32_t domid)
{
	if (!follow->mirror)
		return;
	mirror_domain_gone(follow->mirror, domid, removed_cb, follow);
	claims_unsure(&follow->claims);
	claims_disturb(&follow->claims);
}
