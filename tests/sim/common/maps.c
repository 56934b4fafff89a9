// SPDX-License-Identifier: MIT
/*
 * See maps.h. The locks on `procs` are POSIX record locks: they belong to the process, so a forked
 * child does not keep its parent's mappings alive, as a grant mapping is not inherited either.
 */
#include "tests/sim/common/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void maps_purge(struct sim *sim, uint32_t proc)
{
	uint32_t high = atomic_load(&sim->st->map_high);

	for (uint32_t i = 0; i <= high; i++)
		if (atomic_load(&sim->st->maps[i].proc) == proc)
			atomic_store(&sim->st->maps[i].proc, 0);
}

/*
 * Opened late and kept: closing any descriptor of the file drops all locks of the process, and
 * guests, which come and go, never need it.
 */
static int procs_open(struct sim *sim)
{
	if (sim->procfd < 0)
		sim->procfd = openat(sim->dirfd, "procs", O_RDWR | O_CLOEXEC);
	return sim->procfd < 0 ? -errno : 0;
}

static int proc_claim(struct sim *sim)
{
	int rc = procs_open(sim);

	if (rc)
		return rc;
	for (int slot = 0; slot < SIM_PROCS; slot++) {
		struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

		fl.l_start = slot;
		if (fcntl(sim->procfd, F_SETLK, &fl) < 0) {
			if (errno == EAGAIN || errno == EACCES)
				continue;
			return -errno;
		}
		/* Ours alone now: whatever is recorded for it is of a dead process. */
		maps_purge(sim, (uint32_t)slot + 1);
		atomic_store(&sim->st->proc_pid[slot], (uint32_t)getpid());
		sim->proc_slot = slot;
		return 0;
	}
	return -ENFILE;
}

int maps_add(struct sim *sim, uint32_t domid, uint32_t gen)
{
	struct sim_state *st = sim->st;
	uint32_t i;
	int rc;

	if (sim->proc_slot < 0) {
		rc = proc_claim(sim);
		if (rc)
			return rc;
	}
	for (i = 0; i < SIM_MAPS; i++)
		if (!atomic_load(&st->maps[i].proc))
			break;
	if (i == SIM_MAPS)
		return -ENOSPC;
	st->maps[i].domid = domid;
	st->maps[i].gen = gen;
	sim_raise_high(&st->map_high, i);
	atomic_store(&st->maps[i].proc, (uint32_t)sim->proc_slot + 1);
	return (int)i;
}

void maps_remove(struct sim *sim, int index)
{
	atomic_store(&sim->st->maps[index].proc, 0);
}

unsigned int maps_count(struct sim *sim, uint32_t domid, uint32_t gen, uint32_t *pids,
			unsigned int max)
{
	struct sim_state *st = sim->st;
	uint32_t high = atomic_load(&st->map_high);
	unsigned int n = 0;

	for (uint32_t i = 0; i <= high; i++) {
		uint32_t proc = atomic_load(&st->maps[i].proc);

		if (!proc || st->maps[i].domid != domid || st->maps[i].gen != gen)
			continue;
		if (n < max)
			pids[n] = atomic_load(&st->proc_pid[proc - 1]);
		n++;
	}
	return n;
}

void maps_sweep(struct sim *sim)
{
	if (procs_open(sim))
		return;
	for (int slot = 0; slot < SIM_PROCS; slot++) {
		struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

		/* One's own lock never conflicts, so it could not be seen. */
		if (slot == sim->proc_slot || !atomic_load(&sim->st->proc_pid[slot]))
			continue;
		fl.l_start = slot;
		if (fcntl(sim->procfd, F_GETLK, &fl) < 0 || fl.l_type != F_UNLCK)
			continue;
		maps_purge(sim, (uint32_t)slot + 1);
		atomic_store(&sim->st->proc_pid[slot], 0);
	}
}
