// SPDX-License-Identifier: MIT
#include "tests/e2e/bridge/xenmanage.h"

#include <errno.h>
#include <stdlib.h>

struct xenmanage_handle {
	const char *left;
};

xenmanage_handle *xenmanage_open(struct xentoollog_logger *logger, unsigned int flags)
{
	xenmanage_handle *xm = malloc(sizeof(*xm));

	(void)logger;
	(void)flags;
	if (xm)
		xm->left = getenv("XENMANAGE_DOMAINS");
	return xm;
}

int xenmanage_poll_changed_domain(xenmanage_handle *xm, unsigned int *domid, unsigned int *state,
				  unsigned int *caps, uint64_t *unique_id)
{
	char *end;

	*domid = (unsigned int)strtoul(xm->left, &end, 10);
	if (end == xm->left) {
		errno = ENOENT;
		return -1;
	}
	xm->left = end;
	*state = 1;
	*caps = *domid ? 0 : 7;
	*unique_id = *domid + 1;
	return 0;
}
