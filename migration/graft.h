/* SPDX-License-Identifier: MIT */
/*
 * graft - writes the nodes of a stream to the store, all or none, and takes them back.
 *
 * First it reads what is there, outside of any transaction, for in one the C daemon notes what one
 * reads in a list that it searches for every request. Then one transaction: it checks that each
 * node's parent is in the store or in the stream, so that the daemon makes no node up, and writes
 * values and permissions. Nodes come in any order: the daemon makes missing parents, and each
 * parent gets its own value and permissions when its turn comes. When the commit conflicts, all of
 * it starts again from the spooled stream, at most GRAFT_TRIES times.
 *
 * What was there is kept in an unnamed file, so that another transaction can take everything back
 * later: nodes that are new are removed, the others get their old values and permissions. What
 * somebody else has written to the same nodes since is lost then.
 *
 * Called by import. Must never write a node that does not come out of migration/intake.
 */
#ifndef XSPROXY_MIGRATION_GRAFT_H
#define XSPROXY_MIGRATION_GRAFT_H

#include <stdbool.h>

#include "migration/intake.h"
#include "migration/report.h"
#include "migration/wire.h"

#define GRAFT_TRIES 20

struct graft;

/*
 * @out: gets the graft; graft_free() it
 * @intake: the stream; read from its start again and again
 * @report: told about failures
 *
 * Both outlive the graft. Returns 0 or -ENOMEM.
 */
int graft_new(struct graft **out, struct intake *intake, const struct report *report);

/* Frees @graft, which may be NULL. */
void graft_free(struct graft *graft);

/*
 * Write all nodes. After a failure the connection has to be closed, which ends the transaction.
 * Returns 0, or a negative errno, which has been reported: -EAGAIN after the last try.
 */
int graft_apply(struct graft *graft, struct wire *wire);

/*
 * Whether the nodes are in the store: also when graft_apply() failed because nobody said how the
 * commit ended.
 */
bool graft_is_applied(const struct graft *graft);

/*
 * Take everything back.
 *
 * @wire: may be another connection
 *
 * Returns 0, or a negative errno, which has been reported.
 */
int graft_revert(struct graft *graft, struct wire *wire);

#endif
