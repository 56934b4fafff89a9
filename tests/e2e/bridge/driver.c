// SPDX-License-Identifier: MIT
/*
 * driver - A program that calls itself oxenstored: how events reach it when there are always more
 * of all kinds. Binding rings a domain's bell.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#define PORT(domid) (0x40000000 + (domid))
int main(void)
{
	xenevtchn_handle *xce = xenevtchn_open(NULL, 0), *other = xenevtchn_open(NULL, 0);
	struct pollfd pfd = { .fd = xenevtchn_fd(xce), .events = POLLIN };
	int real = 0, one = 0, two = 0, spurious = 0, failed = 0, port, i;
	char *page = xengnttab_map_grant_ref(NULL, 1, 1, 3);

	xengnttab_map_grant_ref(NULL, 2, 1, 3);
	if (xenevtchn_fd(other) == pfd.fd)
		return 1;
	for (i = 0; i < 8000; i++) {
		if (xenevtchn_bind_interdomain(xce, 1, 9) != PORT(1) ||
		    xenevtchn_bind_interdomain(xce, 2, 9) != PORT(2))
			return 2;
		if (poll(&pfd, 1, 1000) != 1 || pfd.revents != POLLIN)
			return 3;
		port = xenevtchn_pending(xce);
		real += port == 5;
		one += port == PORT(1);
		two += port == PORT(2);
		failed += port == -1 || xenevtchn_unmask(xce, port) != 0;
		spurious += port != 5 && port != PORT(1) && port != PORT(2);
	}
	/* Without new bells the old ones come to an end. */
	for (i = 0; i < 100 && poll(&pfd, 1, 0) == 1; i++)
		xenevtchn_unmask(xce, xenevtchn_pending(xce));
	printf("%d %d %d %d %d %d\n", real, one, two, spurious, failed, i);

	/* Whatever comes after an unmap must not crash. */
	xengnttab_unmap(NULL, page, 1);
	memset(page, 1, 4096);
	munmap(page, 4096);
	munmap(page, 4096);
	if (xenevtchn_unbind(xce, PORT(1)) || xenevtchn_notify(xce, PORT(1)))
		return 4;
	return xenevtchn_close(xce);
}
