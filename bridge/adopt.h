/* SPDX-License-Identifier: MIT */
/*
 * adopt - going on with the rings of the xenstored that was there before.
 *
 * Who starts a daemon with a state of another one gives it the rings, too (link/start.h). They stay
 * what they are: identity, generations, virtual ports, and the octets in them. What the state names
 * the daemon maps, and perhaps binds, before it looks at its event channels for the first time.
 * Until then a call that is about what the rings already say is a *claim*: it gets what there is,
 * nothing is moved and nobody is asked. After that all is as ever.
 *
 * Called by bridge.c, attach.c, doorbell.c and interpose_xen.c. Must never touch the octets of a
 * ring that is claimed.
 */
#ifndef XSPROXY_BRIDGE_ADOPT_H
#define XSPROXY_BRIDGE_ADOPT_H

#include <stdbool.h>
#include <stdint.h>

#include "link/arena.h"

struct bridge;

struct adopt {
	bool asked;	    /* the environment names rings */
	int fd;		    /* their memfd, until adopt_open(); -1: none that makes sense */
	bool underway;	    /* the daemon has not looked at its event channels yet */
	uint32_t virq_port; /* of VIRQ_DOM_EXC, a real one; 0: not bound */
	uint64_t unclaimed[ARENA_DOMIDS / 64];
};

/** adopt_ask() - take XSPROXY_RINGS out of the environment, and its descriptor from children. */
void adopt_ask(struct bridge *b);

/**
 * adopt_open() - make @b->rings the given ones, with this daemon's name in their header.
 *
 * If there are some, but of no use, that is logged. Dom0's ring is then relayed if it was.
 * Return: whether @b->rings are open.
 */
bool adopt_open(struct bridge *b);

/**
 * adopt_map() - the daemon maps a domain.
 * @gfn: as attach_map() has it; 0 goes with any
 *
 * Return: whether that is a claim: the ring is the daemon's as it is.
 */
bool adopt_map(struct bridge *b, uint32_t domid, uint64_t gfn);

/** adopt_bind() - the daemon binds a mapped domain. Return: whether that is a claim. */
bool adopt_bind(struct bridge *b, uint32_t domid, uint32_t remote_port);

/**
 * adopt_finish() - the daemon looks at its event channels: its state is in.
 *
 * Unmaps what it has not claimed, makes pending what it has. Once, while @b->adopt.underway.
 * Return: the port of VIRQ_DOM_EXC, to be looked at first, for a domain may have died in between;
 * or -1 where it is not bound.
 */
int adopt_finish(struct bridge *b);

#endif
