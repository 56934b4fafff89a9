// SPDX-License-Identifier: MIT
/*
 * channels - see channels.h.
 */
// NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
#define __XEN_TOOLS__ 1 /* else the number of the hypercall is that of Xen 2 */

#include "starter/channels.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <xen/xen.h>

#include <xen/event_channel.h> /* needs the above */

#include <xencall.h>

struct channels {
	xencall_handle *xcall;	      /* NULL: nothing was asked yet */
	struct evtchn_status *status; /* where Xen reads and writes */
};

struct channels *channels_new(void)
{
	return calloc(1, sizeof(struct channels));
}

void channels_free(struct channels *channels)
{
	if (!channels)
		return;
	if (channels->xcall) {
		if (channels->status)
			xencall_free_buffer(channels->xcall, channels->status);
		xencall_close(channels->xcall);
	}
	free(channels);
}

static int open_once(struct channels *channels)
{
	if (!channels->xcall)
		channels->xcall = xencall_open(NULL, 0);
	if (!channels->xcall)
		return -errno;
	if (!channels->status)
		channels->status = xencall_alloc_buffer(channels->xcall, sizeof(*channels->status));
	return channels->status ? 0 : -ENOMEM;
}

/* Return: of channels_remote(). */
static int judge(const struct evtchn_status *status, uint16_t domid)
{
	switch (status->status) {
	case EVTCHNSTAT_closed:
		return 0;
	case EVTCHNSTAT_unbound:
		return status->u.unbound.dom == domid ? 0 : -EBADMSG;
	case EVTCHNSTAT_interdomain:
		return status->u.interdomain.dom == domid ? (int)status->u.interdomain.port
							  : -EBADMSG;
	default:
		return -EBADMSG;
	}
}

int channels_remote(void *opaque, uint16_t domid, uint32_t local)
{
	struct channels *channels = opaque;
	int r = open_once(channels);

	if (r)
		return r;
	*channels->status = (struct evtchn_status){ .dom = DOMID_SELF, .port = local };
	if (xencall2(channels->xcall, __HYPERVISOR_event_channel_op, EVTCHNOP_status,
		     (uint64_t)(uintptr_t)channels->status) < 0)
		return -errno;
	return judge(channels->status, domid);
}
