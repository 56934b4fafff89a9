/* SPDX-License-Identifier: MIT */
/*
 * change - what a request changes in the store, once it has been answered with OK.
 *
 * WRITE, MKDIR, RM and SET_PERMS do, and the nodes above that one of the first two needs and that
 * are not there (docs/daemons.md, "What a node gets when it is made"). What is spelled in a way
 * that the daemons may read otherwise is not guessed at: the caller has it read again.
 *
 * Called by follow.c and draft.c. Never decides whether a request is allowed: upstream has.
 */
#ifndef XSPROXY_PROXY_MIRROR_CHANGE_H
#define XSPROXY_PROXY_MIRROR_CHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link/rings.h"
#include "proxy/mirror/tree.h"

enum change_kind {
	CHANGE_NOTHING = 0,
	CHANGE_WRITE,
	CHANGE_MKDIR,
	CHANGE_RM,
	CHANGE_PERMS,
};

#define CHANGE_HOME sizeof("/local/domain/4294967295/")

/* What a domain's relative paths are below, and which node that was when last looked up. */
struct change_home {
	char path[CHANGE_HOME];
	uint8_t len;
	uint32_t node;
	uint64_t shape; /* tree_shape() of then */
};

/* The node at a change's path; TREE_NONE: there is none, and @above is the lowest above it. */
struct change_place {
	uint32_t node, above;
	uint64_t shape; /* tree_shape() of then; 0: never looked up */
};

struct change {
	enum change_kind kind;
	bool odd;     /* nobody knows what of it the daemon has taken */
	uint16_t len; /* of the path; if odd of as much as is certain */
	uint16_t rest_len;
	const uint8_t *rest;	   /* the value, or permissions as text; points into the request */
	struct change_home *home;  /* NULL: its path was absolute */
	struct change_place place; /* what is known of it */
	char path[TREE_PATH_MAX + 1]; /* absolute, or "@special"; must be last */
};

/* On whose behalf, and by which daemon. */
struct change_by {
	enum rings_flavour flavour;
	uint32_t domid;
	bool privileged;
};

/** change_home() - what a domain's relative paths are below. */
void change_home(struct change_home *home, uint32_t domid);

/**
 * change_read() - what a request is about to change; valid as long as @payload and @home are.
 *
 * Return: whether it is one that changes nodes; else it is CHANGE_NOTHING, without path or rest.
 */
bool change_read(struct change *change, uint32_t type, const uint8_t *payload, uint32_t len,
		 struct change_home *home);

/** change_size() - octets that change_keep() needs. */
static inline size_t change_size(const struct change *change)
{
	return offsetof(struct change, path) + change->len + 1u + change->rest_len;
}

/** change_keep() - for when its payload is gone. @to: change_size() octets */
void change_keep(struct change *to, const struct change *change);

/** change_find() - it knows from now on where that is, as long as the tree has its shape. */
void change_find(const struct tree *tree, struct change *change);

/**
 * change_top() - how much of its path is above all that it touches and there is already, the
 * first octets of it that name what may begin or end to exist included.
 */
uint32_t change_top(const struct tree *tree, const struct change *change);

/**
 * change_may() - whether upstream may allow it, as far as the tree knows who may write what; a
 * domain may write what its target may, which is not known here.
 */
bool change_may(const struct tree *tree, const struct change *change, const struct change_by *by);

/**
 * change_apply() - the request got OK; in a group of the caller's.
 *
 * Return: 0; 1: the node at its path is to be read again, and, but for permissions, all below it;
 * or -ENOMEM.
 */
int change_apply(struct tree *tree, const struct change *change, const struct change_by *by);

/**
 * change_refused() - it got an error.
 * @err: a positive errno
 * @len: set for 1
 *
 * Return: 0; or 1: the node at the first @len octets of its path is to be read again.
 */
int change_refused(const struct tree *tree, const struct change *change, const struct change_by *by,
		   int err, uint32_t *len);

/** change_common() - how much of two paths is a node above both, or one of them. */
uint32_t change_common(const char *a, uint32_t a_len, const char *b, uint32_t b_len);

/** change_perm_text() - a permission as requests have it; of 16 octets. Return: its length. */
size_t change_perm_text(char *text, const struct tree_perm *perm);

/**
 * change_perms_read() - permissions as they are in requests and replies, each with its NUL.
 * @perms: room for TREE_PERMS_MAX
 *
 * Return: how many; 0: they are no list, or one that is spelled otherwise.
 */
uint32_t change_perms_read(struct tree_perm *perms, const uint8_t *text, size_t len);

#endif
