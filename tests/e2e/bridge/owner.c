// SPDX-License-Identifier: MIT
/*
 * owner - What needs atomic instructions or the layout of rings.h, for ctypes.
 */
#include "link/arena.c"
#include "link/bells.c"
#include "link/rings.c"
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>

struct rings *owner_open(int fd)
{
	struct rings *rings = malloc(sizeof(*rings));
	if (rings_open(rings, fd) == 0)
		return rings;
	free(rings);
	return NULL;
}
void owner_close(struct rings *rings)
{
	rings_close(rings);
	free(rings);
}
int owner_flavour(struct rings *rings)
{
	return (int)rings_header(rings)->flavour;
}
int owner_pid(struct rings *rings)
{
	return rings_header(rings)->pid;
}
void owner_ring(struct rings *rings, uint32_t domid, int wake)
{
	struct rings_header *h = rings_header(rings);
	if (bells_ring(&h->to_stored, domid) && !atomic_exchange(&h->stored_woken, 1))
		eventfd_write(wake, 1);
}
/* Dies, as it were, before it has written the eventfd. */
void owner_ring_and_die(struct rings *rings, uint32_t domid)
{
	bells_ring(&rings_header(rings)->to_stored, domid);
	atomic_store(&rings_header(rings)->stored_woken, 1);
}
void owner_flood(struct rings *rings, const uint32_t *domids, int count, int wake, int ms)
{
	struct timespec now, end;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += ms / 1000;
	do {
		for (int i = 0; i < count; i++)
			owner_ring(rings, domids[i], wake);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec ||
		 (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
}
int owner_take(struct rings *rings)
{
	static uint32_t cursor;
	return bells_take(&rings_header(rings)->to_proxy, &cursor);
}
/* Says that it sleeps; 0 when it had better not. */
int owner_sleep(struct rings *rings)
{
	atomic_store(&rings_header(rings)->proxy_asleep, 1);
	return !bells_any(&rings_header(rings)->to_proxy);
}
int owner_bells_left(struct rings *rings)
{
	return bells_any(&rings_header(rings)->to_stored);
}
void owner_attach(struct rings *rings, uint32_t domid, uint64_t out[5])
{
	struct rings_attach *at = rings_attach(rings, domid);
	out[0] = atomic_load(&at->map_gen);
	out[1] = atomic_load(&at->bind_gen);
	out[2] = atomic_load(&at->remote_port);
	out[3] = atomic_load(&at->gfn);
	out[4] = atomic_load(&rings_header(rings)->mapped[domid / 64]) >> (domid % 64) & 1;
}
