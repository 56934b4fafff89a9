/* SPDX-License-Identifier: MIT */
/*
 * plan - what the starter is told to make of a state (link/start.h): the rings that there are.
 *
 * Used by exchange.c, while no session goes on.
 */
#ifndef XSPROXY_PROXY_EXCHANGE_PLAN_H
#define XSPROXY_PROXY_EXCHANGE_PLAN_H

struct daemon;

/**
 * plan_make() - write one.
 * @with: what is to be executed; "" for what is configured
 *
 * Return: a memfd that the caller owns, at its beginning; or a negative errno.
 */
int plan_make(struct daemon *daemon, const char *with);

#endif
