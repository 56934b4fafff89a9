// SPDX-License-Identifier: MIT
/*
 * libxengnttab of the simulated machine, as far as Xenstore needs it: a domain grants dom0 its
 * Xenstore page under GNTTAB_RESERVED_XENSTORE and nothing else.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xengnttab.h>

#include "tests/sim/lib/active.h"
#include "tests/sim/lib/foreign.h"

struct xengntdev_handle {
	struct sim *sim;
};

SIM_EXPORT xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned int flags)
{
	xengnttab_handle *xgt;
	struct sim *sim;

	if (!active_dir()) {
		SIM_NEXT(xengnttab_open);
		return next_xengnttab_open(logger, flags);
	}
	sim = active_sim();
	xgt = sim ? calloc(1, sizeof(*xgt)) : NULL;
	if (xgt)
		xgt->sim = sim;
	return xgt;
}

/* Mappings outlive the handle, as they do with the real driver. */
SIM_EXPORT int xengnttab_close(xengnttab_handle *xgt)
{
	if (!active_dir()) {
		SIM_NEXT(xengnttab_close);
		return next_xengnttab_close(xgt);
	}
	free(xgt);
	return 0;
}

SIM_EXPORT int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
	if (!active_dir()) {
		SIM_NEXT(xengnttab_set_max_grants);
		return next_xengnttab_set_max_grants(xgt, nr_grants);
	}
	return 0;
}

static void *grants_map(xengnttab_handle *xgt, uint32_t count, const uint32_t *domids,
			const uint32_t *refs, int prot)
{
	void *addr;

	for (uint32_t i = 0; i < count; i++) {
		if (refs[i] != GNTTAB_RESERVED_XENSTORE) {
			errno = EINVAL;
			return NULL;
		}
	}
	addr = count ? foreign_map(xgt->sim, domids, count, prot) : MAP_FAILED;
	if (addr != MAP_FAILED)
		return addr;
	/* The driver says so for an unknown domain too. */
	if (!count || errno == ESRCH)
		errno = EINVAL;
	return NULL;
}

SIM_EXPORT void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref,
					 int prot)
{
	if (!active_dir()) {
		SIM_NEXT(xengnttab_map_grant_ref);
		return next_xengnttab_map_grant_ref(xgt, domid, ref, prot);
	}
	return grants_map(xgt, 1, &domid, &ref, prot);
}

SIM_EXPORT void *xengnttab_map_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t *domids,
					  uint32_t *refs, int prot)
{
	if (!active_dir()) {
		SIM_NEXT(xengnttab_map_grant_refs);
		return next_xengnttab_map_grant_refs(xgt, count, domids, refs, prot);
	}
	return grants_map(xgt, count, domids, refs, prot);
}

SIM_EXPORT void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count,
						 uint32_t domid, uint32_t *refs, int prot)
{
	if (!active_dir()) {
		SIM_NEXT(xengnttab_map_domain_grant_refs);
		return next_xengnttab_map_domain_grant_refs(xgt, count, domid, refs, prot);
	}
	/* A domain has one page to give. */
	if (count != 1) {
		errno = EINVAL;
		return NULL;
	}
	return grants_map(xgt, 1, &domid, refs, prot);
}

SIM_EXPORT int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count)
{
	if (!active_dir()) {
		SIM_NEXT(xengnttab_unmap);
		return next_xengnttab_unmap(xgt, start_address, count);
	}
	return foreign_unmap(xgt->sim, start_address, count);
}
