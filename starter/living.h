/* SPDX-License-Identifier: MIT */
/*
 * living - whether Xen has a domain.
 *
 * Asked where a state names a domain that has no ring. The libraries that could list domains differ
 * from Xen to Xen, and each daemon has the one of its own; so this asks by what is the same in all:
 * to bind port 0 of a domain fails, with ESRCH for one that is not there, and with EINVAL for any
 * other.
 *
 * Called by remake.c, through its options. Must never open event channels where no domain is in
 * doubt.
 */
#ifndef XSPROXY_STARTER_LIVING_H
#define XSPROXY_STARTER_LIVING_H

#include <stdint.h>

struct living;

/** living_new() - before the first question. Return: it, or NULL when memory ran out. */
struct living *living_new(void);

/** living_free() - free @living, which may be NULL. */
void living_free(struct living *living);

/**
 * living_has() - whether there is a domain, a dying one too.
 * @living: of living_new(); a remake_living_fn has it so
 * @domid: no reserved one
 *
 * Return: 1, 0, or a negative errno when Xen cannot be asked.
 */
int living_has(void *living, uint16_t domid);

#endif
