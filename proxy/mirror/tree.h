/* SPDX-License-Identifier: MIT */
/*
 * tree - the nodes of the store, as the mirror knows them.
 *
 * What a node has lies in the annals, a record a node; this is where each is, whose child it is,
 * and how to find it by its name: 16 octets a node and some for a table. It is made anew from the
 * annals (tree_replay()). A change is written as part of a group that the caller has begun and will
 * end; if that fails for want of memory, neither is of any use any more.
 *
 * A node may be known by its name alone (unread): its parent's children were listed, and it has not
 * been read yet.
 *
 * Used by change.c, which knows what a request changes, and by proxy/mend/, which reads the store
 * and compares. Knows nothing of permissions' meaning.
 */
#ifndef XSPROXY_PROXY_MIRROR_TREE_H
#define XSPROXY_PROXY_MIRROR_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/mirror/annals.h"

#define TREE_NONE      UINT32_MAX
#define TREE_ROOT      0u /* "/" */
#define TREE_SPECIALS  1u /* above "@releaseDomain" and its like, which have permissions alone */
#define TREE_PATH_MAX  3072u
#define TREE_PERMS_MAX 2048u

/* struct tree_perm.flags */
#define TREE_PERM_STALE 1u /* of a domain that has ended: it counts for nobody */
#define TREE_PERM_ODD	2u /* its number is no domain's */

struct tree_perm {
	uint16_t domid;
	uint8_t letter; /* 'w', 'r', 'b' or 'n' */
	uint8_t flags;
};

/* What a node has; of one that is unread nothing. */
struct tree_content {
	const struct tree_perm *perms; /* the first one names the owner; 0: unread */
	uint32_t nr_perms;
	const uint8_t *value;
	uint32_t value_len;
};

struct tree;

/* Kinds of records in the annals. */
enum tree_kind {
	TREE_NODE = 1,
	TREE_GONE,  /* nodes, by their numbers */
	TREE_KINDS, /* others', from here on */
};

/**
 * tree_new() - with nothing but "/", which is unread; in a group of the caller's.
 *
 * Return: 0 or -ENOMEM.
 */
int tree_new(struct tree **out, struct annals *annals);

/** tree_replay_begin() - one to be filled with tree_replay(). Return: 0 or -ENOMEM. */
int tree_replay_begin(struct tree **out, struct annals *annals);

/** tree_replay() - the record at @pos, in their order. Return: 0, -EINVAL or -ENOMEM. */
int tree_replay(struct tree *tree, uint64_t pos);

/** tree_replay_end() - there was no more. Return: 0, or -EINVAL: they make no tree. */
int tree_replay_end(struct tree *tree);

/** tree_free() - NULL is fine; returns NULL. */
struct tree *tree_free(struct tree *tree);

/** tree_find() - a child by its name. Return: the node or TREE_NONE. */
uint32_t tree_find(const struct tree *tree, uint32_t parent, const char *name, size_t len);

/**
 * tree_look_up() - a node by its path, absolute or "@special".
 * @above: set, if there is none: the deepest node above it that there is; may be NULL
 *
 * Return: the node or TREE_NONE.
 */
uint32_t tree_look_up(const struct tree *tree, const char *path, size_t len, uint32_t *above);

/** tree_look_below() - as tree_look_up(): names below @node, without a slash before the first. */
uint32_t tree_look_below(const struct tree *tree, uint32_t node, const char *names, size_t len,
			 uint32_t *above);

/**
 * tree_shape() - another number whenever a node has been made or removed, and for each tree; never
 * 0. As long as it is the same each path leads to where it led.
 */
uint64_t tree_shape(const struct tree *tree);

/** tree_parent() - of a node; TREE_NONE of TREE_ROOT and TREE_SPECIALS. */
uint32_t tree_parent(const struct tree *tree, uint32_t node);

/** tree_first() - the first child, or TREE_NONE. */
uint32_t tree_first(const struct tree *tree, uint32_t node);

/** tree_next() - the child behind it, or TREE_NONE. */
uint32_t tree_next(const struct tree *tree, uint32_t node);

/** tree_following() - the node behind @node, parents before their children, within @top; or
 * TREE_NONE. */
uint32_t tree_following(const struct tree *tree, uint32_t node, uint32_t top);

/** tree_behind() - the same, but not below @node. */
uint32_t tree_behind(const struct tree *tree, uint32_t node, uint32_t top);

/** tree_name() - @len octets, not terminated; valid until something is changed. */
const char *tree_name(const struct tree *tree, uint32_t node, size_t *len);

/** tree_path() - @path: TREE_PATH_MAX + 1 octets. Return: the length; 0: it is longer. */
size_t tree_path(const struct tree *tree, uint32_t node, char *path);

/**
 * tree_get() - what a node has; valid until something is changed.
 *
 * Return: false: it is unread.
 */
bool tree_get(const struct tree *tree, uint32_t node, struct tree_content *content);

/** tree_is_unread() - whether it is known by its name alone. */
bool tree_is_unread(const struct tree *tree, uint32_t node);

/**
 * tree_add() - a child, behind the others.
 * @content: may point into the tree; with no permissions: it is unread
 * @node: set
 *
 * Return: 0 or -ENOMEM.
 */
int tree_add(struct tree *tree, uint32_t parent, const char *name, size_t len,
	     const struct tree_content *content, uint32_t *node);

/** tree_set() - what a node has. @content: may point into the tree. Return: 0 or -ENOMEM. */
int tree_set(struct tree *tree, uint32_t node, const struct tree_content *content);

/** tree_remove() - a node and all below it; not TREE_ROOT. Return: 0 or -ENOMEM. */
int tree_remove(struct tree *tree, uint32_t node);

/** tree_keep() - the record at @pos goes behind the others, if it counts still. Return: 0 or
 * -ENOMEM. */
int tree_keep(struct tree *tree, uint64_t pos);

/** tree_count() - nodes, and numbers up to which there are some. */
uint32_t tree_count(const struct tree *tree);
uint32_t tree_numbers(const struct tree *tree);

/** tree_is_node() - whether there is one of this number. */
bool tree_is_node(const struct tree *tree, uint32_t node);

/** tree_live() - octets of the annals that count. */
uint64_t tree_live(const struct tree *tree);

/** tree_heap() - octets of memory beside the annals. */
uint64_t tree_heap(const struct tree *tree);

/* TREE_EACH_CHILD() - the statement that follows runs for each; it must not remove any. */
#define TREE_EACH_CHILD(tree, node, child)                                  \
	for (uint32_t child = tree_first(tree, node); (child) != TREE_NONE; \
	     (child) = tree_next(tree, child))

#endif
