/* SPDX-License-Identifier: MIT */
/*
 * export - a domain's Xenstore session as a migration stream.
 *
 * In this order: connect, open the output, QUIESCE the domain by a lease, read its watches and
 * transactions, read the nodes (migration/walk), see that the domain still stands still, write the
 * stream, make the quiesce permanent, end the stream and let the file appear; or UNQUIESCE if asked
 * to. The domain is left quiesced otherwise: what it asks from now on is for the other side. On any
 * failure and on any signal, SIGKILL included, the lease ends with the connection, a quiesce that
 * was permanent is taken back, and the guest never notices. Only who is killed between these two
 * last steps leaves a guest quiesced without a stream.
 *
 * Nothing that a guest wrote makes an export fail: what no stream can hold is left out, or made
 * into the nearest thing that one can, and listed (migration/omissions). With @strict that is a
 * failure.
 *
 * Called by xsproxyctl. Must never leave a guest stopped that it stopped itself and could not
 * export, and never change anything in the store.
 */
#ifndef XSPROXY_MIGRATION_EXPORT_H
#define XSPROXY_MIGRATION_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migration/report.h"

struct export_options {
	const char *socket; /* xsproxyd's */
	uint16_t domid;
	const char *file;	  /* NULL: standard output */
	const char *const *roots; /* besides /local/domain/<domid>; valid paths of nodes */
	size_t nr_roots;
	bool resume;	  /* unquiesce at the end */
	bool strict;	  /* fail rather than leave something out */
	const char *list; /* file for what is left out (omissions.h), or NULL */
};

/*
 * Export a domain (protocol.md, "Migration stream"). Signals are caught as interrupt.h says.
 *
 * @report: told about failures, a line each, and about nodes that kept changing
 *
 * Returns 0, or a negative errno, which has been reported.
 */
int export_domain(const struct export_options *options, const struct report *report);

#endif
