/* SPDX-License-Identifier: MIT */
/*
 * client - toolstack clients: accepts on xenstored's public socket, and gives each client a
 * connection of its own to xenstored and a session between the two.
 *
 * The session sees two queues of octets; this module moves them from and to the kernel. A client
 * that goes away takes its upstream connection with it, once upstream has answered what it was
 * sent.
 */
#ifndef XSPROXY_PROXY_HOST_CLIENT_H
#define XSPROXY_PROXY_HOST_CLIENT_H

#include <stdint.h>

struct clients;
struct daemon;

/**
 * clients_new() - listen on @daemon's socket path, or on the descriptor that systemd passed.
 *
 * Return: 0, or a negative errno; the reason has been logged.
 */
int clients_new(struct clients **out, struct daemon *daemon);

/** clients_free() - close all. NULL is fine; returns NULL. */
struct clients *clients_free(struct clients *clients);

/** clients_upstream_up() - xenstored is there: connect those that wait. */
void clients_upstream_up(struct clients *clients);

/**
 * clients_drain() - xsproxyd ends: take no further client and no further request.
 *
 * What a client has sent by now is answered, then its connection is closed; what it sends from now
 * on fails at its side (EPIPE), so nobody has to guess whether it was done.
 */
void clients_drain(struct clients *clients);

/** clients_open() - how many clients clients_drain() has not done with yet. */
uint32_t clients_open(const struct clients *clients);

/** clients_count() - how many toolstack clients there are, those that wait included. */
uint32_t clients_count(const struct clients *clients);

/** clients_waiting() - how many of them wait for xenstored to accept a connection. */
uint32_t clients_waiting(const struct clients *clients);

/** clients_waited() - how long the first of those has waited, in seconds; 0 if there is none. */
uint64_t clients_waited(const struct clients *clients);

#endif
