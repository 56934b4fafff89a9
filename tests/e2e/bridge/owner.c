// SPDX-License-Identifier: MIT
/*
 * owner - What needs atomic instructions or the layout of arena.h, for ctypes.
 */
#include "bridge/arena.c"
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>

struct arena *owner_open(int fd)
{
	struct arena *arena = malloc(sizeof(*arena));
	if (arena_open(arena, fd) == 0)
		return arena;
	free(arena);
	return NULL;
}
void owner_close(struct arena *arena)
{
	arena_close(arena);
	free(arena);
}
int owner_flavour(struct arena *arena)
{
	return (int)arena_header(arena)->flavour;
}
int owner_pid(struct arena *arena)
{
	return arena_header(arena)->pid;
}
void owner_ring(struct arena *arena, uint32_t domid, int wake)
{
	struct arena_header *h = arena_header(arena);
	if (arena_bell_ring(&h->to_stored, domid) && !atomic_exchange(&h->stored_woken, 1))
		eventfd_write(wake, 1);
}
/* Dies, as it were, before it has written the eventfd. */
void owner_ring_and_die(struct arena *arena, uint32_t domid)
{
	arena_bell_ring(&arena_header(arena)->to_stored, domid);
	atomic_store(&arena_header(arena)->stored_woken, 1);
}
void owner_flood(struct arena *arena, const uint32_t *domids, int count, int wake, int ms)
{
	struct timespec now, end;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += ms / 1000;
	do {
		for (int i = 0; i < count; i++)
			owner_ring(arena, domids[i], wake);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec ||
		 (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
}
int owner_take(struct arena *arena)
{
	static uint32_t cursor;
	return arena_bell_take(&arena_header(arena)->to_proxy, &cursor);
}
/* Says that it sleeps; 0 when it had better not. */
int owner_sleep(struct arena *arena)
{
	atomic_store(&arena_header(arena)->proxy_asleep, 1);
	return !arena_bell_any(&arena_header(arena)->to_proxy);
}
int owner_bells_left(struct arena *arena)
{
	return arena_bell_any(&arena_header(arena)->to_stored);
}
void owner_attach(struct arena *arena, uint32_t domid, uint64_t out[5])
{
	struct arena_attach *at = arena_attach(arena, domid);
	out[0] = atomic_load(&at->map_gen);
	out[1] = atomic_load(&at->bind_gen);
	out[2] = atomic_load(&at->remote_port);
	out[3] = atomic_load(&at->gfn);
	out[4] = atomic_load(&arena_header(arena)->mapped[domid / 64]) >> (domid % 64) & 1;
}
