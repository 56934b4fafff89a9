// SPDX-License-Identifier: MIT
/*
 * See foreign.h. oxenstored unmaps a foreign page with plain munmap(), so that is interposed here.
 */
#include "tests/sim/lib/foreign.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/sim/common/domain.h"
#include "tests/sim/common/maps.h"
#include "tests/sim/lib/active.h"

/* One page. Kept in a list: the daemons unmap rarely, and munmap() asks only if there are any. */
struct foreign {
	struct foreign *next;
	char *addr;
	uint32_t domid;
	int record; /* of maps.c */
	pid_t pid;  /* a forked child inherits the list, but not the mappings */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct foreign *pages;
static _Atomic unsigned int nr_pages;

static int next_unmap(void *addr, size_t len)
{
	SIM_NEXT(munmap);

	return next_munmap(addr, len);
}

static void foreign_forget(struct sim *sim, struct foreign *f)
{
	if (f->pid == getpid()) {
		sim_lock(sim);
		maps_remove(sim, f->record);
		domain_collect(sim, f->domid);
		sim_unlock(sim);
	}
	free(f);
}

/* Take the pages in [addr, addr + len) off the list. */
static struct foreign *foreign_take(char *addr, size_t len, size_t *count)
{
	struct foreign **p = &pages, *taken = NULL, *f;

	*count = 0;
	pthread_mutex_lock(&mutex);
	while ((f = *p)) {
		if (f->addr < addr || f->addr >= addr + len) {
			p = &f->next;
			continue;
		}
		*p = f->next;
		f->next = taken;
		taken = f;
		atomic_fetch_sub(&nr_pages, 1);
		++*count;
	}
	pthread_mutex_unlock(&mutex);
	return taken;
}

static void foreign_drop(struct sim *sim, struct foreign *taken)
{
	while (taken) {
		struct foreign *f = taken;

		taken = f->next;
		foreign_forget(sim, f);
	}
}

static int page_map(struct sim *sim, uint32_t domid, char *addr, int prot)
{
	struct foreign *f = malloc(sizeof(*f));
	uint32_t gen = 0;
	int fd, rc;

	if (!f)
		return -ENOMEM;
	sim_lock(sim);
	fd = domain_open_page(sim, domid, &gen);
	rc = fd < 0 ? fd : maps_add(sim, domid, gen);
	sim_unlock(sim);
	if (rc >= 0) {
		*f = (struct foreign){
			.addr = addr, .domid = domid, .record = rc, .pid = getpid()
		};
		rc = 0;
		/* Like a grant mapping, it is not inherited by a forked child. */
		if (mmap(addr, SIM_PAGE_SIZE, prot, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
		    madvise(addr, SIM_PAGE_SIZE, MADV_DONTFORK) < 0)
			rc = -errno;
	}
	if (fd >= 0)
		close(fd);
	if (rc) {
		free(f);
		return rc;
	}
	pthread_mutex_lock(&mutex);
	f->next = pages;
	pages = f;
	atomic_fetch_add(&nr_pages, 1);
	pthread_mutex_unlock(&mutex);
	return 0;
}

void *foreign_map(struct sim *sim, const uint32_t *domids, size_t count, int prot)
{
	size_t len = count * SIM_PAGE_SIZE, done;
	char *addr;
	int rc = 0;

	addr = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (addr == MAP_FAILED)
		return MAP_FAILED;
	for (size_t i = 0; !rc && i < count; i++)
		rc = page_map(sim, domids[i], addr + i * SIM_PAGE_SIZE, prot);
	if (!rc)
		return addr;
	foreign_drop(sim, foreign_take(addr, len, &done));
	next_unmap(addr, len);
	errno = -rc;
	return MAP_FAILED;
}

int foreign_unmap(struct sim *sim, void *addr, size_t count)
{
	struct foreign *taken;
	size_t found;
	int rc;

	taken = foreign_take(addr, count * SIM_PAGE_SIZE, &found);
	if (found != count) {
		foreign_drop(sim, taken);
		errno = EINVAL;
		return -1;
	}
	rc = next_unmap(addr, count * SIM_PAGE_SIZE);
	foreign_drop(sim, taken);
	return rc;
}

SIM_EXPORT int munmap(void *addr, size_t len)
{
	struct foreign *taken;
	size_t found;
	int rc;

	if (!atomic_load(&nr_pages))
		return next_unmap(addr, len);
	taken = foreign_take(addr, len, &found);
	rc = next_unmap(addr, len);
	foreign_drop(active_sim(), taken);
	return rc;
}
