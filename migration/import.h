/* SPDX-License-Identifier: MIT */
/*
 * import - a domain's Xenstore session from a migration stream.
 *
 * Everything that can be checked is, before anything is changed: the whole stream
 * (migration/intake); that the domain stands still (held or quiesced) and is introduced, and, if
 *the stream has any, has no watches and transactions yet. Then, in this order:
 *
 *	1. nodes, in one transaction: committed before there is a watch, so they cause the guest no
 *	   events: it would get one for each node below its watches, for changes that it has seen
 *	   long ago on the other host;
 *	2. watches: each fires once, as WATCH does, and as a guest has to expect at any time. The
 *	   event waits for UNQUIESCE; by then the node that it leads to is there;
 *	3. transactions: opened last, so what they read is what was imported (oxenstored's see the
 *	   store as it was when they were opened).
 *
 * What fails, or is interrupted, is taken back in the opposite order: RESET_DOMAIN ends watches and
 * transactions, of which the domain had none before, and drops their events; another transaction
 * takes the nodes back. The domain stays held or quiesced then, and the import can be tried again.
 *
 * Called by xsproxyctl. Must never change anything for a stream that is refused, and never let a
 * domain run that has half a session.
 */
#ifndef XSPROXY_MIGRATION_IMPORT_H
#define XSPROXY_MIGRATION_IMPORT_H

#include <stdbool.h>

#include "migration/intake.h"
#include "migration/report.h"

struct import_options {
	const char *socket; /* xsproxyd's */
	struct intake_options intake;
	bool resume; /* unquiesce at the end */
};

/*
 * Import a domain (protocol.md, "Migration stream"). Once the stream has been read, signals are
 * caught as interrupt.h says.
 *
 * @report: told about failures, a line each
 *
 * Returns 0, or a negative errno, which has been reported.
 */
int import_domain(const struct import_options *options, const struct report *report);

#endif
