// SPDX-License-Identifier: MIT
/*
 * libxencall of the simulated machine: the one hypercall that the starter makes, which asks what an
 * event channel of dom0's is connected to.
 */
#define __XEN_TOOLS__ 1 /* else the number of the hypercall is that of Xen 2 */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <xen/xen.h>

#include <xen/event_channel.h> /* needs the above */

#include <xencall.h>

#include "tests/sim/common/state.h"
#include "tests/sim/lib/active.h"

/* An address only: whoever looks into it has taken the wrong library. */
static char handle;

SIM_EXPORT xencall_handle *xencall_open(struct xentoollog_logger *logger, unsigned int flags)
{
	if (!active_dir()) {
		SIM_NEXT(xencall_open);
		return next_xencall_open(logger, flags);
	}
	return active_sim() ? (xencall_handle *)&handle : NULL;
}

SIM_EXPORT int xencall_close(xencall_handle *xcall)
{
	if (!active_dir()) {
		SIM_NEXT(xencall_close);
		return next_xencall_close(xcall);
	}
	return 0;
}

SIM_EXPORT void *xencall_alloc_buffer(xencall_handle *xcall, size_t size)
{
	if (!active_dir()) {
		SIM_NEXT(xencall_alloc_buffer);
		return next_xencall_alloc_buffer(xcall, size);
	}
	return calloc(1, size);
}

SIM_EXPORT void xencall_free_buffer(xencall_handle *xcall, void *p)
{
	if (!active_dir()) {
		SIM_NEXT(xencall_free_buffer);
		next_xencall_free_buffer(xcall, p);
		return;
	}
	free(p);
}

/* Any process of dom0 may ask for any port of dom0. */
static int channel_status(struct evtchn_status *status)
{
	struct sim_end *end = sim_end(active_sim(), 0, status->port);
	uint64_t link = end ? atomic_load(&end->link) : 0;

	if (!end)
		return -EINVAL;
	switch (link_kind(link)) {
	case LINK_FREE:
		status->status = EVTCHNSTAT_closed;
		break;
	case LINK_UNBOUND:
	case LINK_ORPHAN: /* its other end was closed, which leaves this one so */
		status->status = EVTCHNSTAT_unbound;
		status->u.unbound.dom = (domid_t)link_domid(link);
		break;
	case LINK_INTERDOMAIN:
		status->status = EVTCHNSTAT_interdomain;
		status->u.interdomain.dom = (domid_t)link_domid(link);
		status->u.interdomain.port = link_port(link);
		break;
	case LINK_VIRQ:
		status->status = EVTCHNSTAT_virq;
		status->u.virq = link_port(link);
		break;
	}
	return 0;
}

SIM_EXPORT int xencall2(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2)
{
	// NOLINTNEXTLINE(performance-no-int-to-ptr): hypercalls have it so
	struct evtchn_status *status = (struct evtchn_status *)(uintptr_t)arg2;

	if (!active_dir()) {
		SIM_NEXT(xencall2);
		return next_xencall2(xcall, op, arg1, arg2);
	}
	if (op != __HYPERVISOR_event_channel_op || arg1 != EVTCHNOP_status)
		return active_errno(-ENOSYS);
	if (status->dom != DOMID_SELF)
		return active_errno(-EPERM);
	return active_errno(channel_status(status));
}
