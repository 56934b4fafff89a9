// SPDX-License-Identifier: MIT
#include "proxy/mirror/claim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void claims_init(struct claims *claims)
{
	TAILQ_INIT(&claims->all);
	TAILQ_INIT(&claims->reads);
}

struct claim *claim_new(const void *owner, uint32_t room)
{
	struct claim *claim = malloc(sizeof(*claim) + room + 1);

	if (claim)
		*claim = (struct claim){
			.owner = owner,
			.parts = &claim->only,
			.room = 1,
			.own_room = room,
		};
	return claim;
}

static struct claim_part *new_part(struct claim *claim, const char *path, uint32_t len,
				   uint32_t top)
{
	bool own = !claim->nr && len <= claim->own_room;
	struct claim_part *part = own ? &claim->own : malloc(sizeof(*part) + len + 1);

	if (!part)
		return NULL;
	part->len = len;
	part->top = top;
	memcpy(part->path, path, len);
	part->path[len] = '\0';
	return part;
}

/* All become one: what is above them. */
static void join(struct claim *claim, struct claim_part *part)
{
	struct claim_part *all = claim->parts[0];

	for (uint32_t i = 1; i <= claim->nr; i++) {
		struct claim_part *other = i < claim->nr ? claim->parts[i] : part;

		all->len = all->top = change_common(all->path, all->len, other->path, other->len);
		all->path[all->len] = '\0';
		free(other);
	}
	claim->nr = 1;
}

static bool is_last(const struct claim *claim, const struct claim_part *part)
{
	const struct claim_part *last = claim->nr ? claim->parts[claim->nr - 1] : NULL;

	return last && last->len == part->len && !memcmp(last->path, part->path, part->len);
}

static void free_part(struct claim *claim, struct claim_part *part)
{
	if (part != &claim->own)
		free(part);
}

/* For one part there is room; who has more has all there may be. */
static int reserve(struct claim *claim)
{
	struct claim_part **parts;

	if (claim->nr < claim->room || claim->nr == CLAIM_PARTS)
		return 0;
	parts = malloc(CLAIM_PARTS * sizeof(struct claim_part *));
	if (!parts)
		return -ENOMEM;
	*parts = claim->only;
	claim->parts = parts;
	claim->room = CLAIM_PARTS;
	return 0;
}

int claim_add(struct claim *claim, const struct tree *tree, const struct change *change)
{
	uint32_t top = change->odd ? change->len : change_top(tree, change);
	struct claim_part *part = new_part(claim, change->path, change->len, top);

	if (!part || reserve(claim)) {
		free_part(claim, part);
		return -ENOMEM;
	}
	if (is_last(claim, part))
		free(part);
	else if (claim->nr == CLAIM_PARTS)
		join(claim, part);
	else
		claim->parts[claim->nr++] = part;
	return 0;
}

void claim_free(struct claim *claim)
{
	if (!claim)
		return;
	for (uint32_t i = 0; i < claim->nr; i++)
		free_part(claim, claim->parts[i]);
	if (claim->parts != &claim->only)
		free(claim->parts);
	free(claim);
}

/* Whether the node at @path is that at @top, or below it. */
static bool is_below(const char *path, uint32_t len, const char *top, uint32_t top_len)
{
	if (len < top_len || memcmp(path, top, top_len))
		return false;
	return len == top_len || path[top_len] == '/' || top_len == 1;
}

static bool parts_touch(const struct claim_part *a, const struct claim_part *b)
{
	return is_below(a->path, a->len, b->path, b->top) ||
	       is_below(b->path, b->len, a->path, a->top);
}

static bool claims_touch(const struct claim *a, const struct claim *b)
{
	if (a->owner == b->owner)
		return false;
	for (uint32_t i = 0; i < a->nr; i++)
		for (uint32_t k = 0; k < b->nr; k++)
			if (parts_touch(a->parts[i], b->parts[k]))
				return true;
	return false;
}

/*
 * A node is read: it is touched by what is done to it, or above it, and by what makes or removes
 * one of its children; not by what happens further below.
 */
static bool read_touches(const struct claim_read *read, const struct claim_part *part,
			 const struct tree *tree)
{
	uint32_t below = read->len == 1 ? 1 : read->len + 1, end;

	if (is_below(read->path, read->len, part->path, part->len))
		return true;
	if (!is_below(part->path, part->len, read->path, read->len))
		return false;
	end = below + (uint32_t)strcspn(part->path + below, "/");
	return end == part->len || tree_look_up(tree, part->path, end, NULL) == TREE_NONE;
}

static bool claim_disturbs(const struct claim *claim, const struct claim_read *read,
			   const struct tree *tree)
{
	for (uint32_t i = 0; i < claim->nr; i++)
		if (read_touches(read, claim->parts[i], tree))
			return true;
	return false;
}

static bool is_held(const struct claims *claims, const struct claim *claim, const struct tree *tree,
		    uint64_t now)
{
	const struct claim_read *read;

	TAILQ_FOREACH(read, &claims->reads, list)
		if (read->holds && now - read->since < CLAIM_WAIT_NS &&
		    claim_disturbs(claim, read, tree))
			return true;
	return false;
}

static bool touches_any(const struct claims *claims, const struct claim *claim)
{
	const struct claim *other;

	TAILQ_FOREACH(other, &claims->all, list)
		if (claims_touch(claim, other))
			return true;
	return false;
}

bool claims_are_apart(const struct claims *claims, const struct claim *claim)
{
	return TAILQ_EMPTY(&claims->reads) && !touches_any(claims, claim);
}

bool claim_may(struct claims *claims, struct claim *claim, const struct tree *tree, uint64_t now,
	       bool waited)
{
	struct claim *other;

	if (!waited)
		return !is_held(claims, claim, tree, now) && !touches_any(claims, claim);
	TAILQ_FOREACH(other, &claims->all, list)
		if (claims_touch(claim, other))
			claim->unsure = other->unsure = true;
	return true;
}

void claim_begin(struct claims *claims, struct claim *claim, const struct tree *tree)
{
	struct claim_read *read;

	TAILQ_INSERT_TAIL(&claims->all, claim, list);
	TAILQ_FOREACH(read, &claims->reads, list)
		read->disturbed = read->disturbed || claim_disturbs(claim, read, tree);
}

void claim_end(struct claims *claims, struct claim *claim)
{
	TAILQ_REMOVE(&claims->all, claim, list);
}

void claims_unsure(struct claims *claims)
{
	struct claim *claim;

	TAILQ_FOREACH(claim, &claims->all, list)
		claim->unsure = true;
}

void claims_disturb(struct claims *claims)
{
	struct claim_read *read;

	TAILQ_FOREACH(read, &claims->reads, list)
		read->disturbed = true;
}

/* What is under way may have made or removed a node by now, of which the tree does not know yet. */
static bool claim_may_touch(const struct claim *claim, const struct claim_read *read)
{
	for (uint32_t i = 0; i < claim->nr; i++) {
		const struct claim_part *part = claim->parts[i];

		if (is_below(read->path, read->len, part->path, part->len) ||
		    is_below(part->path, part->len, read->path, read->len))
			return true;
	}
	return false;
}

bool claim_read_waits(const struct claims *claims, const struct claim_read *read)
{
	const struct claim *claim;

	TAILQ_FOREACH(claim, &claims->all, list)
		if (claim_may_touch(claim, read))
			return true;
	return false;
}

void claim_read_begin(struct claims *claims, struct claim_read *read, const char *path,
		      uint32_t len, uint64_t holds)
{
	*read = (struct claim_read){ .path = path, .len = len, .since = holds, .holds = holds };
	TAILQ_INSERT_TAIL(&claims->reads, read, list);
	read->disturbed = claim_read_waits(claims, read);
}

void claim_read_end(struct claims *claims, struct claim_read *read)
{
	TAILQ_REMOVE(&claims->reads, read, list);
}
