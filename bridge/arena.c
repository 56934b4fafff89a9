/* SPDX-License-Identifier: MIT */
/*
 * arena - making, mapping and reserving the shared memory, and its doorbells. See arena.h.
 *
 * Called by the bridge (inside xenstored, where it must never end the process) and by xsproxyd.
 * Keeps no state of its own, never logs, never waits, never allocates from the heap.
 */
#include "bridge/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The size can never change again, and nobody can take that promise back. */
#define ARENA_SEALS	(F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

#define BELLS_LEAVES	(ARENA_DOMIDS / 64)
#define BELLS_SUMMARIES (BELLS_LEAVES / 64)

_Static_assert(sizeof(struct arena_attach) <= ARENA_PAGE, "attach words fit the ledger's page");
_Static_assert(ARENA_PORT_BASE <= INT32_MAX - ARENA_DOMIDS, "virtual ports are positive ints");

static int arena_allocate(int fd, int mode, uint64_t off, uint64_t len)
{
	int rc;

	do {
		rc = fallocate(fd, mode, (off_t)off, (off_t)len);
	} while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

static int arena_map(struct arena *arena, int fd)
{
	void *base = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	arena->base = base;
	arena->fd = fd;
	return 0;
}

int arena_create(struct arena *arena, enum arena_flavour flavour)
{
	struct arena_header *header;
	int fd, rc;

	*arena = (struct arena)ARENA_NULL;
	fd = memfd_create("xsproxy-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)ARENA_SIZE) < 0 || fcntl(fd, F_ADD_SEALS, ARENA_SEALS) < 0) {
		rc = -errno;
		goto fail;
	}
	rc = arena_allocate(fd, 0, ARENA_HEADER_OFF, ARENA_HEADER_SIZE);
	if (rc < 0)
		goto fail;
	rc = arena_map(arena, fd);
	if (rc < 0)
		goto fail;

	header = arena_header(arena);
	header->magic = ARENA_MAGIC;
	header->version = ARENA_VERSION;
	header->flavour = flavour;
	header->pid = getpid();
	return 0;
fail:
	close(fd);
	return rc;
}

int arena_open(struct arena *arena, int fd)
{
	const struct arena_header *header;
	struct stat st;
	int seals, rc;

	*arena = (struct arena)ARENA_NULL;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & ARENA_SEALS) != ARENA_SEALS)
		return -EPROTO;
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != ARENA_SIZE)
		return -EPROTO;
	rc = arena_map(arena, fd);
	if (rc < 0)
		return rc;

	header = arena_header(arena);
	if (header->magic != ARENA_MAGIC)
		rc = -EPROTO;
	else if (header->version != ARENA_VERSION)
		rc = -EPROTONOSUPPORT;
	if (rc < 0) {
		munmap(arena->base, ARENA_SIZE);
		*arena = (struct arena)ARENA_NULL;
	}
	return rc;
}

void arena_close(struct arena *arena)
{
	if (!arena)
		return;
	if (arena->base)
		munmap(arena->base, ARENA_SIZE);
	if (arena->fd >= 0)
		close(arena->fd);
	*arena = (struct arena)ARENA_NULL;
}

int arena_reserve(const struct arena *arena, uint64_t off)
{
	return arena_allocate(arena->fd, 0, off, ARENA_PAGE);
}

void arena_discard(const struct arena *arena, uint64_t off)
{
	/* A failure leaves the page reserved, which costs memory and nothing else. */
	(void)arena_allocate(arena->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off,
			     ARENA_PAGE);
}

/*
 * The bells. A ringer sets the leaf, then the summary; the taker clears the leaf, then (when the
 * leaf became empty) the summary, and looks at the leaf once more. All of it is sequentially
 * consistent, so either the taker's last look sees the leaf, or the ringer's look at the summary
 * comes after the clearing and sets it again: a bell is never lost. There is one taker.
 */
bool arena_bell_ring(struct arena_bells *bells, uint32_t domid)
{
	uint32_t leaf = domid / 64;
	uint64_t leaf_bit = 1ULL << (domid % 64), summary_bit = 1ULL << (leaf % 64);
	bool fresh;

	fresh = !(atomic_fetch_or(&bells->leaf[leaf], leaf_bit) & leaf_bit);
	/*
	 * Also when the leaf was set before: its ringer may have died in between. Then nobody was
	 * woken either, so the bell counts as new.
	 */
	if (!(atomic_load(&bells->summary[leaf / 64]) & summary_bit))
		fresh |= !(atomic_fetch_or(&bells->summary[leaf / 64], summary_bit) & summary_bit);
	return fresh;
}

/* The taker found nothing in a leaf: take it out of the summary, unless it has just been rung. */
static void bells_settle(struct arena_bells *bells, uint32_t leaf)
{
	uint64_t summary_bit = 1ULL << (leaf % 64);

	atomic_fetch_and(&bells->summary[leaf / 64], ~summary_bit);
	if (atomic_load(&bells->leaf[leaf]))
		atomic_fetch_or(&bells->summary[leaf / 64], summary_bit);
}

/* The first leaf from @leaf on that the summary names, or BELLS_LEAVES. */
static uint32_t bells_next_leaf(struct arena_bells *bells, uint32_t leaf)
{
	uint64_t mask = ~0ULL << (leaf % 64);
	uint32_t i;

	if (leaf >= BELLS_LEAVES)
		return BELLS_LEAVES;
	for (i = leaf / 64; i < BELLS_SUMMARIES; i++, mask = ~0ULL) {
		uint64_t word = atomic_load(&bells->summary[i]) & mask;

		if (word)
			return i * 64 + (uint32_t)__builtin_ctzll(word);
	}
	return BELLS_LEAVES;
}

/* Takes the first domid of one leaf that is in @mask, or returns -1. */
static int bells_take_from(struct arena_bells *bells, uint32_t leaf, uint64_t mask)
{
	uint64_t word = atomic_load(&bells->leaf[leaf]), bit;

	if (!word)
		bells_settle(bells, leaf);
	word &= mask;
	if (!word)
		return -1;

	bit = word & -word;
	if (!(atomic_fetch_and(&bells->leaf[leaf], ~bit) & ~bit))
		bells_settle(bells, leaf);
	return (int)(leaf * 64 + (uint32_t)__builtin_ctzll(bit));
}

int arena_bell_take(struct arena_bells *bells, uint32_t *cursor)
{
	uint32_t first = *cursor % ARENA_DOMIDS / 64, leaf;
	uint64_t mask = ~0ULL << (*cursor % 64);
	int domid = -1;

	/* From the cursor to the end, then from the start up to the cursor's own leaf, all of it.
	 */
	for (leaf = bells_next_leaf(bells, first); domid < 0 && leaf < BELLS_LEAVES;
	     leaf = bells_next_leaf(bells, leaf + 1))
		domid = bells_take_from(bells, leaf, leaf == first ? mask : ~0ULL);
	for (leaf = bells_next_leaf(bells, 0); domid < 0 && leaf <= first;
	     leaf = bells_next_leaf(bells, leaf + 1))
		domid = bells_take_from(bells, leaf, ~0ULL);

	if (domid >= 0)
		*cursor = (uint32_t)domid + 1;
	return domid;
}

bool arena_bell_any(struct arena_bells *bells)
{
	atomic_thread_fence(memory_order_seq_cst);
	return bells_next_leaf(bells, 0) < BELLS_LEAVES;
}
