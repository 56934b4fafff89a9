// SPDX-License-Identifier: MIT
/*
 * fake_xen - Event channels that always have an event (or always fail), to be preloaded behind the
 * bridge.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
void *xenevtchn_open(void *l, unsigned f)
{
	return malloc(1);
}
int xenevtchn_close(void *x)
{
	free(x);
	return 0;
}
int xenevtchn_fd(void *x)
{
	static int fd = -1;
	return fd < 0 ? fd = eventfd(1, 0) : fd;
}
int xenevtchn_pending(void *x)
{
	errno = EIO;
	return getenv("FAKE_FAILS") ? -1 : 5;
}
int xenevtchn_unmask(void *x, unsigned p)
{
	return getenv("FAKE_FAILS") ? -1 : 0;
}
