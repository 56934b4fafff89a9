/* SPDX-License-Identifier: MIT */
/*
 * owner - the bridge's end of the link: who is connected, and round trips to it. While awake only.
 *
 * Called by attach.c, and by doorbell.c when a socket can be read. Must never wait but for the
 * answer to a round trip, and for the end of an owner that gave none (fence.h).
 */
#ifndef XSPROXY_BRIDGE_OWNER_H
#define XSPROXY_BRIDGE_OWNER_H

#include <stdint.h>

#include "link/link.h"

struct bridge;

/**
 * owner_call() - tell the owner, and wait for its answer (LINK_TIMEOUT_MS at most).
 *
 * An owner that does not answer, or wrongly, is killed.
 * Return: the answer, 0 or a negative errno; 0 as well when there is no owner (any more).
 */
int owner_call(struct bridge *b, enum link_type type, uint32_t domid, int32_t value);

/** owner_accept() - the listener is readable: take who connects, or turn it away. */
void owner_accept(struct bridge *b);

/** owner_look() - the connection is readable, outside of a round trip: what to keep, or the end. */
void owner_look(struct bridge *b);

#endif
