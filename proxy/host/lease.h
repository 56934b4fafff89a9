/* SPDX-License-Identifier: MIT */
/*
 * lease - quiesces that last as long as the connection that asked for them: of the control socket,
 * or a toolstack client.
 *
 * Which domains stand still only by leases is in their ledgers (`lease`), so that they go on when
 * xsproxyd ends; who holds the leases is kept here, also while xenstored is away. Of several the
 * last one counts.
 *
 * Used by op.c, toolstack*.c, domain.c and control.c.
 */
#ifndef XSPROXY_PROXY_HOST_LEASE_H
#define XSPROXY_PROXY_HOST_LEASE_H

#include <stdbool.h>
#include <stdint.h>

struct daemon;

/**
 * lease_take() - @holder's connection wants @domid to stand still.
 * @holder: the struct session or struct control
 *
 * Return: 0 or -ENOMEM.
 */
int lease_take(struct daemon *daemon, uint32_t domid, const void *holder);

/** lease_is() - whether anybody has a lease on a domain. */
bool lease_is(const struct daemon *daemon, uint32_t domid);

/** lease_drop() - the domain goes on, or has ended: nobody's lease on it counts any more. */
void lease_drop(struct daemon *daemon, uint32_t domid);

/** lease_end() - @holder's connection has ended: what only it kept still goes on. */
void lease_end(struct daemon *daemon, const void *holder);

/** lease_held() - whether @holder has any. */
bool lease_held(const struct daemon *daemon, const void *holder);

#endif
