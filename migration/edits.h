/* SPDX-License-Identifier: MIT */
/*
 * edits - a transaction that writes and removes nodes, many requests at a time.
 *
 * The counterpart of migration/nodes. Replies come later than requests, so each request carries a
 * number of the caller's; when one fails, its number tells which.
 *
 * Called by migration/graft, and by import for the format of permissions. Must never retry, or
 * change what it writes.
 */
#ifndef XSPROXY_MIGRATION_EDITS_H
#define XSPROXY_MIGRATION_EDITS_H

#include <stddef.h>
#include <stdint.h>

#include "migration/record.h"
#include "migration/wire.h"

#define EDITS_PAYLOAD_MAX 4096 /* XENSTORE_PAYLOAD_MAX */

struct edits {
	struct wire *wire;
	uint32_t tx_id;	  /* for who reads in the same transaction */
	const char *verb; /* what failed: "write", "set permissions of", "remove"; or NULL */
	uint64_t number;  /* of the request that failed */
};

/*
 * Start a transaction.
 *
 * @edits: filled; nothing needs to be freed
 * @wire: a connection that outlives it; closing it ends the transaction
 *
 * Returns 0; -EPROTO; or as wire_call().
 */
int edits_begin(struct edits *edits, struct wire *wire);

/*
 * Write value and permissions of a node; the daemon makes missing parents.
 *
 * @number: see above
 *
 * Returns 0, also if it will fail yet; -E2BIG for what fits no request; what an earlier request
 * failed with; or as wire_send() and wire_wait().
 */
int edits_write(struct edits *edits, const struct record_node *node, uint64_t number);

/* Remove a node and what is below, if it is there. Returns as edits_write(). */
int edits_remove(struct edits *edits, const char *path, size_t len, uint64_t number);

/* Wait for all replies. Returns 0; what a request failed with; or as wire_wait(). */
int edits_finish(struct edits *edits);

/*
 * Commit; no signal ends the wait. Returns 0; -EAGAIN after a conflict: nothing was changed; or as
 * wire_call().
 */
int edits_commit(struct edits *edits);

/*
 * The payload of SET_PERMS behind the path: strings of a letter and a domid.
 *
 * @out, @len: gets it
 *
 * Returns 0, or -E2BIG if it fits no request together with the node's path.
 */
int edits_format_perms(const struct record_node *node, char out[EDITS_PAYLOAD_MAX], size_t *len);

#endif
