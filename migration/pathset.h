/* SPDX-License-Identifier: MIT */
/*
 * pathset - a set of absolute paths, and what lies above what.
 *
 * Called by migration/walk, for the paths that changed. Must never care whether a path exists.
 */
#ifndef XSPROXY_MIGRATION_PATHSET_H
#define XSPROXY_MIGRATION_PATHSET_H

#include <stdbool.h>
#include <stddef.h>

#include "protocol/table.h"

/* An element. The set is a pointer to the first one, NULL at first; HASH_ITER() goes over it. */
struct pathset {
	UT_hash_handle hh;
	size_t len;
	char path[]; /* NUL-terminated */
};

/** pathset_parent() - the octets of @path's parent; @len for "/", which has none. */
size_t pathset_parent(const char *path, size_t len);

/** pathset_add() - add a copy of @path, if it is not there. Return: 0 or -ENOMEM. */
int pathset_add(struct pathset **set, const char *path, size_t len);

/**
 * pathset_cover() - how many octets of @path name it, or else the nearest thing above it, that is
 * in the set; 0 if there is none.
 */
size_t pathset_cover(const struct pathset *set, const char *path, size_t len);

/** pathset_clear() - make the set empty. */
void pathset_clear(struct pathset **set);

#endif
