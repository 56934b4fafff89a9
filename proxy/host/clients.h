/* SPDX-License-Identifier: MIT */
/*
 * clients - toolstack clients: accepts on xenstored's public socket, gives each client a connection
 * of its own to xenstored and a session between the two (client.h), and takes up those that an
 * xsproxyd before us left with the keeper (keeper.h).
 *
 * Made by main.c; told by upstream.c and keeper.c that xenstored or a keeper has come or gone;
 * drained by stop.c; counted by control_show.c and metrics_text.c. Must never let anybody in whom
 * public.c does not, nor touch a client's octets: those are its session's.
 */
#ifndef XSPROXY_PROXY_HOST_CLIENTS_H
#define XSPROXY_PROXY_HOST_CLIENTS_H

#include <stdint.h>

#include "proxy/host/sock.h"

struct client;
struct clients;
struct daemon;
struct session;

/**
 * clients_new() - listen on @daemon's socket path, or on the descriptor that systemd passed.
 *
 * Return: 0, or a negative errno; the reason has been logged.
 */
int clients_new(struct clients **out, struct daemon *daemon);

/**
 * clients_free() - leave those that the keeper holds to the next xsproxyd, close the others. NULL
 * is fine; returns NULL.
 */
struct clients *clients_free(struct clients *clients);

/** clients_upstream_up() - xenstored is there: connect those that wait. */
void clients_upstream_up(struct clients *clients);

/** clients_each() - call @fn for each client that has a session; it must not free any. */
void clients_each(struct clients *clients, void (*fn)(struct client *client, void *arg), void *arg);

/** clients_find() - the client of a session, by that one's number; or NULL. */
const struct client *clients_find(const struct clients *clients, uint32_t session);

/* --- clients_lent.c: those of a native daemon (exchange/entry.h) */

/**
 * clients_lend() - a client that such a daemon has, and may go on with: nothing is read from it,
 * and nothing written. It has a session, but no xenstored.
 * @fd: its socket; taken over, whatever it returns
 * @out: the session
 *
 * Return: 0, -EMFILE, or -ENOMEM.
 */
int clients_lend(struct clients *clients, int fd, struct session **out);

/** clients_lend_door() - the same for where that daemon accepts clients; @fd stays the caller's. */
void clients_lend_door(const struct clients *clients, int fd);

/**
 * clients_take() - all that was lent is ours.
 * @door: as of clients_lend_door(); taken over
 *
 * Return: 0, or -ENOMEM: we must end, and the next xsproxyd has all.
 */
int clients_take(struct clients *clients, int door);

/** clients_return() - all that was lent is that daemon's again: we have it no more. */
void clients_return(struct clients *clients);

/* --- clients_lent.c, too: all are given to a native daemon (exchange/leave.h) */

/**
 * clients_ebb() - nothing is read any more but from clients that are in the middle of something,
 * which they may end; to be called again and again, until clients_halt().
 * @busy: whether one is
 */
void clients_ebb(struct clients *clients, bool (*busy)(const struct session *s));

/** clients_halt() - as sock_halt(), of each client's socket; SOCK_HALTED: nobody is accepted. */
void clients_halt(struct clients *clients, enum sock_halt halt);

/**
 * clients_each_socket() - call @fn for each client's socket, until it returns another value than 0.
 *
 * Return: that, or 0.
 */
int clients_each_socket(const struct clients *clients,
			int (*fn)(int fd, const struct session *s, void *arg), void *arg);

/** clients_door() - where they are accepted. */
int clients_door(const struct clients *clients);

/** clients_keep_all() - there is a keeper that is new: have it hold all. */
void clients_keep_all(struct clients *clients);

/** clients_unkept() - there is no keeper any more. NULL is fine. */
void clients_unkept(struct clients *clients);

/**
 * clients_drain() - xsproxyd ends without a keeper: take no further client and no further request.
 *
 * What a client has sent by now is answered, then its connection is closed; what it sends from now
 * on fails at its side (EPIPE), so nobody has to guess whether it was done.
 */
void clients_drain(struct clients *clients);

/** clients_open() - how many clients clients_drain() has not done with yet. */
uint32_t clients_open(const struct clients *clients);

/** clients_count() - how many toolstack clients there are, those that wait included. */
uint32_t clients_count(const struct clients *clients);

/** clients_kept() - how many of them the keeper holds: a restart costs these nothing. */
uint32_t clients_kept(const struct clients *clients);

/** clients_waiting() - how many of them wait for xenstored to accept a connection. */
uint32_t clients_waiting(const struct clients *clients);

/** clients_waited() - how long the first of those has waited, in seconds; 0 if there is none. */
uint64_t clients_waited(const struct clients *clients);

#endif
