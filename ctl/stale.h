/* SPDX-License-Identifier: MIT */
/*
 * stale - which watches are on what is not there: below a domain that is not introduced, or on a
 * node that does not exist.
 *
 * Backends and tools that forget to end their watches fill up a limit that way. Not each of them is
 * a leak: one may wait for a node that is yet to come.
 *
 * Called by ctl/cmd_watches. Must never write to the store.
 */
#ifndef XSPROXY_CTL_STALE_H
#define XSPROXY_CTL_STALE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migration/remote.h"
#include "migration/wire.h"

#define STALE_WHY_MAX 64

/* What is not there for a watch */
enum stale_reason {
	STALE_NOT, /* nothing is missing */
	STALE_NODE,
	STALE_DOMAIN,
};

struct stale_watch {
	enum stale_reason reason;
	uint16_t domid; /* of STALE_DOMAIN */
};

/* What was found; empty at first. */
struct stale {
	struct stale_watch *watches; /* one for each that was asked about, in their order */
	size_t nr;		     /* that are stale */
};

/**
 * stale_find() - find out.
 * @stale: filled, whatever is returned; stale_clear() it
 * @domid: whose watches they are
 *
 * Return: 0; -ENOMEM; or as wire_call() and nodes_run().
 */
int stale_find(struct stale *stale, struct wire *wire, uint16_t domid,
	       const struct remote_watches *watches);

/** stale_why() - say why the watch at @index is stale. Return: whether it is. */
bool stale_why(const struct stale *stale, size_t index, char out[STALE_WHY_MAX]);

/** stale_clear() - free what is in it. */
void stale_clear(struct stale *stale);

#endif
