/* SPDX-License-Identifier: MIT */
/*
 * loop - runs ready sessions, each once a round, and sleeps when there are none.
 *
 * libevent's callbacks and the doorbells only mark sessions ready; a round takes the list as it
 * stands, so a session that marks itself again waits for the others. What must not be freed under a
 * caller's feet is deferred to the end of the round.
 */
#ifndef XSPROXY_PROXY_LOOP_H
#define XSPROXY_PROXY_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct daemon;
struct event;
struct loop;
struct session;

/* What happens at the end of a round; a part of the object that it happens to. */
struct deferred {
	STAILQ_ENTRY(deferred) next;
	void (*fn)(void *arg);
	void *arg;
};

/** loop_new() - Return: 0 or -ENOMEM. */
int loop_new(struct loop **out, struct daemon *daemon);

/** loop_free() - NULL is fine; returns NULL. */
struct loop *loop_free(struct loop *loop);

/** loop_run() - until loop_stop(). */
void loop_run(struct loop *loop);

/** loop_stop() - end after this round. */
void loop_stop(struct loop *loop);

/** loop_ready() - run @s in the next round. */
void loop_ready(struct loop *loop, struct session *s);

/** loop_retry() - run @s again a little later: memory was short. */
void loop_retry(struct loop *loop, struct session *s);

/** loop_forget() - @s is about to be freed. */
void loop_forget(struct loop *loop, struct session *s);

/**
 * loop_defer() - call @fn at the end of the round, when no session is running; it may free
 * @deferred.
 */
void loop_defer(struct loop *loop, struct deferred *deferred, void (*fn)(void *arg), void *arg);

/** loop_timer() - have @timer expire in @ms; at once if there is no memory even for that. */
void loop_timer(struct event *timer, uint32_t ms);

#endif
