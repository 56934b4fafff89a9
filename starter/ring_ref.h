/* SPDX-License-Identifier: MIT */
/*
 * ring_ref - the frame of a domain's ring, where its toolstack has noted it: the C daemon maps
 * rings by grant, and does not know it; oxenstored needs it.
 *
 * Called by inventory.c and remake.c, for each node of a state. The node is dom0's: no domain may
 * write it.
 */
#ifndef XSPROXY_STARTER_RING_REF_H
#define XSPROXY_STARTER_RING_REF_H

#include <stdbool.h>
#include <stdint.h>

struct record_node;

/**
 * ring_ref_read() - whether the node is that of a domain's ring. Domain 0 has none.
 * @domid, @gfn: set if so
 */
bool ring_ref_read(const struct record_node *node, uint32_t *domid, uint64_t *gfn);

#endif
