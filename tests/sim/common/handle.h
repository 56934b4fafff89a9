/* SPDX-License-Identifier: MIT */
/*
 * Event channel handles: what /dev/xen/evtchn is to a process of dom0, and what the interrupt of a
 * guest kernel is to it. A handle is a FIFO of port numbers whose owner holds a flock on it, so a
 * handle ends when the last copy of its descriptor is closed, by SIGKILL too, and PIDs do not
 * matter. Used by ends.c and channel.c; it knows nothing of what a port means.
 */
#ifndef XENSIM_HANDLE_H
#define XENSIM_HANDLE_H

#include "tests/sim/common/state.h"

/* The reference of a handle, as it stands in sim_end.ev. */
static inline uint64_t handle_ref(uint32_t slot, uint32_t gen)
{
	return (uint64_t)gen << 32 | (uint64_t)(slot + 1) << 8;
}

static inline uint32_t handle_slot(uint64_t ref)
{
	return (ref >> 8 & 0xffffff) - 1;
}

static inline uint32_t handle_gen(uint64_t ref)
{
	return ref >> 32;
}

/* Under the lock. Takes a free slot; returns the FIFO's descriptor, blocking for its reader. */
int handle_alloc(struct sim *sim, enum handle_kind kind, uint32_t domid, bool cloexec,
		 uint64_t *ref);

/* Under the lock: forget a handle whose ports are all closed. */
void handle_free(struct sim *sim, uint64_t ref);

/* Under the lock: does anybody still have the descriptor? */
bool handle_alive(struct sim *sim, uint64_t ref);

/* Find the handle that an inherited descriptor belongs to. */
int handle_identify(struct sim *sim, int fd, uint64_t *ref);

/* Tell the handle of @port: one write, never blocks. */
void handle_ring(struct sim *sim, uint64_t ref, uint32_t port);

/* The descriptors through which this process rings others. */
struct bell_cache *bell_cache_new(void);
void bell_cache_free(struct bell_cache *bells);

/* Around a fork. */
void bell_cache_lock(struct bell_cache *bells);
void bell_cache_unlock(struct bell_cache *bells);

#endif
