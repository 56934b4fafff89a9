// SPDX-License-Identifier: MIT
/*
 * libxenevtchn of the simulated machine, for processes of dom0.
 */
#include <errno.h>
#include <stdlib.h>
#include <xenevtchn.h>

#include "tests/sim/common/channel.h"
#include "tests/sim/lib/active.h"

#define UNRESTRICTED (-1)

struct xenevtchn_handle {
	struct channel ch;
	int restricted; /* the only domain to bind to, or UNRESTRICTED */
};

static xenevtchn_handle *handle_new(void)
{
	xenevtchn_handle *xce = calloc(1, sizeof(*xce));

	if (xce)
		xce->restricted = UNRESTRICTED;
	return xce;
}

static xenevtchn_handle *handle_done(xenevtchn_handle *xce, int rc)
{
	if (!rc)
		return xce;
	free(xce);
	errno = -rc;
	return NULL;
}

SIM_EXPORT xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
	xenevtchn_handle *xce;
	struct sim *sim;

	if (!active_dir()) {
		SIM_NEXT(xenevtchn_open);
		return next_xenevtchn_open(logger, flags);
	}
	if (flags & ~(unsigned int)XENEVTCHN_NO_CLOEXEC) {
		errno = EINVAL;
		return NULL;
	}
	sim = active_sim();
	xce = sim ? handle_new() : NULL;
	if (!xce)
		return NULL;
	return handle_done(xce, channel_open(sim, !(flags & XENEVTCHN_NO_CLOEXEC), &xce->ch));
}

SIM_EXPORT xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd,
					      unsigned int flags)
{
	xenevtchn_handle *xce;
	struct sim *sim;

	if (!active_dir()) {
		SIM_NEXT(xenevtchn_fdopen);
		return next_xenevtchn_fdopen(logger, fd, flags);
	}
	if (flags) {
		errno = EINVAL;
		return NULL;
	}
	sim = active_sim();
	xce = sim ? handle_new() : NULL;
	if (!xce)
		return NULL;
	return handle_done(xce, channel_fdopen(sim, fd, &xce->ch));
}

SIM_EXPORT int xenevtchn_close(xenevtchn_handle *xce)
{
	if (!active_dir()) {
		SIM_NEXT(xenevtchn_close);
		return next_xenevtchn_close(xce);
	}
	if (!xce)
		return 0;
	channel_close(active_sim(), &xce->ch);
	free(xce);
	return 0;
}

SIM_EXPORT int xenevtchn_fd(xenevtchn_handle *xce)
{
	if (!active_dir()) {
		SIM_NEXT(xenevtchn_fd);
		return next_xenevtchn_fd(xce);
	}
	return xce->ch.fd;
}

SIM_EXPORT int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	if (!active_dir()) {
		SIM_NEXT(xenevtchn_notify);
		return next_xenevtchn_notify(xce, port);
	}
	return active_errno(channel_notify(active_sim(), &xce->ch, port));
}

SIM_EXPORT xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce,
								 uint32_t domid)
{
	if (!active_dir()) {
		SIM_NEXT(xenevtchn_bind_unbound_port);
		return next_xenevtchn_bind_unbound_port(xce, domid);
	}
	if (xce->restricted != UNRESTRICTED && xce->restricted != (int)domid)
		return active_errno(-EACCES);
	return active_errno(channel_bind_unbound(active_sim(), &xce->ch, domid));
}

SIM_EXPORT xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce,
								uint32_t domid,
								evtchn_port_t remote_port)
{
	if (!active_dir()) {
		SIM_NEXT(xenevtchn_bind_interdomain);
		return next_xenevtchn_bind_interdomain(xce, domid, remote_port);
	}
	if (xce->restricted != UNRESTRICTED && xce->restricted != (int)domid)
		return active_errno(-EACCES);
	return active_errno(channel_bind_interdomain(active_sim(), &xce->ch, domid, remote_port));
}

SIM_EXPORT xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq)
{
	if (!active_dir()) {
		SIM_NEXT(xenevtchn_bind_virq);
		return next_xenevtchn_bind_virq(xce, virq);
	}
	if (xce->restricted != UNRESTRICTED)
		return active_errno(-EACCES);
	return active_errno(channel_bind_virq(active_sim(), &xce->ch, virq));
}

SIM_EXPORT int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	if (!active_dir()) {
		SIM_NEXT(xenevtchn_unbind);
		return next_xenevtchn_unbind(xce, port);
	}
	return active_errno(channel_unbind(active_sim(), &xce->ch, port));
}

SIM_EXPORT xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	uint32_t port;
	int rc;

	if (!active_dir()) {
		SIM_NEXT(xenevtchn_pending);
		return next_xenevtchn_pending(xce);
	}
	rc = channel_pending(active_sim(), &xce->ch, &port);
	return active_errno(rc ? rc : (int)port);
}

SIM_EXPORT int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	if (!active_dir()) {
		SIM_NEXT(xenevtchn_unmask);
		return next_xenevtchn_unmask(xce, port);
	}
	channel_unmask(active_sim(), &xce->ch, port);
	return 0;
}

SIM_EXPORT int xenevtchn_restrict(xenevtchn_handle *xce, domid_t domid)
{
	if (!active_dir()) {
		SIM_NEXT(xenevtchn_restrict);
		return next_xenevtchn_restrict(xce, domid);
	}
	if (xce->restricted != UNRESTRICTED)
		return active_errno(-EACCES);
	xce->restricted = domid;
	return 0;
}
