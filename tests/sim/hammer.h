/* SPDX-License-Identifier: MIT */
/*
 * hammer - a guest's second processor: it overwrites words of the guest's page, and sends events,
 * as fast as it can, while the first one (guest.h) does what it likes.
 *
 * For tests of what an adversary can race; used through ctypes (xsguest.py). The guest must stay
 * open until the hammer has stopped. It never reads from the ring nor waits.
 */
#ifndef XENSIM_HAMMER_H
#define XENSIM_HAMMER_H

#include "tests/sim/guest.h"

struct xsguest_hammer;

struct xsguest_blow {
	uint32_t offset; /* of a word in the page */
	uint32_t value;
	uint32_t step; /* added to the value at each round */
};

/*
 * Store all @n words, one after the other, again and again; after every @notify rounds (0: never)
 * send an event. -EINVAL: a word outside the page.
 */
XSGUEST_API int xsguest_hammer_start(struct xsguest *g, const struct xsguest_blow *blows,
				     uint32_t n, uint32_t notify, struct xsguest_hammer **out);

/** xsguest_hammer_stop() - how many rounds there were. */
XSGUEST_API uint64_t xsguest_hammer_stop(struct xsguest_hammer *hammer);

#endif
