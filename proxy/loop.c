// SPDX-License-Identifier: MIT
#include "proxy/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "proxy/daemon.h"
#include "proxy/host/client.h"
#include "proxy/host/upstream.h"
#include "proxy/observe/tap.h"
#include "proxy/session/blame.h"
#include "proxy/session/session.h"
#include "proxy/util.h"

#define RETRY_MS 50

TAILQ_HEAD(session_list, session);

struct loop {
	struct daemon *daemon;
	struct session_list ready;
	STAILQ_HEAD(, deferred) deferred;
	struct event *retry;
	bool retry_all;
	bool stop;
};

static void retry_cb(evutil_socket_t fd, short what, void *arg)
{
	struct loop *loop = arg;

	(void)fd;
	(void)what;
	loop->retry_all = false;
	upstream_ready_all(loop->daemon->upstream);
	clients_ready_all(loop->daemon->clients);
}

int loop_new(struct loop **out, struct daemon *daemon)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	loop->daemon = daemon;
	TAILQ_INIT(&loop->ready);
	STAILQ_INIT(&loop->deferred);
	loop->retry = evtimer_new(daemon->base, retry_cb, loop);
	if (!loop->retry) {
		free(loop);
		return -ENOMEM;
	}
	*out = loop;
	return 0;
}

static void run_deferred(struct loop *loop)
{
	struct deferred *deferred;

	while ((deferred = STAILQ_FIRST(&loop->deferred))) {
		STAILQ_REMOVE_HEAD(&loop->deferred, next);
		deferred->fn(deferred->arg);
	}
}

struct loop *loop_free(struct loop *loop)
{
	if (!loop)
		return NULL;
	run_deferred(loop);
	event_free(loop->retry);
	free(loop);
	return NULL;
}

void loop_defer(struct loop *loop, struct deferred *deferred, void (*fn)(void *arg), void *arg)
{
	deferred->fn = fn;
	deferred->arg = arg;
	STAILQ_INSERT_TAIL(&loop->deferred, deferred, next);
}

void loop_timer(struct event *timer, uint32_t ms)
{
	struct timeval delay = timeval_ms(ms);

	/* What it is to do must be done, better too early than never. */
	if (evtimer_add(timer, &delay))
		event_active(timer, EV_TIMEOUT, 0);
}

void loop_ready(struct loop *loop, struct session *s)
{
	if (s->queued || s->dead)
		return;
	s->queued = true;
	TAILQ_INSERT_TAIL(&loop->ready, s, ready);
}

void loop_retry(struct loop *loop, struct session *s)
{
	(void)s;
	/* Which sessions are short of memory is not worth a list: all of them run once. */
	if (!loop->retry_all)
		loop_timer(loop->retry, RETRY_MS);
	loop->retry_all = true;
}

void loop_forget(struct loop *loop, struct session *s)
{
	if (s->queued)
		TAILQ_REMOVE(&loop->ready, s, ready);
	s->queued = false;
}

static void run_round(struct loop *loop)
{
	struct session *last = TAILQ_LAST(&loop->ready, session_list), *s;

	while (last && (s = TAILQ_FIRST(&loop->ready))) {
		bool end = s == last;

		loop_forget(loop, s);
		if (!s->socket)
			blame_turn(s->domid);
		session_run(s);
		blame_rest();
		if (end)
			break;
	}
	taps_round_over(loop->daemon->taps);
	run_deferred(loop);
}

void loop_run(struct loop *loop)
{
	struct upstream *upstream = loop->daemon->upstream;

	while (!loop->stop) {
		int flags = EVLOOP_ONCE;

		upstream_take_bells(upstream);
		run_round(loop);
		/* Asleep only if nobody rang while this round ran. */
		if (!TAILQ_EMPTY(&loop->ready) || !upstream_sleep(upstream))
			flags |= EVLOOP_NONBLOCK;
		if (loop->stop || event_base_loop(loop->daemon->base, flags) < 0)
			break;
		upstream_wake(upstream);
	}
	run_deferred(loop);
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
	event_base_loopbreak(loop->daemon->base);
}
