/* SPDX-License-Identifier: MIT */
/*
 * The life of simulated domains. A destroyed domain whose page is still mapped, or to which a port
 * of dom0 still points, stays as a zombie. Used by the library, the xensim command and guests.
 */
#ifndef XENSIM_DOMAIN_H
#define XENSIM_DOMAIN_H

#include "tests/sim/common/state.h"

struct domain_info {
	uint32_t domid;
	uint32_t gen;
	uint32_t flags; /* enum domain_flags and the reason of a shutdown */
	uint64_t gfn;
};

/* 0 or -ESRCH; takes no lock. */
int domain_get(struct sim *sim, uint32_t domid, struct domain_info *info);

/* The first domain with an id of at least @domid, zombies too; 0 or -ESRCH; takes no lock. */
int domain_next(struct sim *sim, uint32_t domid, struct domain_info *info);

/* -EEXIST: alive, or a zombie whose page is still mapped. */
int domain_create(struct sim *sim, uint32_t domid, struct domain_info *info);

/* The domain stops by itself: still there, but shut down. -ESRCH, -EINVAL for dom0. */
int domain_shutdown(struct sim *sim, uint32_t domid, uint32_t reason);

/* Take a shutdown back, as after a suspend that was cancelled. */
int domain_resume(struct sim *sim, uint32_t domid);

/* It closes its event channel to xenstored, and lives on. -ESRCH, -EINVAL for dom0. */
int domain_mute(struct sim *sim, uint32_t domid);

int domain_destroy(struct sim *sim, uint32_t domid);

/* Under the lock: free the zombie @domid if nothing holds it any more. */
void domain_collect(struct sim *sim, uint32_t domid);

/* Open the page of @domid, of any generation when @gen is 0. -ESRCH also when it is dying. */
int domain_open_page(struct sim *sim, uint32_t domid, uint32_t *gen);

#endif
