// SPDX-License-Identifier: MIT
/*
 * arena - making, mapping and reserving shared memory. See arena.h.
 *
 * Called by the bridge (inside xenstored, where it must never end the process) and by xsproxyd.
 * Keeps no state of its own, never logs, never waits, never allocates from the heap.
 */
#include "link/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The size can never change again, and nobody can take that promise back. */
#define ARENA_SEALS (F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

static int arena_allocate(int fd, int mode, uint64_t off, uint64_t len)
{
	int rc;

	do {
		rc = fallocate(fd, mode, (off_t)off, (off_t)len);
	} while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

static int arena_map(struct arena *arena, int fd, uint64_t size)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	*arena = (struct arena){ .base = base, .size = size, .fd = fd };
	return 0;
}

int arena_create(struct arena *arena, const char *name, uint64_t size)
{
	int fd, rc;

	*arena = (struct arena)ARENA_NULL;
	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, ARENA_SEALS) < 0)
		rc = -errno;
	else
		rc = arena_map(arena, fd, size);
	if (rc < 0)
		close(fd);
	return rc;
}

int arena_open(struct arena *arena, int fd, uint64_t size)
{
	struct stat st;
	int seals;

	*arena = (struct arena)ARENA_NULL;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & ARENA_SEALS) != ARENA_SEALS)
		return -EPROTO;
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != size)
		return -EPROTO;
	return arena_map(arena, fd, size);
}

void arena_close(struct arena *arena)
{
	if (!arena)
		return;
	if (arena->base)
		munmap(arena->base, arena->size);
	if (arena->fd >= 0)
		close(arena->fd);
	*arena = (struct arena)ARENA_NULL;
}

int arena_reserve(const struct arena *arena, uint64_t off, uint64_t len)
{
	return arena_allocate(arena->fd, 0, off, len);
}

void arena_discard(const struct arena *arena, uint64_t off)
{
	arena_discard_many(arena, off, ARENA_PAGE);
}

void arena_discard_many(const struct arena *arena, uint64_t off, uint64_t len)
{
	/* A failure leaves pages reserved, which costs memory and nothing else. */
	(void)arena_allocate(arena->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
}

bool arena_find(const struct arena *arena, uint64_t from, uint64_t end, uint64_t *off,
		uint64_t *len)
{
	off_t data = lseek(arena->fd, (off_t)from, SEEK_DATA), hole;

	if (data < 0 || (uint64_t)data >= end)
		return false;
	hole = lseek(arena->fd, data, SEEK_HOLE);
	if (hole < 0 || (uint64_t)hole > end)
		hole = (off_t)end;
	*off = (uint64_t)data;
	*len = (uint64_t)(hole - data);
	return true;
}
