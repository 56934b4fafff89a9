/* SPDX-License-Identifier: MIT */
/*
 * keeper - the connection to the keeper, which holds our descriptors for the xsproxyd after us
 * (keeper/keeper.c).
 *
 * What an xsproxyd before us left there is fetched once, at the start. From then on whoever opens a
 * descriptor that must outlive us puts it there, and drops it when it is closed. Without a keeper
 * all goes on as if there were none: keeper_there() says so, and the log once; it is looked for
 * from time to time, and filled when it comes.
 *
 * Used by proxy/host/ and main.c; asked by stop.c and by what shows it. Never waits between start
 * and end: what the keeper does not take at once it is told later, and one that takes nothing for
 * long is given up.
 */
#ifndef XSPROXY_PROXY_HOST_KEEPER_H
#define XSPROXY_PROXY_HOST_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "link/keep.h"
#include "link/link.h"

struct daemon;
struct keeper;

/**
 * keeper_new() - connect, and fetch what is there.
 *
 * Return: 0, also where there is no keeper; or -ENOMEM.
 */
int keeper_new(struct keeper **out, struct daemon *daemon);

/** keeper_free() - what is there stays there. NULL is fine; returns NULL. */
struct keeper *keeper_free(struct keeper *keeper);

/** keeper_there() - whether what is put there will outlive us. */
bool keeper_there(const struct keeper *keeper);

/**
 * keeper_look() - the same, after looking for one that has come since, which then has all: for a
 * planned end, which may follow at once when both are restarted.
 */
bool keeper_look(struct keeper *keeper);

/**
 * keeper_leave() - what it has is another version's: leave all there as it is, for that one to come
 * back, and go on as without a keeper, until there is a new one.
 */
void keeper_leave(struct keeper *keeper);

/** keeper_foreign() - whether that is so. */
bool keeper_foreign(const struct keeper *keeper);

/**
 * keeper_take() - what the xsproxyd before us had put there.
 * @key: enum keep_key, or below KEEP_SOCKETS
 * @fds: filled in, -1 where there is none; the caller's from now on
 *
 * Return: how many there are: 0 to LINK_PUT_FDS; at the second call for a key 0.
 */
int keeper_take(struct keeper *keeper, uint32_t key, int fds[LINK_PUT_FDS]);

/** keeper_has() - whether keeper_take() would give some. */
bool keeper_has(const struct keeper *keeper, uint32_t key);

/**
 * keeper_put() - have these descriptors held, which stay the caller's as well.
 * @key: as keeper_take(); what was under it before is not held any more
 * @fds: open until keeper_drop(), or keeper_flush()
 * @count: 1 or 2
 *
 * Return: whether they will be; false without a keeper.
 */
bool keeper_put(struct keeper *keeper, uint32_t key, const int *fds, int count);

/** keeper_told() - whether it has been told all, so that what was put there is there. */
bool keeper_told(const struct keeper *keeper);

/** keeper_flush() - at the end: what it has not taken yet, if it takes it soon. */
void keeper_flush(struct keeper *keeper);

/** keeper_drop_all() - have it close everything, at once: somebody else has it all. */
void keeper_drop_all(struct keeper *keeper);

/** keeper_drop() - have it close what is under @key; before those who gave it close their own. */
void keeper_drop(struct keeper *keeper, uint32_t key);

#endif
