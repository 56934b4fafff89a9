/* SPDX-License-Identifier: MIT */
/*
 * The ends of event channels: raising, taking, unmasking and closing them. Used by domain.c and
 * channel.c. Raising, taking and unmasking need no lock; all that changes a link needs it.
 */
#ifndef XENSIM_ENDS_H
#define XENSIM_ENDS_H

#include "tests/sim/common/state.h"

/* Make @port of @domid pending. True: the owner had to be told, by one system call. */
bool end_raise(struct sim *sim, uint32_t domid, uint32_t port);

/* The owner has read @port from its FIFO: no longer pending, masked. */
void end_take(struct sim *sim, uint64_t owner, uint32_t domid, uint32_t port);

/* True: it was pending, and the owner had to be told, by one system call. */
bool end_unmask(struct sim *sim, uint64_t owner, uint32_t domid, uint32_t port);

/* Under the lock: from now on @owner gets the events, also the one that is pending. */
void end_attach(struct sim *sim, uint64_t owner, uint32_t domid, uint32_t port);

/* Under the lock: nobody gets them; they stay pending. */
void end_detach(struct sim *sim, uint32_t domid, uint32_t port);

/*
 * Under the lock: free the port. Its remote end becomes unbound, or an orphan when @dying_gen (the
 * generation of @domid, which is being destroyed) is not 0.
 */
void end_close(struct sim *sim, uint32_t domid, uint32_t port, uint32_t dying_gen);

/* Under the lock: a process died that may have been in the middle of raising this port's remote. */
void end_repair_remote(struct sim *sim, uint32_t domid, uint32_t port);

/* Under the lock: dom0's ports that remain of that destroyed domain. */
unsigned int ends_orphans(struct sim *sim, uint32_t domid, uint32_t gen);

static inline uint64_t end_owner(struct sim_end *end)
{
	return atomic_load(&end->ev) & ~EV_BITS;
}

#endif
