// SPDX-License-Identifier: MIT
/*
 * interpose_libc - the libc calls by which xenstored reaches its socket and dom0's page.
 *
 * Exported; called by the daemon (and, inert, by any other process that has the library preloaded).
 * They are called often and by everybody, so what is not ours must pass cheaply.
 *
 * xsd_port needs nothing: the daemon only reads dom0's port number there, and gives it to
 * xenevtchn_bind_interdomain.
 */
#undef _FORTIFY_SOURCE	 /* it would turn open() into an inline function */
#undef _FILE_OFFSET_BITS /* it would turn open() into open64() */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridge/attach.h"
#include "bridge/bridge.h"
#include "bridge/real.h"
#include "bridge/redirect.h"

#define EXPORT __attribute__((visibility("default")))

/*
 * Dom0's ring is page 0 of the rings, and the daemon maps page 0 of what it opens here. That
 * mapping is the daemon's own, so its munmap() is not seen; no daemon unmaps dom0 and lives on.
 */
static int open_kva(struct bridge *b)
{
	void *page;
	int fd, rc;

	fd = fcntl(b->rings.arena.fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	rc = attach_map(b, 0, 0, &page);
	if (rc < 0) {
		close(fd);
		errno = -rc;
		return -1;
	}
	return fd;
}

#define OPEN_MODE(flags, mode)                           \
	do {                                             \
		if ((flags) & (O_CREAT | __O_TMPFILE)) { \
			va_list args;                    \
                                                         \
			va_start(args, flags);           \
			(mode) = va_arg(args, mode_t);   \
			va_end(args);                    \
		}                                        \
	} while (0)

EXPORT int open(const char *path, int flags, ...)
{
	struct bridge *b = bridge_get();
	mode_t mode = 0;

	OPEN_MODE(flags, mode);
	return redirect_is_kva(b, path) ? open_kva(b) : real_open(path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
	struct bridge *b = bridge_get();
	mode_t mode = 0;

	OPEN_MODE(flags, mode);
	return redirect_is_kva(b, path) ? open_kva(b) : real_open64(path, flags, mode);
}

EXPORT int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return redirect_bind(bridge_get(), fd, addr, len);
}

EXPORT int unlink(const char *path)
{
	return real_unlink(redirect_path(bridge_get(), path));
}

EXPORT int chmod(const char *path, mode_t mode)
{
	return real_chmod(redirect_path(bridge_get(), path), mode);
}

EXPORT int munmap(void *addr, size_t len)
{
	struct bridge *b = bridge_get();
	int domid = attach_domid_at(b, addr);

	if (domid < 0)
		return real_munmap(addr, len);
	attach_unmap(b, (uint32_t)domid);
	return 0;
}
