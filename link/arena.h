/* SPDX-License-Identifier: MIT */
/*
 * arena - memory that processes share: a memfd of fixed size, sealed, mapped as a whole.
 *
 * A page exists only once arena_reserve() was called for it, so nobody who maps it can be hit by
 * SIGBUS. What lies where is said by its user: rings.h (made by the bridge) and
 * proxy/session/ledgers.h (made by xsproxyd). Called by the bridge and by proxy/; must never log or
 * block.
 */
#ifndef XSPROXY_LINK_ARENA_H
#define XSPROXY_LINK_ARENA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARENA_PAGE	4096u
#define ARENA_DOMIDS	0x8000u /* slots; valid domids are below ARENA_DOMID_MAX */
#define ARENA_DOMID_MAX 0x7ff0u /* DOMID_FIRST_RESERVED */

_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2,
	       "words are shared between processes");

struct arena {
	uint8_t *base; /* MAP_SHARED */
	uint64_t size; /* octets */
	int fd;	       /* the memfd; owned */
};

#define ARENA_NULL                                \
	{                                         \
		.base = NULL, .size = 0, .fd = -1 \
	}

/**
 * arena_create() - make, seal and map one; no page exists yet.
 * @arena: filled in; the caller calls arena_close()
 * @name: for /proc/PID/fd and /proc/PID/maps
 * @size: octets, whole pages
 *
 * Return: 0, or a negative errno of memfd_create, ftruncate, fcntl or mmap.
 */
int arena_create(struct arena *arena, const char *name, uint64_t size);

/**
 * arena_open() - map one that somebody else made, after checking seals and size.
 * @arena: filled in; takes over @fd on success only
 * @fd: the memfd
 * @size: octets that it must have
 *
 * Return: 0; -EPROTO when it is not sealed or of another size; or a negative errno of mmap.
 */
int arena_open(struct arena *arena, int fd, uint64_t size);

/** arena_close() - unmap and close; NULL and ARENA_NULL are fine. */
void arena_close(struct arena *arena);

/**
 * arena_reserve() - make sure that pages of the arena exist (fallocate; zero when new).
 * @off: octet offset of the first
 * @len: octets, whole pages
 *
 * Return: 0, or a negative errno (-ENOSPC, -ENOMEM).
 */
int arena_reserve(const struct arena *arena, uint64_t off, uint64_t len);

/** arena_discard() - give a page's memory back; it reads as zero once reserved again. */
void arena_discard(const struct arena *arena, uint64_t off);

/** arena_discard_many() - the same for @len octets, whole pages. */
void arena_discard_many(const struct arena *arena, uint64_t off, uint64_t len);

/**
 * arena_find() - the next pages that have memory and have been touched.
 * @from: octet offset to start at
 * @end: octet offset to end before
 * @off, @len: octets, whole pages; set when there are some
 *
 * Return: whether there are some.
 */
bool arena_find(const struct arena *arena, uint64_t from, uint64_t end, uint64_t *off,
		uint64_t *len);

/**
 * arena_next() - walk a set of domids.
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

#endif
