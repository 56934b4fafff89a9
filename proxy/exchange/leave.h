/* SPDX-License-Identifier: MIT */
/*
 * leave - a native xenstored takes xsproxyd's place: an exchange whose second half that daemon does
 * (docs/architecture.md, "Leaving a running host").
 *
 * When the daemon with the bridge has written its state, the program that it has executed gets
 * that, what connections have, their sockets, and the device in which event channels are bound; so
 * it becomes a daemon that serves all of it. From the stage LEAVING on nothing is touched here,
 * until that daemon answers, and we are done, or its process has ended, and the exchange goes on as
 * if it had been one.
 *
 * A part of exchange/; begun by control/. Must never shut a socket down, nor unbind a port.
 */
#ifndef XSPROXY_PROXY_EXCHANGE_LEAVE_H
#define XSPROXY_PROXY_EXCHANGE_LEAVE_H

#include <stdbool.h>

struct exchange;
struct exchange_waiter;
struct leave;
struct session;

/**
 * leave_hindrance() - why it cannot begin now.
 * @native: the path of the daemon that is to be
 * @reads: as of exchange_hindrance()
 *
 * Return: a line, static; or NULL.
 */
const char *leave_hindrance(const struct exchange *exchange, const char *native, bool reads);

struct leave_options {
	const char *native; /* the path of the daemon that is to be */
	bool force; /* transactions that are open get lost: that daemon will not know them */
	bool reads; /* as of exchange_hindrance() */
	bool whole; /* it has no place for messages in part, nor for what fronts have yet to get */
};

/**
 * leave_begin() - begin.
 * @waiter, @arg: as of exchange_begin()
 *
 * Return: NULL; or a line, and nothing was done.
 */
const char *leave_begin(struct exchange *exchange, const struct leave_options *options,
			const struct exchange_waiter *waiter, void *arg);

/** leave_free() - NULL is fine; returns NULL. */
struct leave *leave_free(struct leave *leave);

/* --- for the others of exchange/ */

/** leave_look_before() - before the exchange begins: whether it can. Return: whether to look again.
 */
bool leave_look_before(struct exchange *exchange);

/** leave_forgotten() - nobody waits for it, and it has not begun. */
void leave_forgotten(struct exchange *exchange);

/**
 * leave_ebbs() - fronts are read no more. Return: a session that has something for which the daemon
 * that is to be has no place; NULL: none.
 */
const struct session *leave_ebbs(struct exchange *exchange);

/** leave_blame() - it has it still. */
void leave_blame(struct exchange *exchange, const struct session *s);

/** leave_allows() - with every session at rest. Return: whether to go on; if not, it is said why.
 */
bool leave_allows(struct exchange *exchange);

/** leave_tell() - the keeper has the state, and the program waits: it gets all. */
void leave_tell(struct exchange *exchange);

/** leave_missed() - it has ended before: it is an exchange, for the daemon that was there. */
void leave_missed(struct exchange *exchange);

/** leave_failed() - it could not become the daemon. */
void leave_failed(struct exchange *exchange, const char *why);

/** leave_look() - in LEAVING. Return: whether to look again. */
bool leave_look(struct exchange *exchange);

/** leave_answered() - the native daemon serves, and has answered `answers` requests. */
void leave_answered(struct exchange *exchange);

/** leave_go_on() - an xsproxyd before us was in LEAVING. Return: 0 or -ENOMEM. */
int leave_go_on(struct exchange *exchange);

/** leave_back() - a starter has come: the native daemon is not there, nor will be. */
void leave_back(struct exchange *exchange);

/** leave_over() - nothing has come of it, and all is read again. */
void leave_over(struct exchange *exchange);

#endif
