// SPDX-License-Identifier: MIT
/*
 * libxenctrl of the simulated machine: what Xenstore daemons ask about domains, and the foreign
 * mapping that oxenstored uses instead of a grant.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <xenctrl.h>

#include "tests/sim/common/domain.h"
#include "tests/sim/lib/active.h"
#include "tests/sim/lib/foreign.h"

#define TOT_PAGES 4096

/* An address only: whoever looks into it has taken the wrong library. */
static char interface;

SIM_EXPORT xc_interface *xc_interface_open(xentoollog_logger *logger,
					   xentoollog_logger *dombuild_logger, unsigned int flags)
{
	if (!active_dir()) {
		SIM_NEXT(xc_interface_open);
		return next_xc_interface_open(logger, dombuild_logger, flags);
	}
	return active_sim() ? (xc_interface *)&interface : NULL;
}

SIM_EXPORT int xc_interface_close(xc_interface *xch)
{
	if (!active_dir()) {
		SIM_NEXT(xc_interface_close);
		return next_xc_interface_close(xch);
	}
	return 0;
}

/* Errors are in errno alone. */
SIM_EXPORT const xc_error *xc_get_last_error(xc_interface *xch)
{
	static const xc_error none = { .code = XC_ERROR_NONE };

	if (!active_dir()) {
		SIM_NEXT(xc_get_last_error);
		return next_xc_get_last_error(xch);
	}
	return &none;
}

static uint32_t info_reason(const struct domain_info *d)
{
	return d->flags >> DOM_REASON_SHIFT & XEN_DOMINF_shutdownmask;
}

static void info_fill(xc_domaininfo_t *info, const struct domain_info *d)
{
	memset(info, 0, sizeof(*info));
	info->domain = (domid_t)d->domid;
	if (d->flags & DOM_DYING)
		info->flags |= XEN_DOMINF_dying;
	if (d->flags & DOM_SHUTDOWN)
		info->flags |= XEN_DOMINF_shutdown | info_reason(d) << XEN_DOMINF_shutdownshift;
	if (!info->flags)
		info->flags = XEN_DOMINF_blocked;
	info->tot_pages = TOT_PAGES;
	info->max_pages = TOT_PAGES;
	info->nr_online_vcpus = 1;
}

/* 4.18 has the second in place of the first. */
#if XEN_DOMCTL_INTERFACE_VERSION < 0x16
SIM_EXPORT int xc_domain_getinfo(xc_interface *xch, uint32_t first_domid, unsigned int max_doms,
				 xc_dominfo_t *info)
{
	struct domain_info d;
	unsigned int n;

	if (!active_dir()) {
		SIM_NEXT(xc_domain_getinfo);
		return next_xc_domain_getinfo(xch, first_domid, max_doms, info);
	}
	for (n = 0; n < max_doms; n++, info++) {
		if (domain_next(active_sim(), first_domid, &d))
			break;
		memset(info, 0, sizeof(*info));
		info->domid = d.domid;
		info->dying = !!(d.flags & DOM_DYING);
		info->shutdown_reason = info_reason(&d);
		info->shutdown = !!(d.flags & DOM_SHUTDOWN);
		if (info->shutdown && info->shutdown_reason == SHUTDOWN_crash) {
			info->shutdown = 0;
			info->crashed = 1;
		}
		info->blocked = !info->dying && !info->shutdown && !info->crashed;
		info->nr_pages = TOT_PAGES;
		info->max_memkb = TOT_PAGES * 4;
		info->nr_online_vcpus = 1;
		first_domid = d.domid + 1;
	}
	if (!n) {
		errno = ESRCH;
		return -1;
	}
	return (int)n;
}
#else
SIM_EXPORT int xc_domain_getinfo_single(xc_interface *xch, uint32_t domid, xc_domaininfo_t *info)
{
	struct domain_info d;

	if (!active_dir()) {
		SIM_NEXT(xc_domain_getinfo_single);
		return next_xc_domain_getinfo_single(xch, domid, info);
	}
	if (domain_get(active_sim(), domid, &d)) {
		errno = ESRCH;
		return -1;
	}
	info_fill(info, &d);
	return 0;
}
#endif

SIM_EXPORT int xc_domain_getinfolist(xc_interface *xch, uint32_t first_domain,
				     unsigned int max_domains, xc_domaininfo_t *info)
{
	struct domain_info d;
	unsigned int n;

	if (!active_dir()) {
		SIM_NEXT(xc_domain_getinfolist);
		return next_xc_domain_getinfolist(xch, first_domain, max_domains, info);
	}
	for (n = 0; n < max_domains; n++, info++) {
		if (domain_next(active_sim(), first_domain, &d))
			break;
		info_fill(info, &d);
		first_domain = d.domid + 1;
	}
	return (int)n;
}

SIM_EXPORT void *xc_map_foreign_range(xc_interface *xch, uint32_t dom, int size, int prot,
				      unsigned long mfn)
{
	struct domain_info d;
	void *addr;

	if (!active_dir()) {
		SIM_NEXT(xc_map_foreign_range);
		return next_xc_map_foreign_range(xch, dom, size, prot, mfn);
	}
	if (domain_get(active_sim(), dom, &d)) {
		errno = ESRCH;
		return NULL;
	}
	if (size != SIM_PAGE_SIZE || mfn != d.gfn) {
		errno = EINVAL;
		return NULL;
	}
	addr = foreign_map(active_sim(), &dom, 1, prot);
	return addr == MAP_FAILED ? NULL : addr;
}
