// SPDX-License-Identifier: MIT
/*
 * See domain.h.
 */
#include "tests/sim/common/domain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <xen/xen.h>

#include "tests/sim/common/ends.h"
#include "tests/sim/common/maps.h"

static void page_name(char name[32], uint32_t domid, uint32_t gen)
{
	snprintf(name, 32, "pages/%u.%u", domid, gen);
}

static void virq_dom_exc(struct sim *sim)
{
	uint32_t port = atomic_load(&sim->st->virq[VIRQ_DOM_EXC]);

	if (port)
		end_raise(sim, 0, port);
}

int domain_get(struct sim *sim, uint32_t domid, struct domain_info *info)
{
	struct sim_domain *d;

	if (domid >= SIM_DOMS)
		return -ESRCH;
	d = &sim->st->domains[domid];
	info->domid = domid;
	info->flags = atomic_load(&d->flags);
	info->gen = atomic_load(&d->gen);
	info->gfn = atomic_load(&d->gfn);
	return info->flags & DOM_EXISTS ? 0 : -ESRCH;
}

int domain_next(struct sim *sim, uint32_t domid, struct domain_info *info)
{
	uint32_t high = atomic_load(&sim->st->dom_high);

	for (; domid <= high; domid++)
		if (!domain_get(sim, domid, info))
			return 0;
	return -ESRCH;
}

static void domain_free(struct sim *sim, uint32_t domid)
{
	struct sim_domain *d = &sim->st->domains[domid];
	char name[32];

	page_name(name, domid, atomic_load(&d->gen));
	unlinkat(sim->dirfd, name, 0);
	atomic_store(&d->flags, 0);
	virq_dom_exc(sim);
}

void domain_collect(struct sim *sim, uint32_t domid)
{
	struct domain_info info;

	if (domain_get(sim, domid, &info) || !(info.flags & DOM_DYING))
		return;
	if (!maps_count(sim, domid, info.gen, NULL, 0) && !ends_orphans(sim, domid, info.gen))
		domain_free(sim, domid);
}

/* Ports alone do not keep a domain id taken on real Xen. */
static int domain_evict(struct sim *sim, const struct domain_info *info)
{
	if (!(info->flags & DOM_DYING))
		return -EEXIST;
	maps_sweep(sim);
	if (maps_count(sim, info->domid, info->gen, NULL, 0))
		return -EEXIST;
	domain_free(sim, info->domid);
	return 0;
}

static int domain_fill(struct sim *sim, uint32_t domid, struct domain_info *info)
{
	struct sim_domain *d = &sim->st->domains[domid];
	uint32_t gen = atomic_fetch_add(&sim->st->next_gen, 1);
	char name[32];
	int fd, rc;

	page_name(name, domid, gen);
	fd = openat(sim->dirfd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	rc = ftruncate(fd, SIM_PAGE_SIZE) < 0 ? -errno : 0;
	close(fd);
	if (rc)
		return rc;
	for (uint32_t port = 1; port < SIM_GUEST_PORTS; port++)
		end_close(sim, domid, port, gen);
	atomic_store(&sim_end(sim, domid, SIM_STORE_PORT)->link, link_make(LINK_UNBOUND, 0, 0, 0));
	atomic_store(&d->gen, gen);
	/* Different for each domain, so that a mix-up shows. */
	atomic_store(&d->gfn, 0x40000 + domid);
	sim_raise_high(&sim->st->dom_high, domid);
	atomic_store(&d->flags, DOM_EXISTS);
	return domain_get(sim, domid, info);
}

int domain_create(struct sim *sim, uint32_t domid, struct domain_info *info)
{
	int rc = 0;

	if (domid == 0 || domid >= SIM_DOMS)
		return -EINVAL;
	sim_lock(sim);
	if (!domain_get(sim, domid, info))
		rc = domain_evict(sim, info);
	if (!rc)
		rc = domain_fill(sim, domid, info);
	sim_unlock(sim);
	return rc;
}

static int domain_get_live(struct sim *sim, uint32_t domid, struct domain_info *info)
{
	if (domid == 0)
		return -EINVAL;
	if (domain_get(sim, domid, info) || info->flags & DOM_DYING)
		return -ESRCH;
	return 0;
}

int domain_shutdown(struct sim *sim, uint32_t domid, uint32_t reason)
{
	struct domain_info info;
	int rc;

	if (reason > 255)
		return -EINVAL;
	sim_lock(sim);
	rc = domain_get_live(sim, domid, &info);
	if (!rc) {
		atomic_store(&sim->st->domains[domid].flags,
			     DOM_EXISTS | DOM_SHUTDOWN | reason << DOM_REASON_SHIFT);
		virq_dom_exc(sim);
	}
	sim_unlock(sim);
	return rc;
}

int domain_resume(struct sim *sim, uint32_t domid)
{
	struct domain_info info;
	int rc;

	sim_lock(sim);
	rc = domain_get_live(sim, domid, &info);
	if (!rc && !(info.flags & DOM_SHUTDOWN))
		rc = -EINVAL;
	if (!rc)
		atomic_store(&sim->st->domains[domid].flags, DOM_EXISTS);
	sim_unlock(sim);
	return rc;
}

int domain_mute(struct sim *sim, uint32_t domid)
{
	struct domain_info info;
	int rc;

	sim_lock(sim);
	rc = domain_get_live(sim, domid, &info);
	if (!rc)
		end_close(sim, domid, SIM_STORE_PORT, 0);
	sim_unlock(sim);
	return rc;
}

int domain_destroy(struct sim *sim, uint32_t domid)
{
	struct domain_info info;
	int rc;

	if (domid == 0)
		return -EINVAL;
	sim_lock(sim);
	rc = domain_get(sim, domid, &info);
	if (!rc) {
		/* Dying first: whoever is killed in here, another destroy finishes it. */
		atomic_store(&sim->st->domains[domid].flags, info.flags | DOM_DYING);
		for (uint32_t port = 1; port < SIM_GUEST_PORTS; port++)
			end_close(sim, domid, port, info.gen);
		virq_dom_exc(sim);
		domain_collect(sim, domid);
	}
	sim_unlock(sim);
	return rc;
}

int domain_open_page(struct sim *sim, uint32_t domid, uint32_t *gen)
{
	struct domain_info info;
	char name[32];
	int fd;

	if (domain_get(sim, domid, &info) || info.flags & DOM_DYING || (*gen && *gen != info.gen))
		return -ESRCH;
	page_name(name, domid, info.gen);
	fd = openat(sim->dirfd, name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	*gen = info.gen;
	return fd;
}
