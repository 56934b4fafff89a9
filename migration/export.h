/* SPDX-License-Identifier: MIT */
/*
 * export - a domain's Xenstore session as a migration stream.
 *
 * In this order: connect, open the output, QUIESCE the domain, read its watches and transactions,
 * read the nodes (migration/walk), see that the domain still stands still, write the stream, let
 * the file appear, UNQUIESCE if asked to. The domain is left quiesced otherwise: what it asks from
 * now on is for the other side. On any failure, and on SIGINT, SIGTERM, SIGHUP and a closed pipe, a
 * domain that was quiesced here is unquiesced, and the guest never notices.
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
	bool resume; /* unquiesce at the end */
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
