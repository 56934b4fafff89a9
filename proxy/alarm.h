/* SPDX-License-Identifier: MIT */
/*
 * alarm - what is to happen in a while, where something always is.
 *
 * As long as one of libevent's timers is pending, each round of the loop looks at the clock twice,
 * and each wait sets a timer in the kernel and takes it back: 4 % of what a guest's READ costs
 * here. An alarm is a timer of the kernel's own, which costs nothing until it expires. For what is
 * nearly always set: the watchdog, the audit of the mirror. What is set now and then needs no
 * descriptor.
 *
 * Used by main.c and proxy/mend/. Never waits.
 */
#ifndef XSPROXY_PROXY_ALARM_H
#define XSPROXY_PROXY_ALARM_H

#include <stdbool.h>
#include <stdint.h>

struct alarm;
struct event_base;

/**
 * alarm_new() - not set.
 * @fn: is called by the loop when it expires, with @arg
 *
 * Return: 0, -ENOMEM, or a negative errno of timerfd_create().
 */
int alarm_new(struct alarm **out, struct event_base *base, void (*fn)(void *arg), void *arg);

/** alarm_free() - NULL is fine; returns NULL. */
struct alarm *alarm_free(struct alarm *alarm);

/** alarm_set() - expire once, in @ms, and not when it was to before. */
void alarm_set(struct alarm *alarm, uint32_t ms);

/** alarm_is_set() - whether it has yet to expire. */
bool alarm_is_set(const struct alarm *alarm);

#endif
