/* SPDX-License-Identifier: MIT */
/*
 * entry - xsproxyd is put before a native xenstored: an exchange whose first half that daemon does
 * (docs/architecture.md, "Entering a running host").
 *
 * The daemon has executed our live-update program, which hands over its state, what its connections
 * have, and their sockets. Of these all is made that an exchange has when its state is there:
 * rings, ledgers, domains, clients. Until that is with the keeper, and the stage says so, all of it
 * is the daemon's still: nothing is read from its sockets, no event channel is bound, and the
 * program becomes that daemon again if we say so, or go.
 *
 * A part of exchange/; begun by control/. Must never let go of a socket by shutting it down.
 */
#ifndef XSPROXY_PROXY_EXCHANGE_ENTRY_H
#define XSPROXY_PROXY_EXCHANGE_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "link/link.h"

struct entry;
struct exchange;
struct exchange_waiter;

struct entry_options {
	const char *native; /* the daemon's path, to be executed if the other one cannot be */
	const char *with;   /* that of the daemon that is to follow it; "": the configured one */
	uint32_t watches;   /* that it takes of a domain: whoever has more is in the way; 0: any */
};

/* What `progress` says while the daemon is to be asked; xsproxyctl waits for it. */
#define ENTRY_EXPECTS "waiting for the native xenstored's state"

/** entry_hindrance() - why it cannot begin now. Return: a line, static; or NULL. */
const char *entry_hindrance(const struct exchange *exchange, const struct entry_options *options);

/**
 * entry_begin() - expect the state of a native daemon.
 * @options: their texts need not last
 * @waiter, @arg: told what becomes of it; while nothing is here yet, nothing comes of it once they
 *	forget it
 *
 * Return: NULL; or a line, and nothing was done.
 */
const char *entry_begin(struct exchange *exchange, const struct entry_options *options,
			const struct exchange_waiter *waiter, void *arg);

/** entry_free() - NULL is fine; returns NULL. What was taken goes on with the next xsproxyd. */
struct entry *entry_free(struct entry *entry);

/* --- for exchange.c and exchange_handing.c */

/** entry_came() - the program of a native daemon is there: tell it what to do. */
void entry_came(struct exchange *exchange);

/** entry_state() - it gives its state (starters.h). */
void entry_state(struct exchange *exchange, int fd);

/** entry_conns() - likewise, what connections have. */
void entry_conns(struct exchange *exchange, int fd, uint32_t sockets);

/** entry_sockets() - likewise, some of their sockets. */
void entry_sockets(struct exchange *exchange, const int fds[LINK_FDS_MAX]);

/** entry_listener() - likewise, where it accepts them: that was all. */
void entry_listener(struct exchange *exchange, int fd);

/** entry_failed() - it says why it becomes that daemon again. */
void entry_failed(struct exchange *exchange, const char *why);

/** entry_gone() - it has ended, or become that daemon again. */
void entry_gone(struct exchange *exchange);

/** entry_forgotten() - nobody waits for it. */
void entry_forgotten(struct exchange *exchange);

/**
 * entry_started() - a starter is there that becomes the next daemon, so the native one has ended:
 * all that it has given is ours, with the keeper or not.
 */
void entry_started(struct exchange *exchange);

/** entry_look() - whether the keeper has all. Return: whether to look again. */
bool entry_look(struct exchange *exchange);

#endif
