/* SPDX-License-Identifier: MIT */
/*
 * rings - the memory that xenstored (through the bridge) and xsproxyd share: back rings, doorbells,
 * and where each domain is attached.
 *
 * An arena that the bridge makes inside xenstored. It ends with it, unless the bridge of the next
 * xenstored goes on with it (bridge/adopt.h): then all that is said here of "the bridge" is about
 * one after the other, never about two at a time. Offsets depend on nothing but the domid:
 *
 * - from 0, a back ring at domid << 12, laid out as struct xenstore_domain_interface; dom0's is
 * page 0, so mmap() of the memfd at 0 is "xsd_kva";
 * - from RINGS_HEADER_OFF: struct rings_header, that is identity and doorbells;
 * - from RINGS_ATTACH_OFF: a struct rings_attach for each domain. These pages are never given back,
 *   so that generations never repeat.
 *
 * Who writes what is said at each field. What xsproxyd keeps for itself is elsewhere
 * (proxy/session/ledgers.h): xenstored never has it mapped, for it must outlive a xenstored that
 * writes where it should not. Called by the bridge and by proxy/; must never allocate, log or
 * block.
 */
#ifndef XSPROXY_LINK_RINGS_H
#define XSPROXY_LINK_RINGS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "link/arena.h"
#include "link/bells.h"

/*
 * Whoever changes the layout, or what the two sides expect of each other's words, raises the
 * version, and lets xsproxyd serve the one before (proxy/host/memory.c): a running xenstored keeps
 * its bridge whatever xsproxyd comes. Versions 1 and 2 were one memfd for everything
 * (proxy/host/memory.h).
 */
#define RINGS_MAGIC	  0x616e657261707378ULL /* "xsparena" */
#define RINGS_VERSION	  3

#define RINGS_HEADER_OFF  ((uint64_t)ARENA_DOMIDS * ARENA_PAGE)
#define RINGS_HEADER_SIZE (16ULL * ARENA_PAGE)
#define RINGS_ATTACH_OFF  (RINGS_HEADER_OFF + RINGS_HEADER_SIZE)
#define RINGS_ATTACH_SIZE 32u /* octets from one domain's to the next one's */
#define RINGS_SIZE	  (RINGS_ATTACH_OFF + (uint64_t)ARENA_DOMIDS * RINGS_ATTACH_SIZE)

/* Local port numbers that the bridge hands to xenstored: far above any real one, below 2^31. */
#define RINGS_PORT_BASE 0x40000000u

enum rings_flavour {
	RINGS_FLAVOUR_C = 1,	 /* resets the indexes at INTRODUCE, then `connection` 1 -> 0 */
	RINGS_FLAVOUR_OCAML = 2, /* keeps everything at INTRODUCE; must never see `connection` 1 */
};

struct rings_header {
	/*
	 * Written by the bridge before anybody else sees them. `flavour` and `pid` are written anew
	 * by a bridge that goes on with these rings, before it listens; so xsproxyd, which has them
	 * mapped meanwhile, believes these two from one LINK_HELLO to the end of that connection.
	 */
	uint64_t magic;
	uint32_t version;
	uint32_t flavour; /* enum rings_flavour */
	int32_t pid;	  /* xenstored's */
	uint32_t reserved;
	uint64_t id; /* no other rings', ever; never 0 (but 0 before version 3) */
	uint32_t reserved_too[8];

	/* xsproxyd stores 1 before it sleeps; who takes it to 0 (either side) owes the wake-up */
	_Alignas(64) _Atomic uint32_t proxy_asleep;

	/* 1: the eventfd that wakes xenstored is signalled, or about to be. Ringer 0 -> 1, bridge 1
	 * -> 0 */
	_Alignas(64) _Atomic uint32_t stored_woken;

	_Alignas(64) struct bells to_proxy; /* rung by the bridge, taken by xsproxyd */
	/*
	 * Rung by xsproxyd, and by the bridge itself at a bind and when it goes on with these
	 * rings; taken by the bridge.
	 */
	_Alignas(64) struct bells to_stored;

	/* domids whose page xenstored has mapped; written by the bridge */
	_Alignas(64) _Atomic uint64_t mapped[ARENA_DOMIDS / 64];
};

/* Of what xenstored does to a back ring xsproxyd wants to be told. */
enum rings_quiet {
	RINGS_QUIET_NOTHING, /* all of it */
	RINGS_QUIET_ROOM,    /* that octets are there, not that some were taken */
	RINGS_QUIET_PARTS,   /* nor of a part of a message; `rsp_cons` is where one begins */
};

/*
 * Where xenstored believes the domain is attached. Written by the bridge only, but for
 * `quiet_bell`; read by xsproxyd in a round trip (link.h) or when it connects. map_gen counts map
 * and unmap, bind_gen counts bind and unbind: odd while mapped (bound). `mapped` in the header says
 * which it is: a bridge that was killed may have left an odd map_gen of a domain that is not.
 */
struct rings_attach {
	_Atomic uint32_t map_gen;
	_Atomic uint32_t bind_gen;
	_Atomic uint32_t remote_port; /* valid while bound */
	_Atomic uint32_t quiet_bell;  /* enum rings_quiet; written by xsproxyd only */
	/* as last given to xc_map_foreign_range; 0 if only grants were mapped since this map_gen */
	_Atomic uint64_t gfn;
};

_Static_assert(sizeof(struct rings_header) <= RINGS_HEADER_SIZE, "header outgrows its pages");
_Static_assert(sizeof(struct rings_attach) <= RINGS_ATTACH_SIZE,
	       "attach words outgrow their place");
_Static_assert(RINGS_PORT_BASE <= INT32_MAX - ARENA_DOMIDS, "virtual ports are positive ints");

struct rings {
	struct arena arena;
	/* where a version has them */
	uint64_t attach_off;
	uint32_t attach_size;
};

#define RINGS_NULL                   \
	{                            \
		.arena = ARENA_NULL, \
	}

/**
 * rings_create() - make them, with header and identity; no domain is mapped.
 * @rings: filled in; the caller calls rings_close()
 * @flavour: which daemon this process is
 *
 * Return: 0, or a negative errno of arena_create() or arena_reserve().
 */
int rings_create(struct rings *rings, enum rings_flavour flavour);

/**
 * rings_open() - map those of version 3 that a bridge made.
 * @rings: filled in; takes over @fd on success only
 *
 * Return: 0; -EPROTO when they are none; -EPROTONOSUPPORT when their version is another one; or a
 * negative errno of mmap.
 */
int rings_open(struct rings *rings, int fd);

/** rings_close() - unmap and close; RINGS_NULL is fine. */
void rings_close(struct rings *rings);

/**
 * rings_reserve() - make sure that a domain's back ring and attach words exist.
 *
 * Return: 0, or a negative errno of arena_reserve().
 */
int rings_reserve(const struct rings *rings, uint32_t domid);

/**
 * rings_put() - in rings that no bridge has yet: a domain is mapped and bound, as a bridge that
 * goes on with them finds it.
 * @port: the domain's own; 0: it has closed it
 * @gfn: of its page, or 0
 *
 * Return: as rings_reserve().
 */
int rings_put(const struct rings *rings, uint32_t domid, uint32_t port, uint64_t gfn);

/** rings_take() - undo that. */
void rings_take(const struct rings *rings, uint32_t domid);

static inline struct rings_header *rings_header(const struct rings *rings)
{
	return (struct rings_header *)(rings->arena.base + RINGS_HEADER_OFF);
}

static inline uint64_t rings_ring_off(uint32_t domid)
{
	return (uint64_t)domid * ARENA_PAGE;
}

/** rings_ring() - a domain's back ring. */
static inline struct xenstore_domain_interface *rings_ring(const struct rings *rings,
							   uint32_t domid)
{
	return (struct xenstore_domain_interface *)(rings->arena.base + rings_ring_off(domid));
}

/**
 * rings_is_mute() - whether a domain is bound that had closed its event channel (rings_put()), so
 * that there is none.
 */
static inline bool rings_is_mute(const struct rings_attach *attach)
{
	return atomic_load(&attach->bind_gen) & 1 && !atomic_load(&attach->remote_port);
}

/** rings_attach() - where a domain is attached. */
static inline struct rings_attach *rings_attach(const struct rings *rings, uint32_t domid)
{
	return (struct rings_attach *)(rings->arena.base + rings->attach_off +
				       (uint64_t)domid * rings->attach_size);
}

#endif
