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
struct ledgers;
struct memory;
struct pool;
struct upstream;

/* Who is told that bridges come and go, beside domains and clients: exchange/ */
struct upstream_watcher {
	/** came() - there is a bridge, and what is in its memory was taken up. */
	void (*came)(void *arg);
	/**
	 * gone() - it is no more. Return: whether another one that goes on with its rings is to
	 * come: then domains, sessions and memory stay as they are. May be called again meanwhile.
	 */
	bool (*gone)(void *arg);
	/** again() - that one is there. */
	void (*again)(void *arg);
};

/** upstream_new() - begin to look for the bridge. Return: 0 or -ENOMEM. */
int upstream_new(struct upstream **out, struct daemon *daemon);

/** upstream_free() - NULL is fine; returns NULL. The domains must be detached before. */
struct upstream *upstream_free(struct upstream *up);

/** upstream_watch() - @watcher, which outlives it, is told from now on. */
void upstream_watch(struct upstream *up, const struct upstream_watcher *watcher, void *arg);

/** upstream_end() - have the daemon end that the bridge is in, at once. Return: 0 or a negative
 * errno. */
int upstream_end(const struct upstream *up);

/**
 * upstream_left() - the ledgers that an xsproxyd before us had, if the keeper has them with the
 * rings they go with: as it was at the start, before a bridge is there.
 * @ledgers: filled in, to be closed; not the ones that will be in use
 *
 * Return: whether there are some of this version.
 */
bool upstream_left(const struct upstream *up, struct ledgers *ledgers);

/** upstream_left_pid() - the process of the xenstored that the rings were of; 0: not known. */
int32_t upstream_left_pid(const struct upstream *up);

/**
 * upstream_restore() - take up the domains in these, without a bridge: another one that goes on
 * with their rings is to come.
 *
 * Return: 0 or a negative errno: all is as before.
 */
int upstream_restore(struct upstream *up);

/**
 * upstream_make() - rings and ledgers, of no domain yet, without a bridge: one that goes on with
 * them is to come. Only where there is none.
 *
 * Return: 0 or a negative errno: all is as before.
 */
int upstream_make(struct upstream *up);

/** upstream_unmake() - undo that, once no domain is mapped; the keeper has them no more. */
void upstream_unmake(struct upstream *up);

/**
 * upstream_untaken() - at the start: an xsproxyd before us ended while it took over what a native
 * daemon had, which that one may go on with; so nothing that the keeper has is to be touched.
 */
bool upstream_untaken(const struct upstream *up);

/** upstream_give_up() - none that goes on is to come: all is as if one had gone. */
void upstream_give_up(struct upstream *up);

/** upstream_keep() - have the keeper hold rings and ledgers, if there are some. NULL is fine. */
void upstream_keep(struct upstream *up);

/**
 * upstream_keep_state() - have the keeper hold what a xenstored that is exchanged has written, too.
 * @fd: stays the caller's, who says when it closes it; -1: nothing any more
 */
void upstream_keep_state(struct upstream *up, int fd, int pidfd);

/** upstream_keep_mirror() - likewise, the mirror of the store. @fd: as there */
void upstream_keep_mirror(struct upstream *up, int fd);

/** upstream_serves() - whether there is a bridge, and all is taken up. */
bool upstream_serves(const struct upstream *up);

/**
 * upstream_memory() - rings and ledgers; NULL while there is no bridge, unless another one that
 * goes on with them is to come.
 */
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
