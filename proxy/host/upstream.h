/* SPDX-License-Identifier: MIT */
/*
 * upstream - xsproxyd's end of the bridge: the connection, the memory, the doorbells.
 *
 * Connects to the bridge in xenstored, and again when it has gone. Tells domain.c what xenstored
 * maps and binds, and answers; tells clients.c that it is there. Made by main.c; whoever needs
 * rings, ledgers or their pool asks it for them. Never waits for the bridge: the waiting is the
 * bridge's.
 */
#ifndef XSPROXY_PROXY_HOST_UPSTREAM_H
#define XSPROXY_PROXY_HOST_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "link/rings.h"

struct daemon;
struct memory;
struct pool;
struct upstream;

/** upstream_new() - begin to look for the bridge. Return: 0 or -ENOMEM. */
int upstream_new(struct upstream **out, struct daemon *daemon);

/** upstream_free() - NULL is fine; returns NULL. The domains must be detached before. */
struct upstream *upstream_free(struct upstream *up);

/** upstream_memory() - rings and ledgers; NULL while there is no bridge. */
const struct memory *upstream_memory(const struct upstream *up);

/**
 * upstream_foreign() - what there is of another version, and what to do: guests and toolstacks wait
 * until another xsproxyd is started. NULL when there is nothing of the kind.
 */
const char *upstream_foreign(const struct upstream *up);

/** upstream_lacks() - what the running bridge cannot do, being an older one; NULL: nothing. */
const char *upstream_lacks(const struct upstream *up);

/** upstream_pool() - its extents; NULL while there is no bridge. */
struct pool *upstream_pool(const struct upstream *up);

/** upstream_ring() - ring the bell of a domain's back ring. */
void upstream_ring(struct upstream *up, uint32_t domid);

/** upstream_take_bells() - mark the sessions ready that xenstored rang for. */
void upstream_take_bells(struct upstream *up);

/**
 * upstream_sleep() - announce that the loop is about to wait.
 *
 * Return: false when a bell rang meanwhile, so it must not.
 */
bool upstream_sleep(struct upstream *up);

/** upstream_wake() - the loop is back. */
void upstream_wake(struct upstream *up);

#endif
