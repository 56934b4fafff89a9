/* SPDX-License-Identifier: MIT */
/*
 * ledgers - the memory in which xsproxyd keeps what sessions need to go on.
 *
 * An arena that xsproxyd makes and whose descriptor somebody keeps for its successor: domains' the
 * bridge (link.h), with the rings that they go with; toolstack sockets' have one of their own,
 * which the keeper has (host/slots.h). xenstored never has it mapped: one that crashes because it
 * wrote where it should not have cannot reach what outlives it. Offsets depend on nothing but domid
 * and numbers:
 *
 * - from 0: struct ledgers_header;
 * - from LEDGERS_RING_OFF, a page a domain: its struct ledger (ledger.h), given back when
 *   xenstored unmaps the domain;
 * - from LEDGERS_SOCKET_OFF, as many pages again: the ledgers of toolstack sockets;
 * - from LEDGERS_EXTENT_OFF: pages that ledgers refer to by number (pool.h); number 0 is nobody's.
 *
 * In front of a bridge of xsproxy 0.1 the same things lie in its arena (memory.h), so offsets are
 * members. Written by xsproxyd only. Used by proxy/host/, which makes or takes them up, and by
 * whatever lies in them: ledgers, extents, holds, blame.
 */
#ifndef XSPROXY_PROXY_SESSION_LEDGERS_H
#define XSPROXY_PROXY_SESSION_LEDGERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "link/arena.h"

struct ledger;

/* Whoever changes the layout raises the version, and lets memory.c take over the one before. */
#define LEDGERS_MAGIC	    0x7372656764656c78ULL /* "xledgers" */
#define LEDGERS_VERSION	    1

#define LEDGERS_HEADER_SIZE (16ULL * ARENA_PAGE)
#define LEDGERS_RING_OFF    LEDGERS_HEADER_SIZE
#define LEDGERS_SOCKETS	    0x8000u
#define LEDGERS_SOCKET_OFF  (LEDGERS_RING_OFF + (uint64_t)ARENA_DOMIDS * ARENA_PAGE)
#define LEDGERS_EXTENT_OFF  (LEDGERS_SOCKET_OFF + (uint64_t)LEDGERS_SOCKETS * ARENA_PAGE)
#define LEDGERS_EXTENTS	    0x40000u /* 1 GiB; memory is behind those that are in use */
#define LEDGERS_SIZE	    (LEDGERS_EXTENT_OFF + (uint64_t)LEDGERS_EXTENTS * ARENA_PAGE)

/* Which domain made xsproxyd end, and how often in a row (blame.h). */
struct ledgers_blame {
	_Atomic uint32_t suspect; /* domid + 1; 0: nobody */
	_Atomic uint32_t times;
	_Atomic uint64_t aside[ARENA_DOMIDS / 64]; /* domids that are put aside */
};

/* What the one pipe to kept sockets holds (host/outlet.h). */
struct ledgers_outlet {
	_Atomic uint64_t draining; /* 0: nothing that counts */
	_Atomic uint32_t base;	   /* out_cons before it */
};

/* An exchange of xenstored (exchange/). */
#define LEDGERS_DAEMON_MAX 256
#define LEDGERS_WHY_MAX	   320

/* A stage: all that the keeper has is of a native daemon that may go on with it. */
#define LEDGERS_ENTRY 8u
/* Likewise: all is with a native daemon, if it could be started. */
#define LEDGERS_LEAVING 9u
/* xenstored has crashed: what it had not answered is being taken back, ... */
#define LEDGERS_CRASHED 10u
/* ... and is being asked again. */
#define LEDGERS_AGAIN 11u

struct ledgers_exchange {
	_Atomic uint32_t stage; /* enum exchange_stage */
	_Atomic uint32_t tries; /* how often the state has been handed out */
	/* AGAIN: whose request is under way, and no other's: session_name(), or 0 */
	_Atomic uint32_t suspect;
	_Atomic uint16_t unasked; /* 1: of a xenstored that has crashed */
	_Atomic uint16_t bare;	  /* 1: the state has no nodes; they are told (exchange_steps.c) */
	/* What is to be executed, and what was; "": as configured */
	char with[LEDGERS_DAEMON_MAX];
	char was[LEDGERS_DAEMON_MAX];
	/* ns of CLOCK_MONOTONIC: since when no front has been read */
	_Atomic uint64_t since;
	/* Likewise: when the last one ended, of which the words that follow are; 0: none has. While
	 * one is under way there is only why, if nothing will have come of it. */
	_Atomic uint64_t ended;
	_Atomic uint32_t outcome; /* enum exchange_outcome */
	_Atomic uint32_t pause_ms;
	char why[LEDGERS_WHY_MAX];
};

/* What xenstored was told for as long as it runs (host/lasting.h). */
struct ledgers_lasting {
	_Atomic uint32_t used; /* octets of the records */
	char records[8188];
};

struct ledgers_header {
	uint64_t magic;
	uint32_t version;
	uint32_t ledger; /* struct ledger.version when it was made; domains' may differ by now */
	uint64_t rings;	 /* struct rings_header.id of the rings that the ledgers go with */

	/* domids that are held, and whether new ones are to be (hold.h) */
	_Alignas(64) _Atomic uint64_t held[ARENA_DOMIDS / 64];
	_Atomic uint32_t hold_new;
	/* domids whose hold has begun: they were introduced since it was set */
	_Alignas(64) _Atomic uint64_t hold_begun[ARENA_DOMIDS / 64];

	_Alignas(64) struct ledgers_blame blame;
	struct ledgers_outlet outlet;
	/* How many xsproxyds in a row had not the memory for all sockets */
	_Atomic uint32_t starved;
	struct ledgers_exchange exchange; /* domains' only, as what follows */
	struct ledgers_lasting lasting;
};

_Static_assert(sizeof(struct ledgers_header) <= LEDGERS_HEADER_SIZE, "header outgrows its pages");

struct ledgers {
	struct arena arena;
	uint32_t version; /* struct ledger.version of each of them */
	uint64_t ring_off, extent_off;
	uint32_t extents;
	_Atomic uint64_t *held, *hold_begun;
	_Atomic uint32_t *hold_new;
	struct ledgers_blame *blame;
};

#define LEDGERS_NULL                 \
	{                            \
		.arena = ARENA_NULL, \
	}

/**
 * ledgers_create() - make them, all empty.
 * @ledgers: filled in; the caller calls ledgers_close()
 * @rings: id of the rings that they go with
 *
 * Return: 0, or a negative errno of arena_create() or arena_reserve().
 */
int ledgers_create(struct ledgers *ledgers, uint64_t rings);

/**
 * ledgers_open() - map those that an xsproxyd before made.
 * @ledgers: filled in; takes over @fd on success only
 *
 * Return: 0; -EPROTO when they are none; -EPROTONOSUPPORT when their version is another one; or a
 * negative errno of mmap.
 */
int ledgers_open(struct ledgers *ledgers, int fd);

/**
 * ledgers_foreign() - whether they were made for a struct ledger that is not ours.
 *
 * Then nothing in toolstack sockets' memory can be understood, least of all what the pipe's octets
 * belong to. A domain's ledger says itself of which version it is (memory_foreign()).
 */
bool ledgers_foreign(const struct ledgers *ledgers);

/** ledgers_version() - the version of the layout behind @fd; 0 when it cannot be told. */
uint32_t ledgers_version(int fd);

/** ledgers_close() - unmap and close; LEDGERS_NULL is fine. */
void ledgers_close(struct ledgers *ledgers);

/** ledgers_rings() - id of the rings that they go with. Not those of an old arena. */
static inline uint64_t ledgers_rings(const struct ledgers *ledgers)
{
	return ((const struct ledgers_header *)ledgers->arena.base)->rings;
}

static inline uint64_t ledgers_ledger_off(const struct ledgers *ledgers, uint32_t domid)
{
	return ledgers->ring_off + (uint64_t)domid * ARENA_PAGE;
}

static inline uint64_t ledgers_socket_off(uint32_t slot)
{
	return LEDGERS_SOCKET_OFF + (uint64_t)slot * ARENA_PAGE;
}

/** ledgers_socket() - a toolstack socket's ledger; its page may not exist. */
static inline struct ledger *ledgers_socket(const struct ledgers *ledgers, uint32_t slot)
{
	return (struct ledger *)(ledgers->arena.base + ledgers_socket_off(slot));
}

/** ledgers_outlet() - not of an old arena. */
static inline struct ledgers_outlet *ledgers_outlet(const struct ledgers *ledgers)
{
	return &((struct ledgers_header *)ledgers->arena.base)->outlet;
}

/** ledgers_starved() - the word of the header; not of an old arena. */
static inline _Atomic uint32_t *ledgers_starved(const struct ledgers *ledgers)
{
	return &((struct ledgers_header *)ledgers->arena.base)->starved;
}

/** ledgers_exchange() - the words of the header; not of an old arena. */
static inline struct ledgers_exchange *ledgers_exchange(const struct ledgers *ledgers)
{
	return &((struct ledgers_header *)ledgers->arena.base)->exchange;
}

/** ledgers_lasting() - the same. */
static inline struct ledgers_lasting *ledgers_lasting(const struct ledgers *ledgers)
{
	return &((struct ledgers_header *)ledgers->arena.base)->lasting;
}

/** ledgers_ledger() - a domain's ledger; its page may not exist. */
static inline struct ledger *ledgers_ledger(const struct ledgers *ledgers, uint32_t domid)
{
	return (struct ledger *)(ledgers->arena.base + ledgers_ledger_off(ledgers, domid));
}

static inline uint64_t ledgers_extent_off(const struct ledgers *ledgers, uint32_t extent)
{
	return ledgers->extent_off + (uint64_t)extent * ARENA_PAGE;
}

#endif
