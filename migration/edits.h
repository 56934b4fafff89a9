/* SPDX-License-Identifier: MIT */
/*
 * edits - writes and removes nodes, several requests at a time, without a transaction.
 *
 * The counterpart of migration/nodes. Not a transaction: in one the C daemon searches a list of all
 * nodes that it has touched, for each request, while everybody waits. How many requests are under
 * way is the connection's window.
 *
 * Called by migration/graft. Must never retry, or change what it writes.
 */
#ifndef XSPROXY_MIGRATION_EDITS_H
#define XSPROXY_MIGRATION_EDITS_H

#include "migration/plan.h"
#include "migration/wire.h"

enum edit {
	EDIT_VALUE,
	EDIT_PERMS,
	EDIT_REMOVE,
};

/* Called when the daemon refuses one. Return: 0, or a negative errno that ends the wait. */
typedef int (*edits_fn)(void *arg, struct plan_node *node, enum edit edit, int err);

struct edits {
	struct wire *wire;
	edits_fn refused;
	void *arg;
};

/**
 * edits_write() - write a node's value or its permissions; the daemon makes missing parents.
 * @edits, @node: outlive the request
 * @to: what it gets
 *
 * Return: 0, also if it will fail yet; -E2BIG for what fits no request; what @refused returned for
 * an earlier request; or as wire_send() and wire_wait().
 */
int edits_write(struct edits *edits, struct plan_node *node, enum edit edit,
		const struct plan_state *to);

/** edits_remove() - remove a node and what is below, if it is there. Return: as edits_write(). */
int edits_remove(struct edits *edits, struct plan_node *node);

/** edits_finish() - wait for all replies. Return: as wire_drain(). */
int edits_finish(struct edits *edits);

#endif
