/* SPDX-License-Identifier: MIT */
/*
 * clients_parts - toolstack clients, for clients.c, and for clients_lent.c, which has those of a
 * native daemon that may yet go on with them.
 */
#ifndef XSPROXY_PROXY_HOST_CLIENTS_PARTS_H
#define XSPROXY_PROXY_HOST_CLIENTS_PARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proxy/host/slots.h"

struct client;
struct daemon;
struct door;
struct event;
struct who;

TAILQ_HEAD(client_list, client);

struct clients {
	struct daemon *daemon;
	struct slots *slots;
	struct door *door;
	bool draining;
	bool starved; /* memory has been lacking for so long that who finds none is closed */
	struct event *retry;
	struct client_list waiting; /* for upstream */
	struct client_list up;
};

/**
 * clients_add() - a client that waits from now on. Takes over @fds, whatever it returns.
 * @held: the keeper has it
 *
 * Return: NULL without memory.
 */
struct client *clients_add(struct clients *clients, const int fds[SLOT_SIDES], uint32_t slot,
			   const struct who *who, bool held);

/** clients_is_up() - it has been taken from the list of those that wait: it has a session now. */
void clients_is_up(struct clients *clients, struct client *client);

/** clients_drop_untaken() - at the start: what the keeper has is a native daemon's. */
void clients_drop_untaken(struct clients *clients);

#endif
