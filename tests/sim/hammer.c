// SPDX-License-Identifier: MIT
/*
 * See hammer.h.
 */
#include "tests/sim/hammer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/common/domain.h"

struct xsguest_hammer {
	struct xsguest *guest;
	_Atomic uint32_t *page;
	uint32_t n;
	uint32_t notify;
	_Atomic bool stop;
	uint64_t rounds;
	pthread_t thread;
	struct xsguest_blow blows[];
};

static void *hammer_run(void *arg)
{
	struct xsguest_hammer *hammer = arg;
	uint64_t round;

	for (round = 1; !atomic_load_explicit(&hammer->stop, memory_order_relaxed); round++) {
		for (uint32_t i = 0; i < hammer->n; i++) {
			struct xsguest_blow *blow = &hammer->blows[i];

			atomic_store_explicit(&hammer->page[blow->offset / 4], blow->value,
					      memory_order_release);
			blow->value += blow->step;
		}
		if (hammer->notify && round % hammer->notify == 0)
			xsguest_notify(hammer->guest);
	}
	hammer->rounds = round;
	return NULL;
}

static bool blows_fit(const struct xsguest_blow *blows, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (blows[i].offset % 4 || blows[i].offset > SIM_PAGE_SIZE - 4)
			return false;
	return true;
}

int xsguest_hammer_start(struct xsguest *g, const struct xsguest_blow *blows, uint32_t n,
			 uint32_t notify, struct xsguest_hammer **out)
{
	struct xsguest_hammer *hammer;
	int rc;

	if (!blows_fit(blows, n))
		return -EINVAL;
	hammer = calloc(1, sizeof(*hammer) + n * sizeof(*blows));
	if (!hammer)
		return -ENOMEM;
	hammer->guest = g;
	hammer->page = xsguest_page(g);
	hammer->n = n;
	hammer->notify = notify;
	if (n)
		memcpy(hammer->blows, blows, n * sizeof(*blows));
	rc = pthread_create(&hammer->thread, NULL, hammer_run, hammer);
	if (rc) {
		free(hammer);
		return -rc;
	}
	*out = hammer;
	return 0;
}

uint64_t xsguest_hammer_stop(struct xsguest_hammer *hammer)
{
	uint64_t rounds;

	atomic_store(&hammer->stop, true);
	pthread_join(hammer->thread, NULL);
	rounds = hammer->rounds;
	free(hammer);
	return rounds;
}
