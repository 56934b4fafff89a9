// SPDX-License-Identifier: MIT
/*
 * See handle.h.
 */
#include "tests/sim/common/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct bell {
	uint64_t ref;
	int fd;
};

struct bell_cache {
	pthread_mutex_t mutex;
	unsigned int open;
	unsigned int hand; /* where the search for a victim goes on */
	struct bell bells[SIM_HANDLES];
};

struct bell_cache *bell_cache_new(void)
{
	struct bell_cache *bells = calloc(1, sizeof(*bells));

	if (bells)
		pthread_mutex_init(&bells->mutex, NULL);
	return bells;
}

static void bell_drop(struct bell_cache *bells, struct bell *b)
{
	close(b->fd);
	b->ref = 0;
	bells->open--;
}

void bell_cache_free(struct bell_cache *bells)
{
	if (!bells)
		return;
	for (unsigned int i = 0; i < SIM_HANDLES; i++)
		if (bells->bells[i].ref)
			bell_drop(bells, &bells->bells[i]);
	free(bells);
}

void bell_cache_lock(struct bell_cache *bells)
{
	pthread_mutex_lock(&bells->mutex);
}

void bell_cache_unlock(struct bell_cache *bells)
{
	pthread_mutex_unlock(&bells->mutex);
}

/* The daemons need descriptors too: bells take a quarter of the limit at most. */
static bool bell_room(struct bell_cache *bells)
{
	struct rlimit rl;

	return getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_cur == RLIM_INFINITY ||
	       bells->open < rl.rlim_cur / 4;
}

static void bell_evict(struct bell_cache *bells)
{
	for (unsigned int n = 0; n < SIM_HANDLES; n++) {
		struct bell *b = &bells->bells[bells->hand++ % SIM_HANDLES];

		if (b->ref) {
			bell_drop(bells, b);
			return;
		}
	}
}

static void fifo_name(char name[32], uint64_t ref)
{
	snprintf(name, 32, "evtchn/%u.%u", handle_slot(ref), handle_gen(ref));
}

/* Open for reading as well: then writing to a handle that has gone raises no SIGPIPE. */
static int fifo_open(struct sim *sim, uint64_t ref)
{
	char name[32];

	fifo_name(name, ref);
	return openat(sim->dirfd, name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

void handle_ring(struct sim *sim, uint64_t ref, uint32_t port)
{
	struct bell_cache *bells = sim->bells;
	struct bell *b = &bells->bells[handle_slot(ref)];

	pthread_mutex_lock(&bells->mutex);
	if (b->ref != ref) {
		if (b->ref)
			bell_drop(bells, b);
		if (!bell_room(bells))
			bell_evict(bells);
		b->fd = fifo_open(sim, ref);
		if (b->fd < 0 && errno == EMFILE) {
			bell_evict(bells);
			b->fd = fifo_open(sim, ref);
		}
		if (b->fd >= 0) {
			b->ref = ref;
			bells->open++;
		}
	}
	/* Cannot be full: a port is in there once, and a FIFO holds more than a handle has ports.
	 */
	if (b->ref == ref && write(b->fd, &port, sizeof(port)) < 0 && errno != EAGAIN)
		bell_drop(bells, b);
	pthread_mutex_unlock(&bells->mutex);
}

int handle_alloc(struct sim *sim, enum handle_kind kind, uint32_t domid, bool cloexec,
		 uint64_t *ref)
{
	struct sim_state *st = sim->st;
	struct sim_handle *h;
	uint32_t slot, gen;
	char name[32];
	int fd, rc;

	for (slot = 0; slot < SIM_HANDLES; slot++)
		if (atomic_load(&st->handles[slot].kind) == HANDLE_FREE)
			break;
	if (slot == SIM_HANDLES)
		return -ENFILE;
	h = &st->handles[slot];
	gen = atomic_load(&h->gen) + 1;
	*ref = handle_ref(slot, gen);
	fifo_name(name, *ref);
	/* A process that was killed right here before us may have left the file. */
	if (unlinkat(sim->dirfd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	if (mkfifoat(sim->dirfd, name, 0600) < 0)
		return -errno;
	fd = openat(sim->dirfd, name, O_RDWR | (cloexec ? O_CLOEXEC : 0));
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		unlinkat(sim->dirfd, name, 0);
		return rc;
	}
	atomic_store(&h->gen, gen);
	atomic_store(&h->domid, domid);
	atomic_store(&h->pid, (uint32_t)getpid());
	sim_raise_high(&st->handle_high, slot);
	atomic_store(&h->kind, kind);
	return fd;
}

void handle_free(struct sim *sim, uint64_t ref)
{
	char name[32];

	fifo_name(name, ref);
	unlinkat(sim->dirfd, name, 0);
	atomic_store(&sim->st->handles[handle_slot(ref)].kind, HANDLE_FREE);
}

bool handle_alive(struct sim *sim, uint64_t ref)
{
	int fd = fifo_open(sim, ref);
	bool alive;

	if (fd < 0)
		return errno != ENOENT;
	alive = flock(fd, LOCK_SH | LOCK_NB) < 0;
	close(fd);
	return alive;
}

int handle_identify(struct sim *sim, int fd, uint64_t *ref)
{
	char link[32], target[512];
	unsigned int slot, gen;
	struct sim_handle *h;
	const char *base;
	ssize_t n;
	char end;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return -EBADF;
	target[n] = '\0';
	base = strrchr(target, '/');
	if (!base || sscanf(base, "/%u.%u%c", &slot, &gen, &end) != 2 || slot >= SIM_HANDLES)
		return -EINVAL;
	h = &sim->st->handles[slot];
	if (atomic_load(&h->kind) != HANDLE_DEV || atomic_load(&h->gen) != gen)
		return -EINVAL;
	*ref = handle_ref(slot, gen);
	return 0;
}
