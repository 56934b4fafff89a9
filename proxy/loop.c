// SPDX-License-Identifier: MIT
#include "proxy/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "proxy/util.h"

/* How much later tasks run again: twice as much each time that some ask once more. */
#define RETRY_MS     50
#define RETRY_MS_MAX 800

TAILQ_HEAD(task_list, loop_task);

struct loop {
	struct event_base *base;
	struct loop_hooks hooks;
	struct task_list ready;
	struct task_list delayed;
	STAILQ_HEAD(, deferred) deferred;
	struct event *retry;
	uint32_t retry_ms;
	bool stop;
};

static void retry_cb(evutil_socket_t fd, short what, void *arg)
{
	struct loop *loop = arg;
	struct loop_task *task;

	(void)fd;
	(void)what;
	loop->retry_ms = min_u32(2 * loop->retry_ms, RETRY_MS_MAX);
	while ((task = TAILQ_FIRST(&loop->delayed))) {
		TAILQ_REMOVE(&loop->delayed, task, retry);
		task->delayed = false;
		loop_ready(loop, task);
	}
}

int loop_new(struct loop **out, struct event_base *base, const struct loop_hooks *hooks)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	loop->base = base;
	loop->hooks = *hooks;
	loop->retry_ms = RETRY_MS;
	TAILQ_INIT(&loop->ready);
	TAILQ_INIT(&loop->delayed);
	STAILQ_INIT(&loop->deferred);
	loop->retry = evtimer_new(base, retry_cb, loop);
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

void loop_ready(struct loop *loop, struct loop_task *task)
{
	if (task->queued)
		return;
	task->queued = true;
	TAILQ_INSERT_TAIL(&loop->ready, task, ready);
}

void loop_retry(struct loop *loop, struct loop_task *task)
{
	if (task->delayed)
		return;
	if (TAILQ_EMPTY(&loop->delayed))
		loop_timer(loop->retry, loop->retry_ms);
	task->delayed = true;
	TAILQ_INSERT_TAIL(&loop->delayed, task, retry);
}

static void unqueue(struct loop *loop, struct loop_task *task)
{
	if (task->queued)
		TAILQ_REMOVE(&loop->ready, task, ready);
	task->queued = false;
}

void loop_forget(struct loop *loop, struct loop_task *task)
{
	unqueue(loop, task);
	if (task->delayed)
		TAILQ_REMOVE(&loop->delayed, task, retry);
	task->delayed = false;
}

static void run_round(struct loop *loop)
{
	struct loop_task *last = TAILQ_LAST(&loop->ready, task_list), *task;

	while (last && (task = TAILQ_FIRST(&loop->ready))) {
		bool end = task == last;

		unqueue(loop, task);
		task->run(task);
		if (end)
			break;
	}
	if (TAILQ_EMPTY(&loop->delayed))
		loop->retry_ms = RETRY_MS;
	loop->hooks.round_end(loop->hooks.arg);
	run_deferred(loop);
}

void loop_run(struct loop *loop)
{
	const struct loop_hooks *hooks = &loop->hooks;

	while (!loop->stop) {
		int flags = EVLOOP_ONCE;

		hooks->round_begin(hooks->arg);
		run_round(loop);
		/* Asleep only if nobody rang while this round ran. */
		if (!TAILQ_EMPTY(&loop->ready) || !hooks->sleep(hooks->arg))
			flags |= EVLOOP_NONBLOCK;
		if (loop->stop || event_base_loop(loop->base, flags) < 0)
			break;
		hooks->wake(hooks->arg);
	}
	run_deferred(loop);
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
	event_base_loopbreak(loop->base);
}
