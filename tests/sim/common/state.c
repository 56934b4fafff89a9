// SPDX-License-Identifier: MIT
/*
 * See state.h: creates and maps the files of a simulated machine, and holds its lock.
 */
#include "tests/sim/common/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sim/common/handle.h"

static pthread_mutex_t list_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct sim *list;

static const char *const subdirs[] = {
	"pages",
	"evtchn",
	"root",
	"root/run",
	"root/run/xen",
	"root/run/xenstored",
	"root/var",
	"root/var/log",
	"root/var/log/xen",
	"root/var/lib",
	"root/var/lib/xenstored",
};

static int file_create(int dirfd, const char *name, off_t size, const char *text)
{
	int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, size) < 0 || write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int state_fill(int dirfd)
{
	int fd = openat(dirfd, "state", O_RDWR | O_CLOEXEC);
	struct sim_state *st;

	if (fd < 0)
		return -errno;
	st = mmap(NULL, sizeof(*st), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (st == MAP_FAILED)
		return -errno;
	st->version = SIM_VERSION;
	atomic_store(&st->next_gen, SIM_DOM0_GEN + 1);
	atomic_store(&st->domains[0].gen, SIM_DOM0_GEN);
	atomic_store(&st->domains[0].flags, DOM_EXISTS);
	atomic_store(&st->dom0_ends[SIM_DOM0_KERNEL].link, link_make(LINK_UNBOUND, 0, 0, 0));
	atomic_store(&st->dom0_port_high, SIM_DOM0_KERNEL);
	atomic_store(&st->magic, SIM_MAGIC);
	munmap(st, sizeof(*st));
	return 0;
}

int sim_init(const char *dir)
{
	char text[16];
	struct stat sb;
	int dirfd, rc;

	if (dir[0] != '/')
		return -EINVAL;
	if (strlen(dir) > SIM_DIR_MAX)
		return -ENAMETOOLONG;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return -errno;
	rc = fstatat(dirfd, "state", &sb, 0) == 0 ? -EEXIST : 0;
	for (size_t i = 0; !rc && i < sizeof(subdirs) / sizeof(subdirs[0]); i++)
		if (mkdirat(dirfd, subdirs[i], 0755) < 0 && errno != EEXIST)
			rc = -errno;
	snprintf(text, sizeof(text), "pages/0.%d", SIM_DOM0_GEN);
	if (!rc)
		rc = file_create(dirfd, text, SIM_PAGE_SIZE, "");
	snprintf(text, sizeof(text), "%d", SIM_DOM0_KERNEL);
	if (!rc)
		rc = file_create(dirfd, "xsd_port", 0, text);
	if (!rc)
		rc = file_create(dirfd, "lock", 1, "");
	if (!rc)
		rc = file_create(dirfd, "procs", SIM_PROCS, "");
	if (!rc)
		rc = file_create(dirfd, "state", sizeof(struct sim_state), "");
	if (!rc)
		rc = state_fill(dirfd);
	close(dirfd);
	return rc;
}

/* Fork: no thread may hold the mutex, and the child must not share the parent's OFD lock. */
static void fork_prepare(void)
{
	pthread_mutex_lock(&list_mutex);
	for (struct sim *s = list; s; s = s->next) {
		pthread_mutex_lock(&s->mutex);
		bell_cache_lock(s->bells);
	}
}

static void fork_parent(void)
{
	for (struct sim *s = list; s; s = s->next) {
		bell_cache_unlock(s->bells);
		pthread_mutex_unlock(&s->mutex);
	}
	pthread_mutex_unlock(&list_mutex);
}

static void fork_child(void)
{
	for (struct sim *s = list; s; s = s->next) {
		int fd = openat(s->dirfd, "lock", O_RDWR | O_CLOEXEC);

		if (fd >= 0) {
			dup3(fd, s->lockfd, O_CLOEXEC);
			close(fd);
		}
		s->proc_slot = -1;
	}
	fork_parent();
}

static void fork_register(void)
{
	pthread_atfork(fork_prepare, fork_parent, fork_child);
}

static void sim_free(struct sim *sim)
{
	if (sim->st)
		munmap(sim->st, sizeof(*sim->st));
	if (sim->procfd >= 0)
		close(sim->procfd);
	if (sim->lockfd >= 0)
		close(sim->lockfd);
	if (sim->dirfd >= 0)
		close(sim->dirfd);
	bell_cache_free(sim->bells);
	free(sim->dir);
	free(sim);
}

static int sim_map_state(struct sim *sim)
{
	int fd = openat(sim->dirfd, "state", O_RDWR | O_CLOEXEC);
	struct sim_state *st;
	struct stat sb;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &sb) < 0 || sb.st_size != sizeof(*st)) {
		close(fd);
		return -EINVAL;
	}
	st = mmap(NULL, sizeof(*st), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (st == MAP_FAILED)
		return -errno;
	sim->st = st;
	return atomic_load(&st->magic) == SIM_MAGIC && st->version == SIM_VERSION ? 0 : -EINVAL;
}

static int sim_new(const char *dir, struct sim **out)
{
	struct sim *sim = calloc(1, sizeof(*sim));
	int rc = -ENOMEM;

	if (!sim)
		return -ENOMEM;
	sim->dirfd = sim->lockfd = sim->procfd = sim->proc_slot = -1;
	pthread_mutex_init(&sim->mutex, NULL);
	sim->dir = strdup(dir);
	sim->bells = bell_cache_new();
	if (!sim->dir || !sim->bells)
		goto fail;
	sim->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sim->dirfd < 0) {
		rc = -errno;
		goto fail;
	}
	sim->lockfd = openat(sim->dirfd, "lock", O_RDWR | O_CLOEXEC);
	if (sim->lockfd < 0) {
		rc = -errno;
		goto fail;
	}
	rc = sim_map_state(sim);
	if (rc)
		goto fail;
	*out = sim;
	return 0;
fail:
	sim_free(sim);
	return rc;
}

int sim_open(const char *dir, struct sim **out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct sim *sim;
	int rc = 0;

	if (dir[0] != '/')
		return -EINVAL;
	pthread_once(&once, fork_register);
	pthread_mutex_lock(&list_mutex);
	for (sim = list; sim; sim = sim->next)
		if (!strcmp(sim->dir, dir))
			break;
	if (!sim) {
		rc = sim_new(dir, &sim);
		if (!rc) {
			sim->next = list;
			list = sim;
		}
	}
	if (!rc) {
		sim->users++;
		*out = sim;
	}
	pthread_mutex_unlock(&list_mutex);
	return rc;
}

void sim_close(struct sim *sim)
{
	struct sim **p;

	if (!sim)
		return;
	pthread_mutex_lock(&list_mutex);
	if (--sim->users == 0) {
		for (p = &list; *p != sim; p = &(*p)->next)
			;
		*p = sim->next;
		sim_free(sim);
	}
	pthread_mutex_unlock(&list_mutex);
}

static void lock_set(struct sim *sim, short type)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };

	while (fcntl(sim->lockfd, F_OFD_SETLKW, &fl) < 0) {
		if (errno == EINTR)
			continue;
		/* Going on without the lock would corrupt the machine of all others. */
		dprintf(STDERR_FILENO, "xensim: cannot lock %s/lock: %s\n", sim->dir,
			strerror(errno));
		abort();
	}
}

void sim_lock(struct sim *sim)
{
	pthread_mutex_lock(&sim->mutex);
	lock_set(sim, F_WRLCK);
}

void sim_unlock(struct sim *sim)
{
	lock_set(sim, F_UNLCK);
	pthread_mutex_unlock(&sim->mutex);
}

struct sim_end *sim_end(struct sim *sim, uint32_t domid, uint32_t port)
{
	if (domid == 0)
		return port && port < SIM_DOM0_PORTS ? &sim->st->dom0_ends[port] : NULL;
	if (domid >= SIM_DOMS || !port || port >= SIM_GUEST_PORTS)
		return NULL;
	return &sim->st->guest_ends[domid][port];
}
