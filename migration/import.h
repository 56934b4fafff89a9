/* SPDX-License-Identifier: MIT */
/*
 * import - a domain's Xenstore session from a migration stream.
 *
 * Everything that can be checked is, before anything is changed: the whole stream
 * (migration/intake); that the domain stands still (held or quiesced) and is introduced, and, if
 * the stream has any, has no watches and transactions yet; what is here of the stream's nodes, and
 * which of them are written (migration/plan). Then a journal of all of it is written, and then, in
 * this order:
 *
 *	1. nodes, before there is a watch, so they cause the guest no events: it would get one for
 *	   each node below its watches, for changes that it has seen long ago on the other host;
 *	2. watches: each fires once, as WATCH does, and as a guest has to expect at any time. The
 *	   event waits for UNQUIESCE; by then the node that it leads to is there;
 *	3. transactions: opened last, so what they read is what was imported (oxenstored's see the
 *	   store as it was when they were opened).
 *
 * No more than IMPORT_WINDOW requests are under way, and there is no transaction, so others who ask
 * xenstored are served in between.
 *
 * What fails, or is interrupted, is taken back in the opposite order: RESET_DOMAIN ends watches and
 * transactions, of which the domain had none before, and drops their events; then the nodes. The
 * domain stays held or quiesced then, and the import can be tried again. If nobody is left to take
 * it back (SIGKILL), or xsproxyd does not come back, the journal stays, and the next import of that
 * domain, or import_recover(), does it first. From the first change to the end the domain stays
 * held.
 *
 * Called by xsproxyctl. Must never change anything for a stream that is refused, and never let a
 * domain run that has half a session.
 */
#ifndef XSPROXY_MIGRATION_IMPORT_H
#define XSPROXY_MIGRATION_IMPORT_H

#include <stdbool.h>

#include "migration/intake.h"
#include "migration/report.h"

#define IMPORT_WINDOW 4 /* requests under way */

struct import_options {
	const char *socket; /* xsproxyd's */
	const char *dir;    /* of journals: xsproxyd's run-dir */
	struct intake_options intake;
	bool overwrite;	   /* also what is the toolstack's (plan.h) */
	bool drop_foreign; /* leave out nodes of domains that are not here (foreign.h) */
	bool resume;	   /* unquiesce at the end */
	bool strict;	   /* fail rather than leave something out */
	const char *list;  /* file for what is left out (omissions.h), or NULL */
};

/**
 * import_domain() - import a domain (docs/protocol.md, "Migration stream"). Once the stream has
 * been read, signals are caught as interrupt.h says.
 * @report: told about failures, a line each, and about what is left out
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int import_domain(const struct import_options *options, const struct report *report);

/**
 * import_recover() - take back what an import that was killed has left, if there is any. Needs of
 * @options only @socket, @dir and the domain.
 *
 * Return: as import_domain().
 */
int import_recover(const struct import_options *options, const struct report *report);

#endif
