// SPDX-License-Identifier: MIT
/*
 * virq - see virq.h. A handle owns its descriptor, so it gets another one for the same device.
 */
#include "starter/virq.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xenevtchn.h>

static xenevtchn_handle *open_copy(int evtchn)
{
	int fd = fcntl(evtchn, F_DUPFD_CLOEXEC, 0), saved;
	xenevtchn_handle *xce;

	if (fd < 0)
		return NULL;
	xce = xenevtchn_fdopen(NULL, fd, 0);
	if (xce)
		return xce;
	saved = errno;
	close(fd);
	errno = saved;
	return NULL;
}

int virq_bind(int evtchn, uint32_t *port, struct reason *reason)
{
	xenevtchn_handle *xce = open_copy(evtchn);
	int r = xce ? xenevtchn_bind_virq(xce, VIRQ_DOM_EXC) : -1;

	if (r < 0)
		r = reason_set(reason, -errno, "cannot bind VIRQ_DOM_EXC: %s", strerror(errno));
	if (xce)
		xenevtchn_close(xce);
	if (r < 0)
		return r;
	*port = (uint32_t)r;
	return 0;
}

void virq_unbind(int evtchn, uint32_t port)
{
	xenevtchn_handle *xce = open_copy(evtchn);

	if (!xce)
		return;
	xenevtchn_unbind(xce, port);
	xenevtchn_close(xce);
}
