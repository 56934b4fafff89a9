/* SPDX-License-Identifier: MIT */
/*
 * The shared state of one simulated machine: a directory with
 *
 *	state		this header's tables, mapped by every process of the machine
 *	lock		the machine lock (OFD lock on its first octet)
 *	procs		one octet per process that maps foreign pages (POSIX locks)
 *	xsd_port	what /proc/xen/xsd_port holds
 *	pages/D.G	the Xenstore page of generation G of domain D
 *	evtchn/S.G	the FIFO of generation G of event channel handle S
 *	root/		where /run/xenstored and friends are redirected to
 *
 * Used by all of tests/sim. Processes are killed at any instruction, so every lock here is one that
 * the kernel drops, and every update under the lock is ordered so that the next process can finish
 * or undo it. This module knows the layout only; it must never interpret events or domains.
 */
#ifndef XENSIM_STATE_H
#define XENSIM_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SIM_MAGIC	0x6d69736e6578ULL
#define SIM_VERSION	1
#define SIM_PAGE_SIZE	4096
#define SIM_DOMS	0x7ff0 /* DOMID_FIRST_RESERVED */
#define SIM_DOM0_PORTS	16384
#define SIM_GUEST_PORTS 8
#define SIM_HANDLES	8192
#define SIM_PROCS	1024
#define SIM_MAPS	65536
#define SIM_VIRQS	24

#define SIM_STORE_PORT	1  /* every guest's Xenstore port, as libxl allocates it first */
#define SIM_DOM0_KERNEL 33 /* the dom0 kernel's own Xenstore port */
#define SIM_DOM0_FIRST	64 /* below: ports of the dom0 kernel */
#define SIM_DOM0_GEN	1  /* domain 0 is never created anew */
#define SIM_DIR_MAX	64 /* so that the sockets below root/ fit sun_path */

/*
 * One end of an event channel.
 *
 * ev: the handle that takes the events (reference of struct sim_handle, 0: nobody) and EV_ bits.
 * PENDING is set by the remote end, cleared by the owner's read; MASKED is set by the owner's read
 * and cleared by its unmask; the owner field changes under the machine lock only. Whoever sets
 * PENDING on an end that was neither pending nor masked writes the port to the owner's FIFO.
 *
 * link: what the end is connected to; written under the machine lock only, read without it.
 */
struct sim_end {
	_Atomic uint64_t ev;
	_Atomic uint64_t link;
};

#define EV_PENDING 1ULL
#define EV_MASKED  2ULL
#define EV_BITS	   0xffULL

enum link_kind {
	LINK_FREE,
	LINK_UNBOUND,	  /* domain: who may bind it */
	LINK_INTERDOMAIN, /* domain, port: the remote end */
	LINK_VIRQ,	  /* port: the VIRQ */
	LINK_ORPHAN,	  /* domain, generation: the remote end went with this domain */
};

static inline uint64_t link_make(enum link_kind kind, uint32_t domid, uint32_t port, uint32_t gen)
{
	return (uint64_t)kind | (uint64_t)domid << 8 | (uint64_t)port << 24 |
	       (uint64_t)(gen & 0xffffff) << 40;
}

static inline enum link_kind link_kind(uint64_t link)
{
	return (enum link_kind)(link & 0xff);
}

static inline uint32_t link_domid(uint64_t link)
{
	return link >> 8 & 0xffff;
}

static inline uint32_t link_port(uint64_t link)
{
	return link >> 24 & 0xffff;
}

static inline uint32_t link_gen(uint64_t link)
{
	return link >> 40 & 0xffffff;
}

enum domain_flags {
	DOM_EXISTS = 1,
	DOM_SHUTDOWN = 2,
	DOM_DYING = 4,
	DOM_REASON_SHIFT = 16,
};

/* flags: one word, so that it is read without the lock; all written under the lock. */
struct sim_domain {
	_Atomic uint32_t flags;
	_Atomic uint32_t gen;
	_Atomic uint64_t gfn;
};

enum handle_kind {
	HANDLE_FREE,
	HANDLE_DEV,   /* a dom0 process with /dev/xen/evtchn open: its ports go with it */
	HANDLE_GUEST, /* a guest kernel: its ports stay with the domain */
};

/* Written under the lock; the owner is alive while somebody holds the flock on its FIFO. */
struct sim_handle {
	_Atomic uint32_t kind;
	_Atomic uint32_t gen;
	_Atomic uint32_t domid;
	_Atomic uint32_t pid; /* to show only: it may be reused */
};

/* A foreign mapping of a process; written under the lock, @proc (slot + 1) last. */
struct sim_map {
	_Atomic uint32_t proc;
	uint32_t domid;
	uint32_t gen;
};

struct sim_state {
	_Atomic uint64_t magic; /* stored last by sim_init */
	uint32_t version;
	_Atomic uint32_t next_gen;	  /* under the lock */
	_Atomic uint32_t dom_high;	  /* highest domid ever, under the lock */
	_Atomic uint32_t dom0_port_high;  /* likewise */
	_Atomic uint32_t map_high;	  /* likewise */
	_Atomic uint32_t handle_high;	  /* likewise */
	_Atomic uint32_t virq[SIM_VIRQS]; /* dom0's port or 0, under the lock */
	_Atomic uint32_t proc_pid[SIM_PROCS];
	struct sim_domain domains[SIM_DOMS];
	struct sim_handle handles[SIM_HANDLES];
	struct sim_map maps[SIM_MAPS];
	struct sim_end dom0_ends[SIM_DOM0_PORTS];
	struct sim_end guest_ends[SIM_DOMS][SIM_GUEST_PORTS];
};

struct bell_cache;

/* One opened machine; shared by all users in this process. */
struct sim {
	struct sim *next;
	unsigned int users;
	char *dir;
	int dirfd;
	int lockfd;
	int procfd;    /* of maps.c; -1: not needed yet */
	int proc_slot; /* of maps.c; -1: this process maps nothing yet */
	pthread_mutex_t mutex;
	struct bell_cache *bells;
	struct sim_state *st;
};

/* Lay out a new machine in @dir, which may exist. -EEXIST: there is one already. */
int sim_init(const char *dir);

/* Open the machine in @dir; every success needs a sim_close. */
int sim_open(const char *dir, struct sim **out);
void sim_close(struct sim *sim);

/* The machine lock: excludes threads and processes, released by the kernel when its holder dies. */
void sim_lock(struct sim *sim);
void sim_unlock(struct sim *sim);

/* NULL when there is no such port. */
struct sim_end *sim_end(struct sim *sim, uint32_t domid, uint32_t port);

static inline void sim_raise_high(_Atomic uint32_t *high, uint32_t value)
{
	if (atomic_load(high) < value)
		atomic_store(high, value);
}

#endif
