/* SPDX-License-Identifier: MIT */
/*
 * tree_parts - the nodes of the store, for tree.c, which has and changes them, tree_table.c, which
 * finds them by their names, and tree_replay.c, which makes them anew from the annals.
 */
#ifndef XSPROXY_PROXY_MIRROR_TREE_PARTS_H
#define XSPROXY_PROXY_MIRROR_TREE_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/mirror/tree.h"

#define CHUNK	     1024u /* nodes that are allocated at once */
#define NAME_MAX_LEN TREE_PATH_MAX

/* Where a record is, in units of ANNALS_ALIGN; what lies in the annals is less than 2^32. */
typedef uint32_t place;

#define NOWHERE UINT32_MAX /* of a number that no node has */

/* Brothers are in a ring backwards: the first one's `prev` is the last one. */
struct node {
	uint32_t first;
	uint32_t next, prev; /* of a free number: the next free one */
	place at;
};

/* What lies in the annals, a struct annals_record; whose child it is, too. */
struct record {
	uint16_t quads;
	uint8_t kind, perms_low;
	uint32_t node, parent;
	uint32_t value_len : 12, name_len : 12, perms_high : 8;
	uint8_t rest[]; /* permissions, name, value */
};

_Static_assert(sizeof(struct record) == 16, "it lies where an annals_record is");

struct tree {
	struct annals *annals;
	struct node **chunks;
	uint32_t numbers; /* that were ever in use */
	uint32_t chunks_len;
	uint32_t free; /* TREE_NONE: none */
	uint32_t count;
	uint32_t *table; /* number + 1; 0: free */
	uint32_t table_size, table_used;
	uint64_t live;
	uint64_t shape; /* tree_shape() */
};

static inline struct node *at(const struct tree *tree, uint32_t node)
{
	return &tree->chunks[node / CHUNK][node % CHUNK];
}

/* --- records */

static inline uint64_t position(const struct tree *tree, place where)
{
	/* The annals's head tells which of the positions with the same low bits it is. */
	uint64_t head = annals_head(tree->annals) / ANNALS_ALIGN;

	return (head + (place)(where - (place)head)) * ANNALS_ALIGN;
}

static inline place place_of(uint64_t pos)
{
	return (place)(pos / ANNALS_ALIGN);
}

static inline struct record *record_at(const struct tree *tree, uint64_t pos)
{
	return (struct record *)annals_at(tree->annals, pos);
}

static inline struct record *record_of(const struct tree *tree, uint32_t node)
{
	return record_at(tree, position(tree, at(tree, node)->at));
}

static inline uint32_t parent_of(const struct tree *tree, uint32_t node)
{
	return record_of(tree, node)->parent;
}

static inline uint32_t nr_perms_of(const struct record *record)
{
	return (uint32_t)record->perms_high << 8 | record->perms_low;
}

static inline uint32_t body_size(const struct record *record)
{
	return (uint32_t)(sizeof(*record) - sizeof(struct annals_record) +
			  nr_perms_of(record) * sizeof(struct tree_perm) + record->name_len +
			  record->value_len);
}

static inline const char *name_of(const struct record *record)
{
	return (const char *)record->rest + nr_perms_of(record) * sizeof(struct tree_perm);
}

static inline bool exists(const struct tree *tree, uint32_t node)
{
	return node < tree->numbers && at(tree, node)->at != NOWHERE;
}

/* --- tree.c */

/** tree_alloc() - with no nodes at all. Return: NULL without memory. */
struct tree *tree_alloc(struct annals *annals);

/** tree_link_last() - a node becomes the last child of the parent that it names. */
void tree_link_last(struct tree *tree, uint32_t node);

/** tree_unlink_node() - it is no child any more. */
void tree_unlink_node(struct tree *tree, uint32_t node);

/**
 * tree_reach() - all numbers up to @node exist; those that are new are nobody's.
 *
 * Return: 0, -EINVAL or -ENOMEM.
 */
int tree_reach(struct tree *tree, uint32_t node);

/** tree_give_number() - it is free. */
void tree_give_number(struct tree *tree, uint32_t node);

/* --- tree_table.c */

/**
 * tree_table_reserve() - room for one more; seven eighths are in use at most.
 *
 * Return: 0 or -ENOMEM.
 */
int tree_table_reserve(struct tree *tree);

/** tree_table_add() - a node that has its record, after tree_table_reserve(). */
void tree_table_add(struct tree *tree, uint32_t node);

/** tree_table_remove() - one that is in it, and still has its record. */
void tree_table_remove(struct tree *tree, uint32_t node);

#endif
