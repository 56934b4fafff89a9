/* SPDX-License-Identifier: MIT */
/*
 * loop - runs what is ready, each once a round, and sleeps when there is nothing.
 *
 * libevent's callbacks and the doorbells only mark tasks ready; a round takes the list as it
 * stands, so a task that marks itself again waits for the others. What must not be freed under a
 * caller's feet is deferred to the end of the round. Tasks are sessions, but the loop does not know
 * it.
 */
#ifndef XSPROXY_PROXY_LOOP_H
#define XSPROXY_PROXY_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct event;
struct event_base;
struct loop;

/* What can be run; a part of the object that runs. */
struct loop_task {
	TAILQ_ENTRY(loop_task) ready, retry;
	void (*run)(struct loop_task *task);
	bool queued;  /* in the ready list */
	bool delayed; /* in the list of those that run again a little later */
};

/* What main.c has done around a round and around the wait, each with @arg. */
struct loop_hooks {
	void (*round_begin)(void *arg);
	void (*round_end)(void *arg);
	bool (*sleep)(void *arg); /* false: there is something to do after all */
	void (*wake)(void *arg);
	void *arg;
};

/* What happens at the end of a round; a part of the object that it happens to. */
struct deferred {
	STAILQ_ENTRY(deferred) next;
	void (*fn)(void *arg);
	void *arg;
};

/** loop_new() - @hooks: copied. Return: 0 or -ENOMEM. */
int loop_new(struct loop **out, struct event_base *base, const struct loop_hooks *hooks);

/** loop_free() - NULL is fine; returns NULL. */
struct loop *loop_free(struct loop *loop);

/** loop_run() - until loop_stop(). */
void loop_run(struct loop *loop);

/** loop_stop() - end after this round. */
void loop_stop(struct loop *loop);

/** loop_ready() - run @task in the next round. */
void loop_ready(struct loop *loop, struct loop_task *task);

/** loop_retry() - run @task again a little later, and later each time: memory was short. */
void loop_retry(struct loop *loop, struct loop_task *task);

/** loop_forget() - @task is about to be freed. */
void loop_forget(struct loop *loop, struct loop_task *task);

/**
 * loop_defer() - call @fn at the end of the round, when no session is running; it may free
 * @deferred.
 */
void loop_defer(struct loop *loop, struct deferred *deferred, void (*fn)(void *arg), void *arg);

/** loop_timer() - have @timer expire in @ms; at once if there is no memory even for that. */
void loop_timer(struct event *timer, uint32_t ms);

#endif
