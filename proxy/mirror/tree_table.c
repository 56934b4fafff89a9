// SPDX-License-Identifier: MIT
/*
 * tree_table - nodes of the store by their names: open addressing, and what is removed leaves no
 * hole. Called by tree.c and tree_replay.c, and by whoever looks for a node (tree.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/table.h"
#include "proxy/mirror/tree.h"
#include "proxy/mirror/tree_parts.h"

#define TABLE_MIN 1024u

static uint32_t hash_of(uint32_t parent, const char *name, size_t len)
{
	uint8_t key[sizeof(parent) + NAME_MAX_LEN];

	memcpy(key, &parent, sizeof(parent));
	memcpy(key + sizeof(parent), name, len);
	return (uint32_t)table_hash(key, sizeof(parent) + len);
}

static uint32_t hash_node(const struct tree *tree, uint32_t node)
{
	const struct record *record = record_of(tree, node);

	return hash_of(record->parent, name_of(record), record->name_len);
}

/* Where it belongs, in a table of any size. */
static uint32_t home_of(uint32_t size, uint32_t hash)
{
	return (uint32_t)((uint64_t)hash * size >> 32);
}

static uint32_t behind(uint32_t size, uint32_t i)
{
	return i + 1 == size ? 0 : i + 1;
}

/* How far @i lies behind @from. */
static uint32_t distance(uint32_t size, uint32_t from, uint32_t i)
{
	return i >= from ? i - from : i + size - from;
}

static void table_put(uint32_t *table, uint32_t size, uint32_t hash, uint32_t node)
{
	uint32_t i = home_of(size, hash);

	while (table[i])
		i = behind(size, i);
	table[i] = node + 1;
}

/* By a quarter, so that little of it is of no use. */
static int table_grow(struct tree *tree)
{
	uint32_t size = tree->table_size ? tree->table_size / 4 * 5 : TABLE_MIN;
	uint32_t *table = calloc(size, sizeof(*table));

	if (!table)
		return -ENOMEM;
	for (uint32_t i = 0; i < tree->table_size; i++)
		if (tree->table[i])
			table_put(table, size, hash_node(tree, tree->table[i] - 1),
				  tree->table[i] - 1);
	free(tree->table);
	tree->table = table;
	tree->table_size = size;
	return 0;
}

int tree_table_reserve(struct tree *tree)
{
	return (tree->table_used + 1) * 8ULL > tree->table_size * 7ULL ? table_grow(tree) : 0;
}

void tree_table_add(struct tree *tree, uint32_t node)
{
	table_put(tree->table, tree->table_size, hash_node(tree, node), node);
	tree->table_used++;
	tree->shape++;
}

/* Those behind it that would not be found any more move up. */
static void table_close_gap(struct tree *tree, uint32_t gap)
{
	uint32_t size = tree->table_size;

	for (uint32_t i = behind(size, gap); tree->table[i]; i = behind(size, i)) {
		uint32_t home = home_of(size, hash_node(tree, tree->table[i] - 1));

		if (distance(size, home, i) >= distance(size, gap, i)) {
			tree->table[gap] = tree->table[i];
			gap = i;
		}
	}
	tree->table[gap] = 0;
}

void tree_table_remove(struct tree *tree, uint32_t node)
{
	uint32_t i = home_of(tree->table_size, hash_node(tree, node));

	while (tree->table[i] != node + 1)
		i = behind(tree->table_size, i);
	table_close_gap(tree, i);
	tree->table_used--;
	tree->shape++;
}

uint32_t tree_find(const struct tree *tree, uint32_t parent, const char *name, size_t len)
{
	uint32_t size = tree->table_size, i;

	if (!size || len > NAME_MAX_LEN)
		return TREE_NONE;
	for (i = home_of(size, hash_of(parent, name, len)); tree->table[i]; i = behind(size, i)) {
		uint32_t node = tree->table[i] - 1;
		const struct record *record = record_of(tree, node);

		if (record->parent == parent && record->name_len == len &&
		    !memcmp(name_of(record), name, len))
			return node;
	}
	return TREE_NONE;
}

uint32_t tree_look_up(const struct tree *tree, const char *path, size_t len, uint32_t *above)
{
	uint32_t slash = len && *path == '/';

	return tree_look_below(tree, len && *path == '@' ? TREE_SPECIALS : TREE_ROOT, path + slash,
			       len - slash, above);
}

uint32_t tree_look_below(const struct tree *tree, uint32_t node, const char *names, size_t len,
			 uint32_t *above)
{
	const char *end = names + len;

	while (names < end) {
		const char *slash =
			node == TREE_SPECIALS ? NULL : memchr(names, '/', (size_t)(end - names));
		size_t n = (size_t)((slash ? slash : end) - names);
		uint32_t child = tree_find(tree, node, names, n);

		if (child == TREE_NONE) {
			if (above)
				*above = node;
			return TREE_NONE;
		}
		node = child;
		names += n + !!slash;
	}
	return node;
}

uint64_t tree_shape(const struct tree *tree)
{
	return tree->shape;
}
