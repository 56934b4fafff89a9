// SPDX-License-Identifier: MIT
/*
 * tree_replay - the nodes of the store, made anew from the annals: brothers are put in order, and
 * names into the table, when all is there. Called by mirror.c.
 */
#include <errno.h>
#include <string.h>

#include "proxy/mirror/tree.h"
#include "proxy/mirror/tree_parts.h"

int tree_replay_begin(struct tree **out, struct annals *annals)
{
	*out = tree_alloc(annals);
	return *out ? 0 : -ENOMEM;
}

static bool is_top(uint32_t node)
{
	return node == TREE_ROOT || node == TREE_SPECIALS;
}

static bool record_is_sane(const struct annals_record *in)
{
	const struct record *record = (const struct record *)in;
	uint32_t len = in->quads * ANNALS_ALIGN - (uint32_t)sizeof(*in);

	return len >= sizeof(*record) - sizeof(*in) && len >= body_size(record) &&
	       record->name_len <= NAME_MAX_LEN && record->node != record->parent &&
	       is_top(record->node) == (record->parent == TREE_NONE);
}

/* Whose child it is counts when all is there: the one above may have been written again since. */
static int replay_node(struct tree *tree, uint64_t pos)
{
	const struct record *record = record_at(tree, pos);
	int err = tree_reach(tree, record->node);

	if (!err && !is_top(record->node))
		err = tree_reach(tree, record->parent);
	if (err)
		return err;
	at(tree, record->node)->at = place_of(pos);
	return 0;
}

/* What was written of it before is of no use, also where that was lost with the oldest records. */
static int replay_gone(struct tree *tree, const struct annals_record *in)
{
	uint32_t n = (in->quads * ANNALS_ALIGN - (uint32_t)sizeof(*in)) / sizeof(uint32_t), node;

	for (uint32_t i = 0; i < n; i++) {
		memcpy(&node, in->body + i * sizeof(node), sizeof(node));
		if (is_top(node))
			return -EINVAL;
		if (node < tree->numbers)
			at(tree, node)->at = NOWHERE;
	}
	return 0;
}

int tree_replay(struct tree *tree, uint64_t pos)
{
	const struct annals_record *in = annals_at(tree->annals, pos);

	if (in->kind == TREE_GONE)
		return replay_gone(tree, in);
	return record_is_sane(in) ? replay_node(tree, pos) : -EINVAL;
}

/* Whether "/" or the specials are above it: then there is no end to its parents otherwise. */
static bool hangs(const struct tree *tree, uint32_t node)
{
	uint32_t steps = 0;

	while (!is_top(node) && steps++ <= TREE_PATH_MAX) {
		node = parent_of(tree, node);
		if (node == TREE_NONE || !exists(tree, node))
			return false;
	}
	return is_top(node);
}

static int settle_node(struct tree *tree, uint32_t node)
{
	const struct record *record = record_of(tree, node);
	int err = tree_table_reserve(tree);

	tree->live += annals_size(body_size(record));
	if (is_top(node))
		return 0;
	if (err)
		return err;
	if (!hangs(tree, node) ||
	    tree_find(tree, record->parent, name_of(record), record->name_len) != TREE_NONE)
		return -EINVAL;
	tree_link_last(tree, node);
	tree_table_add(tree, node);
	tree->count++;
	return 0;
}

int tree_replay_end(struct tree *tree)
{
	if (!exists(tree, TREE_ROOT) || !exists(tree, TREE_SPECIALS))
		return -EINVAL;
	tree->count = 1;
	for (uint32_t node = 0; node < tree->numbers; node++)
		at(tree, node)->first = TREE_NONE;
	for (uint32_t node = 0; node < tree->numbers; node++) {
		int err = 0;

		if (at(tree, node)->at == NOWHERE)
			tree_give_number(tree, node);
		else
			err = settle_node(tree, node);
		if (err)
			return err;
	}
	return 0;
}
