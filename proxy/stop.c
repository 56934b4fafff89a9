// SPDX-License-Identifier: MIT
#include "proxy/stop.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>

#include "proxy/daemon.h"
#include "proxy/host/clients.h"
#include "proxy/host/domain_state.h"
#include "proxy/host/keeper.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/util.h"

/* Who reads needs microseconds; looking this often is simpler than being told. */
#define LOOK_MS	  5
#define LOOKS_MAX 200 /* for each phase */

enum stop_phase {
	STOP_NOT,
	STOP_CLIENTS, /* toolstack clients get their answers; guests are served */
	STOP_GUESTS,  /* guests' pages come to a message boundary */
};

struct stop {
	struct daemon *daemon;
	struct event *timer;
	enum stop_phase phase;
	int looks;
};

/* Return: whether to look again later, as there are @busy ones. */
static bool wait_for(struct stop *stop, uint32_t busy)
{
	struct timeval delay = timeval_ms(LOOK_MS);

	return busy && stop->looks++ < LOOKS_MAX && !evtimer_add(stop->timer, &delay);
}

static void look_at_guests(struct stop *stop)
{
	uint32_t busy = domains_busy(stop->daemon->domains);

	if (wait_for(stop, busy))
		return;
	if (busy)
		log_line(LOG_NOTICE,
			 "guests that are within a request or do not read replies: %u; the next "
			 "xsproxyd goes on there",
			 busy);
	loop_stop(stop->daemon->loop);
}

static void look_at_clients(struct stop *stop)
{
	uint32_t open = clients_open(stop->daemon->clients);

	if (wait_for(stop, open))
		return;
	if (open)
		log_line(LOG_NOTICE,
			 "toolstack clients that are not answered in time or do not read: %u; "
			 "their connections are closed",
			 open);
	stop->phase = STOP_GUESTS;
	stop->looks = 0;
	domains_drain(stop->daemon->domains);
	look_at_guests(stop);
}

static void look_cb(evutil_socket_t fd, short what, void *arg)
{
	struct stop *stop = arg;

	(void)fd;
	(void)what;
	if (stop->phase == STOP_CLIENTS)
		look_at_clients(stop);
	else
		look_at_guests(stop);
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
	if (stop->phase != STOP_NOT) {
		loop_stop(stop->daemon->loop);
		return;
	}
	/* The step under way has ended, and all else goes on from where it stands. */
	if (keeper_look(stop->daemon->keeper)) {
		loop_stop(stop->daemon->loop);
		return;
	}
	stop->phase = STOP_CLIENTS;
	clients_drain(stop->daemon->clients);
	event_active(stop->timer, EV_TIMEOUT, 0);
}
