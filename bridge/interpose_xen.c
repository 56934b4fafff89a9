// SPDX-License-Identifier: MIT
/*
 * interpose_xen - the Xen library calls that xenstored makes and the bridge answers.
 *
 * Exported; called by the daemon (and, inert, by any other process that has the library preloaded).
 * Each decides whether the call is about a relayed domain and else passes it on. No version script:
 * symbols without a version override those with one.
 *
 * Not here: xenevtchn_fdopen (it only comes with a state that has a handle of event channels. That
 * is what a daemon has written for itself in a live update, which xsproxyd does not relay; there it
 * is our epoll descriptor. The state that a daemon is to go on with has none, so that it opens its
 * own), xc_domain_* (the real domains).
 */
#define XC_WANT_COMPAT_MAP_FOREIGN_API
#include <xenctrl.h>

#include <errno.h>
#include <stdbool.h>
#include <syslog.h>
#include <unistd.h>
#include <xen/grant_table.h>

#include "bridge/attach.h"
#include "bridge/bridge.h"
#include "bridge/doorbell.h"
#include "bridge/real.h"

#define EXPORT __attribute__((visibility("default")))

static bool port_is_virtual(evtchn_port_t port)
{
	return port - RINGS_PORT_BASE < ARENA_DOMID_MAX;
}

EXPORT xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
	xenevtchn_handle *xce = real_evtchn_open(logger, flags);

	if (xce && !bridge_wake(bridge_get(), xce)) {
		real_evtchn_close(xce);
		errno = ENOTCONN;
		return NULL;
	}
	return xce;
}

EXPORT int xenevtchn_close(xenevtchn_handle *xce)
{
	struct bridge *b = bridge_get();

	/* The daemon ends. The rings stay for what it still touches. */
	if (bridge_owns(b, xce))
		b->xce = NULL;
	return real_evtchn_close(xce);
}

EXPORT int xenevtchn_fd(xenevtchn_handle *xce)
{
	struct bridge *b = bridge_get();

	return bridge_owns(b, xce) ? b->epoll : real_evtchn_fd(xce);
}

EXPORT int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	struct bridge *b = bridge_get();

	if (!bridge_owns(b, xce) || !port_is_virtual(port))
		return real_evtchn_notify(xce, port);
	doorbell_notify(b, port - RINGS_PORT_BASE);
	return 0;
}

EXPORT xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid,
							    evtchn_port_t remote_port)
{
	struct bridge *b = bridge_get();
	int rc;

	/* Who is not mapped by us is not relayed: dom0, by configuration. */
	if (!bridge_owns(b, xce) || !attach_is_mapped(b, domid)) {
		rc = real_evtchn_bind_interdomain(xce, domid, remote_port);
		if (bridge_owns(b, xce) && domid == 0 && rc > 0)
			b->dom0_real_port = (evtchn_port_t)rc;
		return rc;
	}
	rc = attach_bind(b, domid, remote_port);
	if (rc < 0) {
		errno = -rc;
		return -1;
	}
	/* Always the same: the OCaml daemon does not learn of another one at a rebind. */
	return (int)(RINGS_PORT_BASE + domid);
}

/* The daemon keeps its VIRQ. */
EXPORT xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq)
{
	struct bridge *b = bridge_get();
	int port = real_evtchn_bind_virq(xce, virq);

	if (port > 0 && virq == VIRQ_DOM_EXC && bridge_owns(b, xce))
		b->adopt.virq_port = (evtchn_port_t)port;
	return port;
}

EXPORT int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	struct bridge *b = bridge_get();

	if (!bridge_owns(b, xce) || !port_is_virtual(port))
		return real_evtchn_unbind(xce, port);
	attach_unbind(b, port - RINGS_PORT_BASE);
	return 0;
}

EXPORT xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	struct bridge *b = bridge_get();

	return bridge_owns(b, xce) ? doorbell_pending(b) : real_evtchn_pending(xce);
}

EXPORT int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	struct bridge *b = bridge_get();

	if (!bridge_owns(b, xce))
		return real_evtchn_unmask(xce, port);
	/* A failure would end the C daemon, and the event that it belongs to has been served. */
	if (!port_is_virtual(port) && real_evtchn_unmask(xce, port) != 0)
		bridge_log(LOG_ERR, "unmasking the real port %u failed", port);
	return 0;
}

EXPORT void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
	struct bridge *b = bridge_get();
	void *page;
	int rc;

	if (b->state != BRIDGE_AWAKE || ref != GNTTAB_RESERVED_XENSTORE || domid >= ARENA_DOMID_MAX)
		return real_gnttab_map_grant_ref(xgt, domid, ref, prot);
	rc = attach_map(b, domid, 0, &page);
	if (rc < 0) {
		errno = -rc;
		return NULL;
	}
	return page;
}

EXPORT int xengnttab_unmap(xengnttab_handle *xgt, void *start, uint32_t count)
{
	struct bridge *b = bridge_get();
	int domid = attach_domid_at(b, start);

	if (domid < 0)
		return real_gnttab_unmap(xgt, start, count);
	attach_unmap(b, (uint32_t)domid);
	return 0;
}

EXPORT void *xc_map_foreign_range(xc_interface *xch, uint32_t domid, int size, int prot,
				  unsigned long mfn)
{
	struct bridge *b = bridge_get();
	void *page;
	int rc;

	/* oxenstored asks for a page of the kernel's, 64 KiB for some, and uses Xen's 4 KiB. */
	if (b->state != BRIDGE_AWAKE || b->flavour != RINGS_FLAVOUR_OCAML ||
	    (size != ARENA_PAGE && size != getpagesize()) || domid >= ARENA_DOMID_MAX)
		return real_map_foreign_range(xch, domid, size, prot, mfn);
	rc = attach_map(b, domid, mfn, &page);
	if (rc < 0) {
		errno = -rc;
		return NULL;
	}
	return page;
}
