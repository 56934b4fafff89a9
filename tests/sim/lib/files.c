// SPDX-License-Identifier: MIT
/*
 * The system calls that take a path, so that the daemons of many simulated machines run side by
 * side: each path goes through paths_redirect(). Also RLIMIT_NOFILE, which oxenstored wants beyond
 * what a container allows.
 */

/* Else the headers define some of these functions, or rename them. */
#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/sim/lib/active.h"
#include "tests/sim/lib/paths.h"

/* Define @fn; @path, a parameter of it, is redirected; the rest is how the next one is called. */
#define REDIRECT(type, failed, fn, params, path, ...)      \
	SIM_EXPORT type fn params                          \
	{                                                  \
		char redirected[PATH_MAX];                 \
		SIM_NEXT(fn);                              \
                                                           \
		if (paths_redirect(&path, redirected) < 0) \
			return failed;                     \
		return next_##fn(__VA_ARGS__);             \
	}

REDIRECT(int, -1, access, (const char *path, int mode), path, path, mode)
REDIRECT(int, -1, chmod, (const char *path, mode_t mode), path, path, mode)
REDIRECT(int, -1, chown, (const char *path, uid_t u, gid_t g), path, path, u, g)
REDIRECT(int, -1, mkdir, (const char *path, mode_t mode), path, path, mode)
REDIRECT(int, -1, mkfifo, (const char *path, mode_t mode), path, path, mode)
REDIRECT(int, -1, rmdir, (const char *path), path, path)
REDIRECT(int, -1, unlink, (const char *path), path, path)
REDIRECT(int, -1, truncate, (const char *path, off_t len), path, path, len)
REDIRECT(int, -1, stat, (const char *path, struct stat *sb), path, path, sb)
REDIRECT(int, -1, stat64, (const char *path, struct stat64 *sb), path, path, sb)
REDIRECT(int, -1, lstat, (const char *path, struct stat *sb), path, path, sb)
REDIRECT(int, -1, lstat64, (const char *path, struct stat64 *sb), path, path, sb)
REDIRECT(int, -1, unlinkat, (int fd, const char *path, int flags), path, fd, path, flags)
REDIRECT(int, -1, mkdirat, (int fd, const char *path, mode_t mode), path, fd, path, mode)
REDIRECT(int, -1, fstatat, (int fd, const char *path, struct stat *sb, int flags), path, fd, path,
	 sb, flags)
REDIRECT(int, -1, statx, (int fd, const char *path, int flags, unsigned int mask, struct statx *sb),
	 path, fd, path, flags, mask, sb)
REDIRECT(int, -1, fchmodat, (int fd, const char *path, mode_t mode, int flags), path, fd, path,
	 mode, flags)
REDIRECT(int, -1, faccessat, (int fd, const char *path, int mode, int flags), path, fd, path, mode,
	 flags)
REDIRECT(DIR *, NULL, opendir, (const char *path), path, path)
REDIRECT(FILE *, NULL, fopen, (const char *path, const char *mode), path, path, mode)
REDIRECT(FILE *, NULL, fopen64, (const char *path, const char *mode), path, path, mode)

/* The fortified spellings of open without a mode. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int fd, const char *path, int flags);
int __openat64_2(int fd, const char *path, int flags);
REDIRECT(int, -1, __open_2, (const char *path, int flags), path, path, flags)
REDIRECT(int, -1, __open64_2, (const char *path, int flags), path, path, flags)
REDIRECT(int, -1, __openat_2, (int fd, const char *path, int flags), path, fd, path, flags)
REDIRECT(int, -1, __openat64_2, (int fd, const char *path, int flags), path, fd, path, flags)

/* As REDIRECT, for functions with a mode behind @flags when these create a file. */
#define REDIRECT_OPEN(fn, params, path, ...)                               \
	SIM_EXPORT int fn params                                           \
	{                                                                  \
		char redirected[PATH_MAX];                                 \
		mode_t mode = 0;                                           \
		va_list ap;                                                \
		SIM_NEXT(fn);                                              \
                                                                           \
		if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) { \
			va_start(ap, flags);                               \
			mode = va_arg(ap, mode_t);                         \
			va_end(ap);                                        \
		}                                                          \
		if (paths_redirect(&path, redirected) < 0)                 \
			return -1;                                         \
		return next_##fn(__VA_ARGS__, flags, mode);                \
	}

REDIRECT_OPEN(open, (const char *path, int flags, ...), path, path)
REDIRECT_OPEN(open64, (const char *path, int flags, ...), path, path)
REDIRECT_OPEN(openat, (int fd, const char *path, int flags, ...), path, fd, path)
REDIRECT_OPEN(openat64, (int fd, const char *path, int flags, ...), path, fd, path)

/* Two paths. */
#define REDIRECT_TWO(fn)                                                              \
	SIM_EXPORT int fn(const char *from, const char *to)                           \
	{                                                                             \
		char buf1[PATH_MAX], buf2[PATH_MAX];                                  \
		SIM_NEXT(fn);                                                         \
                                                                                      \
		if (paths_redirect(&from, buf1) < 0 || paths_redirect(&to, buf2) < 0) \
			return -1;                                                    \
		return next_##fn(from, to);                                           \
	}

REDIRECT_TWO(link)
REDIRECT_TWO(rename)

static int address_redirect(const struct sockaddr **addr, socklen_t *len, struct sockaddr_un *un)
{
	size_t head = offsetof(struct sockaddr_un, sun_path);
	char path[sizeof(un->sun_path) + 1] = "", buf[PATH_MAX];
	const char *to = path;

	if (!*addr || (*addr)->sa_family != AF_UNIX || *len <= head || *len > sizeof(*un))
		return 0;
	/* It need not be terminated. */
	memcpy(path, ((const struct sockaddr_un *)*addr)->sun_path, *len - head);
	if (paths_redirect(&to, buf) < 0)
		return -1;
	if (to == path)
		return 0;
	if (strlen(to) >= sizeof(un->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	strcpy(un->sun_path, to);
	*addr = (const struct sockaddr *)un;
	*len = (socklen_t)(head + strlen(to) + 1);
	return 0;
}

SIM_EXPORT int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_un un;
	SIM_NEXT(bind);

	return address_redirect(&addr, &len, &un) < 0 ? -1 : next_bind(fd, addr, len);
}

SIM_EXPORT int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_un un;
	SIM_NEXT(connect);

	return address_redirect(&addr, &len, &un) < 0 ? -1 : next_connect(fd, addr, len);
}

#define LIMIT(fn, get, type)                                                       \
	SIM_EXPORT int fn(__rlimit_resource_t what, const struct type *limit)      \
	{                                                                          \
		struct type now, clamped;                                          \
		SIM_NEXT(fn);                                                      \
                                                                                   \
		if (!active_dir() || what != RLIMIT_NOFILE || get(what, &now) < 0) \
			return next_##fn(what, limit);                             \
		clamped = *limit;                                                  \
		if (clamped.rlim_max > now.rlim_max)                               \
			clamped.rlim_max = now.rlim_max;                           \
		if (clamped.rlim_cur > clamped.rlim_max)                           \
			clamped.rlim_cur = clamped.rlim_max;                       \
		return next_##fn(what, &clamped);                                  \
	}

LIMIT(setrlimit, getrlimit, rlimit)
LIMIT(setrlimit64, getrlimit64, rlimit64)
