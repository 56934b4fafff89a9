/* SPDX-License-Identifier: MIT */
/*
 * plan - what the starter is told to make of a state (link/start.h): the rings that there are.
 *
 * Used by exchange.c, while no session goes on.
 */
#ifndef XSPROXY_PROXY_EXCHANGE_PLAN_H
#define XSPROXY_PROXY_EXCHANGE_PLAN_H

struct daemon;
struct domains;

/**
 * plan_make() - write one.
 * @with: what is to be executed; "" for what is configured
 *
 * Return: a memfd that the caller owns, at its beginning; or a negative errno.
 */
int plan_make(struct daemon *daemon, const char *with);

/**
 * plan_targets() - whom each domain has by SET_TARGET.
 *
 * Return: by domid, -1: nobody; to be freed; or NULL without memory.
 */
int *plan_targets(struct domains *domains);

#endif
