// SPDX-License-Identifier: MIT
#include "proxy/stop.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>

#include "proxy/daemon.h"
#include "proxy/domain.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/util.h"

/* A guest that reads needs microseconds; looking this often is simpler than being told. */
#define LOOK_MS	  5
#define LOOKS_MAX 200

struct stop {
	struct daemon *daemon;
	struct event *timer;
	int looks;
	bool begun;
};

static void look_cb(evutil_socket_t fd, short what, void *arg)
{
	struct timeval delay = timeval_ms(LOOK_MS);
	struct stop *stop = arg;
	uint32_t busy = domains_busy(stop->daemon->domains);

	(void)fd;
	(void)what;
	if (busy && stop->looks++ < LOOKS_MAX && !evtimer_add(stop->timer, &delay))
		return;
	if (busy)
		log_line(LOG_NOTICE,
			 "guests that are within a message or do not read: %u; the next xsproxyd "
			 "goes on there",
			 busy);
	loop_stop(stop->daemon->loop);
}

int stop_new(struct stop **out, struct daemon *daemon)
{
	struct stop *stop = calloc(1, sizeof(*stop));

	if (!stop)
		return -ENOMEM;
	stop->daemon = daemon;
	stop->timer = evtimer_new(daemon->base, look_cb, stop);
	if (!stop->timer) {
		free(stop);
		return -ENOMEM;
	}
	*out = stop;
	return 0;
}

struct stop *stop_free(struct stop *stop)
{
	if (!stop)
		return NULL;
	event_free(stop->timer);
	free(stop);
	return NULL;
}

void stop_begin(struct stop *stop)
{
	if (stop->begun) {
		loop_stop(stop->daemon->loop);
		return;
	}
	stop->begun = true;
	domains_drain(stop->daemon->domains);
	event_active(stop->timer, EV_TIMEOUT, 0);
}
