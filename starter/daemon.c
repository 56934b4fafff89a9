// SPDX-License-Identifier: MIT
/*
 * daemon - see daemon.h.
 */
#include "starter/daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "link/link.h"
#include "link/start.h"
#include "starter/environment.h"
#include "starter/say.h"

/* xsproxyd connects for all of its clients at once; oxenstored makes 1 of it. */
#define BACKLOG		 128
#define FIRST_DESCRIPTOR 3

/* Whose library the C daemons link that take version 2 of their state: Xen's from 4.21 on. */
#define C2_LIBRARY "libxenmanage.so"

/* --- the program */

static enum rings_flavour flavour_of(const char *real)
{
	const char *name = strrchr(real, '/') + 1;

	if (!strcmp(name, "xenstored"))
		return RINGS_FLAVOUR_C;
	return strcmp(name, "oxenstored") ? 0 : RINGS_FLAVOUR_OCAML;
}

enum rings_flavour daemon_flavour(const char *path)
{
	char real[PATH_MAX];

	return realpath(path, real) ? flavour_of(real) : 0;
}

int daemon_beside(char path[PATH_MAX], const char *daemon, const char *name)
{
	char real[PATH_MAX];
	int n;

	if (!realpath(daemon, real))
		return -errno;
	*strrchr(real, '/') = '\0';
	n = snprintf(path, PATH_MAX, "%s/%s", real, name);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static bool has_octets(const char *path, const char *octets)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *all = MAP_FAILED;
	bool found;

	if (fd < 0)
		return false;
	if (!fstat(fd, &st))
		all = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (all == MAP_FAILED)
		return false;
	found = memmem(all, (size_t)st.st_size, octets, strlen(octets));
	munmap(all, (size_t)st.st_size);
	return found;
}

int daemon_look(struct daemon_program *program, const char *path, struct reason *reason)
{
	char real[PATH_MAX];
	struct stat st;

	if (strlen(path) >= sizeof(program->path))
		return reason_set(reason, -ENAMETOOLONG, "the path of the daemon is too long");
	strcpy(program->path, path);
	if (!realpath(path, real) || stat(real, &st))
		return reason_set(reason, -errno, "cannot start %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || access(real, X_OK))
		return reason_set(reason, -EACCES, "cannot start %s: it is no program", path);
	program->flavour = flavour_of(real);
	if (!program->flavour)
		return reason_set(reason, -EINVAL,
				  "cannot start %s: it is called neither xenstored nor oxenstored",
				  path);
	program->takes_c2 = program->flavour == RINGS_FLAVOUR_C && has_octets(real, C2_LIBRARY);
	return 0;
}

/* --- its socket */

static int upstream_address(struct sockaddr_un *un, const char *dir)
{
	int len;

	*un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	len = snprintf(un->sun_path, sizeof(un->sun_path), "%s/%s", dir, LINK_UPSTREAM);
	return (size_t)len < sizeof(un->sun_path) ? 0 : -ENAMETOOLONG;
}

static int listen_at(const struct sockaddr_un *un)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r = 0;
	mode_t mask;

	if (fd < 0)
		return -errno;
	mask = umask(0177);
	unlink(un->sun_path);
	if (bind(fd, (const struct sockaddr *)un, sizeof(*un)) || listen(fd, BACKLOG))
		r = -errno;
	umask(mask);
	if (!r)
		return fd;
	close(fd);
	return r;
}

int daemon_listen(const char *dir, struct reason *reason)
{
	struct sockaddr_un un;
	int r = upstream_address(&un, dir);

	if (!r)
		r = listen_at(&un);
	return r < 0 ? reason_set(reason, r, "cannot listen at %s/%s: %s", dir, LINK_UPSTREAM,
				  strerror(-r))
		     : r;
}

void daemon_unlisten(const char *dir, int fd)
{
	struct sockaddr_un un;

	close(fd);
	if (!upstream_address(&un, dir))
		unlink(un.sun_path);
}

void daemon_knock(int listener)
{
	struct sockaddr_un un = { 0 };
	socklen_t len = sizeof(un);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (getsockname(listener, (struct sockaddr *)&un, &len) ||
	    connect(fd, (const struct sockaddr *)&un, len))
		starter_say("cannot connect to the socket of xenstored: %s", strerror(errno));
	close(fd);
}

/* --- what it has of us */

static const char *bridge(void)
{
	return getenv("XSPROXY_PRELOAD");
}

bool daemon_has_bridge(void)
{
	const char *preload = bridge();

	return preload && *preload;
}

static int set_environment(const char *path, const char *dir)
{
	const char *preload = bridge();
	char upstream[PATH_MAX];

	if (!preload || !*preload)
		return 0;
	if (setenv("LD_PRELOAD", preload, 1))
		return -errno;
	if (daemon_flavour(path) != RINGS_FLAVOUR_C)
		return 0;
	snprintf(upstream, sizeof(upstream), "%s/%s", dir, LINK_UPSTREAM);
	return setenv("XENSTORED_PATH", upstream, 1) ? -errno : 0;
}

/* From 3 on: all are closed, or will be at an exec. */
static int end_descriptors(bool at_exec)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		int fd = (int)strtol(entry->d_name, NULL, 10);

		if (fd < FIRST_DESCRIPTOR || fd == dirfd(dir))
			continue;
		if (at_exec)
			fcntl(fd, F_SETFD, FD_CLOEXEC);
		else
			close(fd);
	}
	closedir(dir);
	return 0;
}

/* Of all from 3 on, the daemon gets these. */
static int inherit(const int *fds, size_t nr)
{
	int r = end_descriptors(true);

	for (size_t i = 0; !r && i < nr; i++)
		fcntl(fds[i], F_SETFD, 0);
	return r;
}

void daemon_close_all(void)
{
	end_descriptors(false);
}

static int exec(char **argv, const char *dir)
{
	int r = set_environment(argv[0], dir);

	if (r)
		return r;
	execv(argv[0], argv);
	return -errno;
}

int daemon_exec(char **argv, const char *dir)
{
	unsetenv(START_RINGS_ENV);
	return exec(argv, dir);
}

int daemon_exec_with(char **argv, const char *dir, int listener, int rings)
{
	const int fds[] = { listener, rings };
	char number[16];
	int r = inherit(fds, 2);

	if (r)
		return r;
	snprintf(number, sizeof(number), "%d", rings);
	if (setenv(START_RINGS_ENV, number, 1))
		return -errno;
	r = exec(argv, dir);
	end_descriptors(true);
	return r;
}

/* --- without the bridge */

/* Whoever has opened them shares how they are. @flags: get how they were */
static void make_block(const int *fds, int *flags, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		flags[i] = fcntl(fds[i], F_GETFL);
		fcntl(fds[i], F_SETFL, flags[i] & ~O_NONBLOCK);
	}
}

static void undo_block(const int *fds, const int *flags, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		fcntl(fds[i], F_SETFL, flags[i]);
}

int daemon_exec_native(char **argv, const int *fds, size_t nr)
{
	struct environment environment = { 0 };
	int *flags = calloc(nr, sizeof(*flags)), r;

	r = flags ? environment_make(&environment) : -ENOMEM;
	if (!r)
		r = inherit(fds, nr);
	if (!r) {
		make_block(fds, flags, nr);
		execve(argv[0], argv, environment.words);
		r = -errno;
		undo_block(fds, flags, nr);
		end_descriptors(true);
	}
	environment_clear(&environment);
	free(flags);
	return r;
}
