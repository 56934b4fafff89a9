/* SPDX-License-Identifier: MIT */
/*
 * xenmanage - libxenmanage of Xen 4.21, of which Debian has no headers yet, as far as later.c needs
 * it. xenmanage.c is a library of that name which tells of the domains in $XENMANAGE_DOMAINS.
 */
#ifndef XSPROXY_TESTS_E2E_BRIDGE_XENMANAGE_H
#define XSPROXY_TESTS_E2E_BRIDGE_XENMANAGE_H

#include <stdint.h>

struct xentoollog_logger;
typedef struct xenmanage_handle xenmanage_handle;

xenmanage_handle *xenmanage_open(struct xentoollog_logger *logger, unsigned int flags);

/* Each domain once; 0, or -1 with ENOENT when all have been told. */
int xenmanage_poll_changed_domain(xenmanage_handle *xm, unsigned int *domid, unsigned int *state,
				  unsigned int *caps, uint64_t *unique_id);

#endif
