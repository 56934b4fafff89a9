/* SPDX-License-Identifier: MIT */
/*
 * remake_options - what a remake (remake.h) is to make.
 */
#ifndef XSPROXY_STARTER_REMAKE_OPTIONS_H
#define XSPROXY_STARTER_REMAKE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "link/rings.h"
#include "migration/format/state.h"
#include "starter/exchange_plan.h"

/** remake_living_fn - living_has() or what stands for it. */
typedef int remake_living_fn(void *opaque, uint16_t domid);

struct remake_options {
	enum rings_flavour to;
	bool takes_c2; /* version 2 of the C daemon's, if that is what there is */
	int listener;  /* the number that its socket will have */
	/*
	 * The event channels, to a daemon without the bridge; else STATE_NO_FD. And the port in it
	 * that VIRQ_DOM_EXC is bound to; 0: the daemon binds it, as the C daemon does.
	 */
	int evtchn;
	uint32_t virq;
	const struct exchange_plan *plan;
	remake_living_fn *living;
	void *opaque;	    /* of @living */
	const char *quotas; /* oxenstored's configuration file; NULL: its defaults count */
};

#endif
