// SPDX-License-Identifier: MIT
/*
 * real - finding and calling the functions behind the interposers. See real.h.
 *
 * Called by every file of the bridge that means the real thing. Must not log: it runs in every
 * process that has the library preloaded, also in those where the bridge is inert.
 */
#undef _FORTIFY_SOURCE	 /* it would turn open() into an inline function */
#undef _FILE_OFFSET_BITS /* it would turn open() into open64() */

#define XC_WANT_COMPAT_MAP_FOREIGN_API
#include <xenctrl.h>

#include "bridge/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of whichever Xen runs: what the daemon has loaded, not what we were built with. */
#define LIB_EVTCHN "libxenevtchn.so."
#define LIB_GNTTAB "libxengnttab.so."
#define LIB_CTRL   "libxenctrl.so."
#define LIB_C	   "libc.so."

struct loaded {
	const char *name;
	char path[PATH_MAX];
};

/* Whether the library's name begins with the one that is looked for; then its path is kept. */
static int real_loaded(struct dl_phdr_info *info, size_t size, void *data)
{
	const char *slash = strrchr(info->dlpi_name, '/');
	const char *name = slash ? slash + 1 : info->dlpi_name;
	struct loaded *loaded = data;

	(void)size;
	if (strncmp(name, loaded->name, strlen(loaded->name)) ||
	    strlen(info->dlpi_name) >= sizeof(loaded->path))
		return 0;
	strcpy(loaded->path, info->dlpi_name);
	return 1;
}

/*
 * RTLD_NEXT looks in the global scope only. A plug-in that was loaded into a scope of its own can
 * still reach our interposers, and its libraries are loaded already: look there, too.
 */
static void *real_find(const char *symbol, const char *library)
{
	void *found = dlsym(RTLD_NEXT, symbol), *handle;
	struct loaded loaded = { .name = library };

	if (found)
		return found;
	if (!dl_iterate_phdr(real_loaded, &loaded))
		return NULL;
	handle = dlopen(loaded.path, RTLD_LAZY | RTLD_NOLOAD);
	if (!handle)
		return NULL;
	found = dlsym(handle, symbol);
	dlclose(handle);
	return found;
}

/* Declares `next`, the function named @name in the library that @library begins, or NULL. */
#define NEXT(name, library)              \
	static __typeof__(&(name)) next; \
	next = next ? next : (__typeof__(&(name)))real_find(#name, (library))

static int real_missing(void)
{
	errno = ENOSYS;
	return -1;
}

static void *real_missing_pointer(void)
{
	errno = ENOSYS;
	return NULL;
}

xenevtchn_handle *real_evtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
	NEXT(xenevtchn_open, LIB_EVTCHN);
	return next ? next(logger, flags) : real_missing_pointer();
}

int real_evtchn_close(xenevtchn_handle *xce)
{
	NEXT(xenevtchn_close, LIB_EVTCHN);
	return next ? next(xce) : real_missing();
}

int real_evtchn_fd(xenevtchn_handle *xce)
{
	NEXT(xenevtchn_fd, LIB_EVTCHN);
	return next ? next(xce) : real_missing();
}

int real_evtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	NEXT(xenevtchn_notify, LIB_EVTCHN);
	return next ? next(xce, port) : real_missing();
}

xenevtchn_port_or_error_t real_evtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq)
{
	NEXT(xenevtchn_bind_virq, LIB_EVTCHN);
	return next ? next(xce, virq) : real_missing();
}

int real_evtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	NEXT(xenevtchn_unbind, LIB_EVTCHN);
	return next ? next(xce, port) : real_missing();
}

int real_evtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	NEXT(xenevtchn_unmask, LIB_EVTCHN);
	return next ? next(xce, port) : real_missing();
}

xenevtchn_port_or_error_t real_evtchn_pending(xenevtchn_handle *xce)
{
	NEXT(xenevtchn_pending, LIB_EVTCHN);
	return next ? next(xce) : real_missing();
}

xenevtchn_port_or_error_t real_evtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid,
						       evtchn_port_t remote_port)
{
	NEXT(xenevtchn_bind_interdomain, LIB_EVTCHN);
	return next ? next(xce, domid, remote_port) : real_missing();
}

void *real_gnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
	NEXT(xengnttab_map_grant_ref, LIB_GNTTAB);
	return next ? next(xgt, domid, ref, prot) : real_missing_pointer();
}

int real_gnttab_unmap(xengnttab_handle *xgt, void *start, uint32_t count)
{
	NEXT(xengnttab_unmap, LIB_GNTTAB);
	return next ? next(xgt, start, count) : real_missing();
}

void *real_map_foreign_range(xc_interface *xch, uint32_t domid, int size, int prot,
			     unsigned long mfn)
{
	NEXT(xc_map_foreign_range, LIB_CTRL);
	return next ? next(xch, domid, size, prot, mfn) : real_missing_pointer();
}

int real_open(const char *path, int flags, mode_t mode)
{
	NEXT(open, LIB_C);
	return next ? next(path, flags, mode) : real_missing();
}

int real_open64(const char *path, int flags, mode_t mode)
{
	NEXT(open64, LIB_C);
	return next ? next(path, flags, mode) : real_missing();
}

int real_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	NEXT(bind, LIB_C);
	return next ? next(fd, addr, len) : real_missing();
}

int real_unlink(const char *path)
{
	NEXT(unlink, LIB_C);
	return next ? next(path) : real_missing();
}

int real_chmod(const char *path, mode_t mode)
{
	NEXT(chmod, LIB_C);
	return next ? next(path, mode) : real_missing();
}

int real_munmap(void *addr, size_t len)
{
	NEXT(munmap, LIB_C);
	return next ? next(addr, len) : real_missing();
}
