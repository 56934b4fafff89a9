/* SPDX-License-Identifier: MIT */
/*
 * walk - the nodes at and below some roots, as they are at one time, as far as that is possible.
 *
 * A transaction would give one consistent view, but the C daemon copies every node that one reads,
 * and slows down everybody's writes while one is open (docs/daemons.md, "What an open transaction
 * costs others"). So the roots are watched, read without a transaction, and what changed meanwhile
 * is read again, at most WALK_ROUNDS times. What changes even then (a backend that writes
 * statistics, say) is warned about.
 *
 * The nodes are kept in memory: they are no more than a part of what xenstored has in its own.
 *
 * Called by export. Must never write to the store.
 */
#ifndef XSPROXY_MIGRATION_WALK_H
#define XSPROXY_MIGRATION_WALK_H

#include <stddef.h>

#include "migration/format/libxl_stream.h"
#include "migration/omissions.h"
#include "migration/report.h"
#include "migration/wire.h"

#define WALK_ROUNDS 3 /* of reading again */

struct walk;

/**
 * walk_new() - an empty walk.
 * @out: gets it; walk_free() it
 * @wire: a connection that outlives it; its watch events are the walk's from now on
 * @omissions: told what cannot be read or does not fit a stream; outlives it
 * @report: told about failures and about what kept changing; outlives it
 *
 * Return: 0 or -ENOMEM.
 */
int walk_new(struct walk **out, struct wire *wire, struct omissions *omissions,
	     const struct report *report);

/** walk_free() - free @walk, which may be NULL, and what is under way on its connection. */
void walk_free(struct walk *walk);

/**
 * walk_add_root() - watch @path, to be read with all that is below.
 * @path: absolute and valid; a copy is kept
 * @required: whether it is an error if it does not exist
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int walk_add_root(struct walk *walk, const char *path, bool required);

/**
 * walk_read() - read everything. To be called once.
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int walk_read(struct walk *walk);

/**
 * walk_write() - write all nodes that a stream can hold, parents before children, in the order of
 * their paths.
 *
 * Return: 0, or what writing failed with: a negative errno, which the caller puts into words.
 */
int walk_write(struct walk *walk, struct libxl_writer *writer);

#endif
