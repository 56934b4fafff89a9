/* SPDX-License-Identifier: MIT */
/*
 * annals - records in memory that outlives xsproxyd, one behind the other: what the mirror knows.
 *
 * A memfd, used as a ring. Records are added in groups. One that was begun counts as a whole, or
 * not at all: they are written where nobody looks, and one store of `tail` makes them valid; so the
 * process may die between any two instructions. What is of no more use is given back from the
 * oldest on (`head`); whoever keeps something there copies it behind the tail first.
 *
 * Used by tree.c, draft.c and mirror.c. Knows nothing of what a record says.
 */
#ifndef XSPROXY_PROXY_MIRROR_ANNALS_H
#define XSPROXY_PROXY_MIRROR_ANNALS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "link/arena.h"

/* Whoever changes what lies there raises it: another xsproxyd begins anew. */
#define ANNALS_VERSION	1
#define ANNALS_DATA_MAX (1ULL << 30)
#define ANNALS_ALIGN	4u
#define ANNALS_BODY_MAX 61440u
#define ANNALS_CHUNK	65536u

/* Written by xsproxyd alone; `rings` and what is above it once. */
struct annals_header {
	uint64_t magic;
	uint32_t version;
	uint32_t flavour;      /* enum rings_flavour of the store that it is of */
	uint64_t rings;	       /* struct rings_header.id of the rings that it goes with */
	_Atomic uint64_t head; /* octets, from the beginning of time */
	_Atomic uint64_t tail;
	_Atomic uint32_t whole;	 /* 1: all of the store is there */
	_Atomic uint32_t unsure; /* how many paths are yet to be read again */
	/* Of each domid: struct rings_attach.map_gen of the domain that permissions mean; 0: none
	 */
	_Alignas(ARENA_PAGE) _Atomic uint32_t domains[ARENA_DOMIDS];
};

struct annals_record {
	uint16_t quads; /* of 4 octets, this head included */
	uint8_t kind;
	uint8_t spare;
	uint8_t body[];
};

struct annals {
	struct arena arena;
	uint64_t reserved; /* up to where there is memory */
	uint64_t next;	   /* of the group under way */
	uint64_t most;	   /* octets that it may have */
};

#define ANNALS_NULL                  \
	{                            \
		.arena = ARENA_NULL, \
	}

/**
 * annals_create() - an empty one.
 * @rings, @flavour: what it goes with
 * @most: octets
 *
 * Return: 0, or a negative errno of arena_create() or arena_reserve().
 */
int annals_create(struct annals *annals, uint64_t rings, uint32_t flavour, uint64_t most);

/**
 * annals_open() - one that an xsproxyd before us made; takes over @fd on success only.
 *
 * Return: 0; -EPROTO when it is none of this version; or a negative errno of mmap.
 */
int annals_open(struct annals *annals, int fd, uint64_t most);

/** annals_close() - ANNALS_NULL is fine. */
void annals_close(struct annals *annals);

/** annals_header() - the words of it. */
static inline struct annals_header *annals_header(const struct annals *annals)
{
	return (struct annals_header *)annals->arena.base;
}

/** annals_begin() - a group of records; what was added to one that was not ended is void. */
void annals_begin(struct annals *annals);

/**
 * annals_add() - one more record of the group.
 * @len: octets of its body, ANNALS_BODY_MAX at most; those up to the next ANNALS_ALIGN are zeroed
 * @pos: set: where it is
 *
 * Return: the record, whose body is to be filled in; or NULL: there is no memory.
 */
struct annals_record *annals_add(struct annals *annals, uint8_t kind, uint32_t len, uint64_t *pos);

/** annals_group() - octets of the group under way. */
static inline uint64_t annals_group(const struct annals *annals)
{
	return annals->next -
	       atomic_load(&((const struct annals_header *)annals->arena.base)->tail);
}

/** annals_end() - what was added counts from now on. */
void annals_end(struct annals *annals);

/** annals_at() - the record at @pos, which is one's. */
struct annals_record *annals_at(const struct annals *annals, uint64_t pos);

/** annals_head() - where the oldest record is, or annals_tail(). */
static inline uint64_t annals_head(const struct annals *annals)
{
	return atomic_load(&annals_header(annals)->head);
}

/** annals_tail() - behind the last record that counts. */
static inline uint64_t annals_tail(const struct annals *annals)
{
	return atomic_load(&annals_header(annals)->tail);
}

/** annals_size() - octets of a record with a body of @len. */
static inline uint32_t annals_size(uint32_t len)
{
	uint32_t size = (uint32_t)sizeof(struct annals_record) + len;

	return (size + ANNALS_ALIGN - 1) / ANNALS_ALIGN * ANNALS_ALIGN;
}

/**
 * annals_step() - the record at @pos, and the one behind it.
 * @next: set: where that is, or the tail
 *
 * Return: the record; NULL if there is none at @pos but what fills the end of the ring; or what
 * cannot be a record, and then *@next is @pos.
 */
struct annals_record *annals_step(const struct annals *annals, uint64_t pos, uint64_t *next);

/** annals_drop() - all before @pos, which is a record's or the tail, is of no more use. */
void annals_drop(struct annals *annals, uint64_t pos);

#endif
