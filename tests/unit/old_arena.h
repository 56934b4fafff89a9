/* SPDX-License-Identifier: MIT */
/*
 * old_arena - the one memfd that the bridge of xsproxy 0.1 made, as proxy/host/memory.h takes it
 * over.
 */
#ifndef XSPROXY_TESTS_UNIT_OLD_ARENA_H
#define XSPROXY_TESTS_UNIT_OLD_ARENA_H

#include <unistd.h>

#include "proxy/host/memory.h"

/* As arena_create() of 0.1 did. Return: whether it could be made. */
static inline bool old_arena_create(struct arena *arena, enum rings_flavour flavour)
{
	struct rings_header *header;

	if (arena_create(arena, "xsproxy-arena", OLD_SIZE))
		return false;
	if (arena_reserve(arena, RINGS_HEADER_OFF, RINGS_HEADER_SIZE)) {
		arena_close(arena);
		return false;
	}
	header = (struct rings_header *)(arena->base + RINGS_HEADER_OFF);
	header->magic = RINGS_MAGIC;
	header->version = OLD_VERSION;
	header->flavour = flavour;
	header->pid = getpid();
	return true;
}

/* As its attach_map() did. Return: 0 or a negative errno. */
static inline int old_arena_reserve(const struct arena *arena, uint32_t domid)
{
	int err = arena_reserve(arena, rings_ring_off(domid), ARENA_PAGE);

	if (err)
		return err;
	return arena_reserve(arena, OLD_LEDGER_OFF + (uint64_t)domid * ARENA_PAGE, ARENA_PAGE);
}

#endif
