/* SPDX-License-Identifier: MIT */
/*
 * entry_take - domains and clients of what the connections of a native daemon have.
 *
 * Called by entry.c. Must never shut down a socket, nor bind an event channel.
 */
#ifndef XSPROXY_PROXY_EXCHANGE_ENTRY_TAKE_H
#define XSPROXY_PROXY_EXCHANGE_ENTRY_TAKE_H

#include <stdbool.h>
#include <stdint.h>

struct daemon;

struct entry_gift {
	int conns;    /* memfd of conns.h */
	int *sockets; /* @nr; -1 once it is a client's */
	uint32_t nr;
	int listener;
	bool some_gone; /* set: a domain has died, and is left out */
};

/**
 * entry_crowded() - look for a domain with more watches than @max.
 * @conns: memfd of conns.h
 * @nr: how many it has
 *
 * Return: its domid; -1, if there is none, or it cannot be told: entry_make() says so then.
 */
int entry_crowded(int conns, uint32_t max, uint32_t *nr);

/**
 * entry_make() - make them, in rings and ledgers of no domain, and have the keeper hold all.
 *
 * Return: 0, or a negative errno: entry_unmake() what there is.
 */
int entry_make(struct daemon *daemon, struct entry_gift *gift);

/** entry_unmake() - that daemon goes on with them. */
void entry_unmake(struct daemon *daemon);

#endif
