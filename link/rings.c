// SPDX-License-Identifier: MIT
/*
 * rings - making and mapping what xenstored and xsproxyd share. See rings.h.
 *
 * Called by the bridge (inside xenstored, where it must never end the process) and by xsproxyd.
 * Keeps no state of its own, never logs, never waits.
 */
#include "link/rings.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

static void rings_fill_header(struct rings *rings, enum rings_flavour flavour)
{
	struct rings_header *header = rings_header(rings);
	struct timespec now;

	/* No memory outlives the boot, and no two xenstoreds start in the same nanosecond of it. */
	clock_gettime(CLOCK_BOOTTIME, &now);
	header->magic = RINGS_MAGIC;
	header->version = RINGS_VERSION;
	header->flavour = flavour;
	header->pid = getpid();
	header->id = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec + 1;
}

int rings_create(struct rings *rings, enum rings_flavour flavour)
{
	int rc;

	*rings = (struct rings)RINGS_NULL;
	rc = arena_create(&rings->arena, "xsproxy-rings", RINGS_SIZE);
	if (rc < 0)
		return rc;
	rings->attach_off = RINGS_ATTACH_OFF;
	rings->attach_size = RINGS_ATTACH_SIZE;
	rc = arena_reserve(&rings->arena, RINGS_HEADER_OFF, RINGS_HEADER_SIZE);
	if (rc < 0) {
		rings_close(rings);
		return rc;
	}
	rings_fill_header(rings, flavour);
	return 0;
}

int rings_open(struct rings *rings, int fd)
{
	const struct rings_header *header;
	struct arena arena;
	int rc;

	*rings = (struct rings)RINGS_NULL;
	rc = arena_open(&arena, fd, RINGS_SIZE);
	if (rc < 0)
		return rc;
	rings->arena = arena;
	rings->attach_off = RINGS_ATTACH_OFF;
	rings->attach_size = RINGS_ATTACH_SIZE;
	header = rings_header(rings);
	if (header->magic == RINGS_MAGIC && header->version == RINGS_VERSION && header->id)
		return 0;
	rc = header->magic == RINGS_MAGIC ? -EPROTONOSUPPORT : -EPROTO;
	rings->arena.fd = -1; /* it stays the caller's */
	rings_close(rings);
	return rc;
}

void rings_close(struct rings *rings)
{
	arena_close(&rings->arena);
	*rings = (struct rings)RINGS_NULL;
}

int rings_reserve(const struct rings *rings, uint32_t domid)
{
	uint64_t attach = rings->attach_off + (uint64_t)domid * rings->attach_size;
	int rc = arena_reserve(&rings->arena, rings_ring_off(domid), ARENA_PAGE);

	if (rc < 0)
		return rc;
	return arena_reserve(&rings->arena, attach & ~(uint64_t)(ARENA_PAGE - 1), ARENA_PAGE);
}

int rings_put(const struct rings *rings, uint32_t domid, uint32_t port, uint64_t gfn)
{
	struct rings_attach *attach;
	int rc = rings_reserve(rings, domid);

	if (rc < 0)
		return rc;
	attach = rings_attach(rings, domid);
	atomic_store(&attach->map_gen, 1);
	atomic_store(&attach->bind_gen, 1);
	atomic_store(&attach->remote_port, port);
	atomic_store(&attach->gfn, gfn);
	atomic_fetch_or(&rings_header(rings)->mapped[domid / 64], 1ULL << (domid % 64));
	return 0;
}

void rings_take(const struct rings *rings, uint32_t domid)
{
	struct rings_attach *attach = rings_attach(rings, domid);

	atomic_fetch_and(&rings_header(rings)->mapped[domid / 64], ~(1ULL << (domid % 64)));
	atomic_store(&attach->bind_gen, 0);
	atomic_store(&attach->map_gen, 0);
}
