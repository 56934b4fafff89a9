// SPDX-License-Identifier: MIT
#include "ring/xen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/grant_table.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#define XSD_KVA	    "/proc/xen/xsd_kva"
#define PAGE_OCTETS 4096

struct xen {
	xengnttab_handle *gnttab;
	xenevtchn_handle *evtchn;
};

/* The libraries promise errno, but an error without one must still be an error. */
static int last_error(void)
{
	return errno ? -errno : -EIO;
}

struct xen *xen_free(struct xen *xen)
{
	if (!xen)
		return NULL;
	if (xen->evtchn)
		xenevtchn_close(xen->evtchn);
	if (xen->gnttab)
		xengnttab_close(xen->gnttab);
	free(xen);
	return NULL;
}

static int open_evtchn(xenevtchn_handle **out)
{
	xenevtchn_handle *evtchn;
	int err, fd;

	errno = 0;
	evtchn = xenevtchn_open(NULL, 0);
	if (!evtchn)
		return last_error();
	fd = xenevtchn_fd(evtchn);
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK)) {
		err = -errno;
		xenevtchn_close(evtchn);
		return err;
	}
	*out = evtchn;
	return 0;
}

int xen_open(struct xen **out)
{
	struct xen *xen = calloc(1, sizeof(*xen));
	int err;

	if (!xen)
		return -ENOMEM;

	xen->gnttab = xengnttab_open(NULL, 0);
	if (!xen->gnttab) {
		err = last_error();
		xen_free(xen);
		return err;
	}

	/* One grant a domain. Advice to the driver only: an old one has no such call. */
	xengnttab_set_max_grants(xen->gnttab, 0x7ff0);

	err = open_evtchn(&xen->evtchn);
	if (err) {
		xen_free(xen);
		return err;
	}

	*out = xen;
	return 0;
}

int xen_anew(struct xen *xen)
{
	xenevtchn_handle *evtchn = NULL;
	int err = open_evtchn(&evtchn);

	if (err)
		return err;
	xenevtchn_close(xen->evtchn);
	xen->evtchn = evtchn;
	return 0;
}

int xen_fd(struct xen *xen)
{
	return xenevtchn_fd(xen->evtchn);
}

static int map_dom0(struct xenstore_domain_interface **page)
{
	void *addr;
	int fd = open(XSD_KVA, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	addr = mmap(NULL, PAGE_OCTETS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (addr == MAP_FAILED) {
		int err = -errno;

		close(fd);
		return err;
	}
	close(fd);
	*page = addr;
	return 0;
}

int xen_map(struct xen *xen, uint32_t domid, struct xenstore_domain_interface **page)
{
	void *addr;

	if (domid == 0)
		return map_dom0(page);

	errno = 0;
	addr = xengnttab_map_grant_ref(xen->gnttab, domid, GNTTAB_RESERVED_XENSTORE,
				       PROT_READ | PROT_WRITE);
	if (!addr)
		return last_error();
	*page = addr;
	return 0;
}

void xen_unmap(struct xen *xen, uint32_t domid, struct xenstore_domain_interface *page)
{
	if (domid == 0)
		munmap(page, PAGE_OCTETS);
	else
		xengnttab_unmap(xen->gnttab, page, 1);
}

int xen_bind(struct xen *xen, uint32_t domid, uint32_t remote_port)
{
	int port;

	errno = 0;
	port = xenevtchn_bind_interdomain(xen->evtchn, domid, remote_port);
	return port < 0 ? last_error() : port;
}

/*
 * Xen looks for the domain first (ESRCH), then at its port; port 0 is every domain's reserved one,
 * which nobody can be bound to (EINVAL).
 */
bool xen_exists(struct xen *xen, uint32_t domid)
{
	int port;

	errno = 0;
	port = xenevtchn_bind_interdomain(xen->evtchn, domid, 0);
	if (port >= 0)
		xenevtchn_unbind(xen->evtchn, (uint32_t)port);
	return port >= 0 || errno != ESRCH;
}

void xen_unbind(struct xen *xen, uint32_t port)
{
	xenevtchn_unbind(xen->evtchn, port);
}

void xen_notify(struct xen *xen, uint32_t port)
{
	xenevtchn_notify(xen->evtchn, port);
}

int xen_pending(struct xen *xen)
{
	int port;

	errno = 0;
	port = xenevtchn_pending(xen->evtchn);
	if (port < 0)
		return last_error();
	/*
	 * Unmask first, examine the ring after: an event in between is then seen by one or other.
	 */
	if (xenevtchn_unmask(xen->evtchn, port) < 0)
		return last_error();
	return port;
}
