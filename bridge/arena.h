/* SPDX-License-Identifier: MIT */
/*
 * arena - the memory that xenstored (through the bridge) and xsproxyd share.
 *
 * One memfd, made by the bridge inside xenstored, so that it outlives xsproxyd. Its size is fixed
 * for ever (sealed); a page exists only once arena_reserve() was called for it, so neither side can
 * be hit by SIGBUS. Offsets depend on nothing but the domid, so there is no allocator to recover.
 *
 * - from 0, rings: a back ring at domid << 12, laid out as struct xenstore_domain_interface; dom0's
 *   is page 0, so mmap() of the memfd at 0 is "xsd_kva";
 * - from ARENA_HEADER_OFF: struct arena_header, that is identity and doorbells;
 * - from ARENA_LEDGER_OFF, a page a domain: struct arena_attach, then xsproxyd's own;
 * - from ARENA_EXTENT_OFF: pages that ledgers refer to by number; xsproxyd's own.
 *
 * Who writes what is said at each field. The bridge never reads a ledger beyond struct arena_attach
 * and never an extent. Called by the bridge and by proxy/; must never allocate, log or block.
 */
#ifndef XSPROXY_BRIDGE_ARENA_H
#define XSPROXY_BRIDGE_ARENA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Whoever changes the layout, or what the two sides expect of each other's words, raises the
 * version: a running xenstored keeps its bridge until dom0 is rebooted, whatever xsproxyd comes.
 * Version 1 knew no `quiet`: such an xsproxyd leaves it as it finds it, and is not woken.
 */
#define ARENA_MAGIC	  0x616e657261707378ULL /* "xsparena" */
#define ARENA_VERSION	  2

#define ARENA_PAGE	  4096u
#define ARENA_DOMIDS	  0x8000u /* slots; valid domids are below ARENA_DOMID_MAX */
#define ARENA_DOMID_MAX	  0x7ff0u /* DOMID_FIRST_RESERVED */
#define ARENA_EXTENTS	  65536u  /* 256 MiB for all domains together */

#define ARENA_RING_OFF	  0ULL
#define ARENA_HEADER_OFF  ((uint64_t)ARENA_DOMIDS * ARENA_PAGE)
#define ARENA_HEADER_SIZE (16ULL * ARENA_PAGE)
#define ARENA_LEDGER_OFF  (ARENA_HEADER_OFF + ARENA_HEADER_SIZE)
#define ARENA_EXTENT_OFF  (ARENA_LEDGER_OFF + (uint64_t)ARENA_DOMIDS * ARENA_PAGE)
#define ARENA_SIZE	  (ARENA_EXTENT_OFF + (uint64_t)ARENA_EXTENTS * ARENA_PAGE)

/* Local port numbers that the bridge hands to xenstored: far above any real one, below 2^31. */
#define ARENA_PORT_BASE 0x40000000u

enum arena_flavour {
	ARENA_FLAVOUR_C = 1,	 /* resets the indexes at INTRODUCE, then `connection` 1 -> 0 */
	ARENA_FLAVOUR_OCAML = 2, /* keeps everything at INTRODUCE; must never see `connection` 1 */
};

/*
 * A set of domids that one side rings and the other takes. A set bit in `leaf` may have no bit in
 * `summary` only between two stores of the ringer (or when it died there).
 */
struct arena_bells {
	_Atomic uint64_t summary[ARENA_DOMIDS / 64 / 64];
	_Atomic uint64_t leaf[ARENA_DOMIDS / 64];
};

struct arena_header {
	/* written by the bridge before anybody else sees the arena */
	uint64_t magic;
	uint32_t version;
	uint32_t flavour; /* enum arena_flavour */
	int32_t pid;	  /* xenstored's */
	uint32_t reserved[11];

	/* xsproxyd stores 1 before it sleeps; who takes it to 0 (either side) owes the wake-up */
	_Alignas(64) _Atomic uint32_t proxy_asleep;

	/* 1: the eventfd that wakes xenstored is signalled, or about to be. Ringer 0 -> 1, bridge 1
	 * -> 0 */
	_Alignas(64) _Atomic uint32_t stored_woken;

	_Alignas(64) struct arena_bells to_proxy; /* rung by the bridge, taken by xsproxyd */
	/* rung by xsproxyd, and by the bridge itself at a bind; taken by the bridge */
	_Alignas(64) struct arena_bells to_stored;

	/* domids whose page xenstored has mapped; written by the bridge */
	_Alignas(64) _Atomic uint64_t mapped[ARENA_DOMIDS / 64];

	/* xsproxyd's own: domids that are held, and whether new ones are to be (proxy/hold.h) */
	_Alignas(64) _Atomic uint64_t held[ARENA_DOMIDS / 64];
	_Atomic uint32_t hold_new;
	/* domids whose hold has begun: they were introduced since it was set */
	_Alignas(64) _Atomic uint64_t hold_begun[ARENA_DOMIDS / 64];
};

/*
 * Where xenstored believes the domain is attached; the first octets of its ledger page. Written by
 * the bridge only, but for `quiet`; read by xsproxyd in a round trip (link.h) or when it connects.
 * map_gen counts map and unmap, bind_gen counts bind and unbind: odd while mapped (bound).
 */
struct arena_attach {
	_Atomic uint32_t map_gen;
	_Atomic uint32_t bind_gen;
	_Atomic uint32_t remote_port; /* valid while bound */
	/* written by xsproxyd only; 1: it waits for octets from xenstored and for nothing else */
	_Atomic uint32_t quiet;
	_Atomic uint64_t gfn; /* as given to xc_map_foreign_range; 0 where the daemon maps grants */
};

_Static_assert(sizeof(struct arena_header) <= ARENA_HEADER_SIZE, "header outgrows its pages");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2,
	       "words are shared between processes");

struct arena {
	uint8_t *base; /* ARENA_SIZE octets, MAP_SHARED */
	int fd;	       /* the memfd; owned */
};

#define ARENA_NULL                     \
	{                              \
		.base = NULL, .fd = -1 \
	}

/**
 * arena_create() - make and seal an arena, and reserve its header.
 * @arena: filled in; the caller calls arena_close()
 * @flavour: which daemon this process is
 *
 * Return: 0, or a negative errno of memfd_create, ftruncate, fallocate, fcntl or mmap.
 */
int arena_create(struct arena *arena, enum arena_flavour flavour);

/**
 * arena_open() - map an arena that somebody else made, after checking seals, size and version.
 * @arena: filled in; takes over @fd on success only
 * @fd: the memfd
 *
 * Return: 0; -EPROTO when it is not a sealed arena of the right size; -EPROTONOSUPPORT when its
 * version is unknown; or a negative errno of mmap.
 */
int arena_open(struct arena *arena, int fd);

/** arena_close() - unmap and close; NULL and ARENA_NULL are fine. */
void arena_close(struct arena *arena);

/**
 * arena_reserve() - make sure that a page of the arena exists (fallocate; zero when new).
 * @off: octet offset of the page
 *
 * Return: 0, or a negative errno (-ENOSPC, -ENOMEM).
 */
int arena_reserve(const struct arena *arena, uint64_t off);

/** arena_discard() - give a page's memory back; it reads as zero once reserved again. */
void arena_discard(const struct arena *arena, uint64_t off);

static inline struct arena_header *arena_header(const struct arena *arena)
{
	return (struct arena_header *)(arena->base + ARENA_HEADER_OFF);
}

static inline uint64_t arena_ring_off(uint32_t domid)
{
	return ARENA_RING_OFF + (uint64_t)domid * ARENA_PAGE;
}

static inline uint64_t arena_ledger_off(uint32_t domid)
{
	return ARENA_LEDGER_OFF + (uint64_t)domid * ARENA_PAGE;
}

static inline uint64_t arena_extent_off(uint32_t extent)
{
	return ARENA_EXTENT_OFF + (uint64_t)extent * ARENA_PAGE;
}

static inline struct arena_attach *arena_attach(const struct arena *arena, uint32_t domid)
{
	return (struct arena_attach *)(arena->base + arena_ledger_off(domid));
}

/**
 * arena_next() - walk a set of the header's: `mapped` or `held`.
 *
 * Return: the first domid from @domid on that is in it, or ARENA_DOMIDS.
 */
static inline uint32_t arena_next(const _Atomic uint64_t *set, uint32_t domid)
{
	uint64_t mask = ~0ULL << (domid % 64);

	for (uint32_t i = domid / 64; i < ARENA_DOMIDS / 64; i++, mask = ~0ULL) {
		uint64_t word = atomic_load(&set[i]) & mask;

		if (word)
			return i * 64 + (uint32_t)__builtin_ctzll(word);
	}
	return ARENA_DOMIDS;
}

/* ARENA_EACH() - the statement that follows runs for each domid of such a set. */
#define ARENA_EACH(set, domid)                                            \
	for (uint32_t domid = arena_next(set, 0); (domid) < ARENA_DOMIDS; \
	     (domid) = arena_next(set, (domid) + 1))

/**
 * arena_bell_ring() - put a domid into a set.
 *
 * Return: whether it was not there yet, so that the other side may have to be woken.
 */
bool arena_bell_ring(struct arena_bells *bells, uint32_t domid);

/**
 * arena_bell_take() - take one domid out of a set; which one is fair (round robin from @cursor).
 * @cursor: the taker's own; start with 0
 *
 * Return: the domid, or -1 when the set is empty.
 */
int arena_bell_take(struct arena_bells *bells, uint32_t *cursor);

/** arena_bell_any() - whether the set may be non-empty; a full barrier comes first. */
bool arena_bell_any(struct arena_bells *bells);

#endif
