// SPDX-License-Identifier: MIT
/*
 * clients_lent - clients of a native daemon, while it may yet go on with them, and those that are
 * given to one: no octet is moved from or to their sockets, and who lets go of one must not shut it
 * down.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/keep.h"
#include "proxy/daemon.h"
#include "proxy/host/client.h"
#include "proxy/host/clients.h"
#include "proxy/host/clients_parts.h"
#include "proxy/host/door.h"
#include "proxy/host/keeper.h"

/* In place of the connection to a xenstored: nobody is at its other end. */
static int nobody(void)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds))
		return -errno;
	close(fds[1]);
	return fds[0];
}

static int start(struct clients *clients, struct client *client)
{
	int upstream = nobody(), err;

	if (upstream < 0)
		return upstream;
	client->lent = client->parted = true;
	err = client_start(client, upstream);
	if (err)
		return err;
	TAILQ_REMOVE(&clients->waiting, client, list);
	clients_is_up(clients, client);
	return 0;
}

int clients_lend(struct clients *clients, int fd, struct session **out)
{
	const int fds[SLOT_SIDES] = { fd, -1 };
	int slot = slots_take(clients->slots), err;
	struct client *client;
	struct who who;

	if (slot < 0) {
		close(fd);
		return slot;
	}
	who_peer(fd, &who);
	client = clients_add(clients, fds, (uint32_t)slot, &who, true);
	if (!client) {
		slots_give(clients->slots, (uint32_t)slot);
		return -ENOMEM;
	}
	err = start(clients, client);
	if (!err) {
		*out = client->session;
		return 0;
	}
	TAILQ_REMOVE(&clients->waiting, client, list);
	client_free(client, false);
	return err;
}

void clients_lend_door(const struct clients *clients, int fd)
{
	door_lend(clients->door, fd);
}

int clients_take(struct clients *clients, int door)
{
	struct client *client;

	TAILQ_FOREACH(client, &clients->up, list)
		client_take(client);
	return door_take(clients->door, door);
}

void clients_return(struct clients *clients)
{
	struct client *client, *next;

	for (client = TAILQ_FIRST(&clients->up); client; client = next) {
		next = TAILQ_NEXT(client, list);
		if (!client->lent)
			continue;
		TAILQ_REMOVE(&clients->up, client, list);
		client_free(client, false);
	}
	keeper_drop(clients->daemon->keeper, KEEP_LISTENER);
	door_keep(clients->door);
}

void clients_drop_untaken(struct clients *clients)
{
	struct keeper *keeper = clients->daemon->keeper;
	int fds[LINK_PUT_FDS];

	for (uint32_t key = 0; key < KEEP_KEYS; key++) {
		if (key == KEEP_MEMORY || key == KEEP_PIPE || key == KEEP_DOMAINS ||
		    !keeper_take(keeper, key, fds))
			continue;
		keeper_drop(keeper, key);
		for (int i = 0; i < LINK_PUT_FDS; i++)
			if (fds[i] >= 0)
				close(fds[i]);
	}
	/* Last, for it says that the others are to go. */
	keeper_drop(keeper, KEEP_DOMAINS);
}

/* --- given */

void clients_ebb(struct clients *clients, bool (*busy)(const struct session *s))
{
	struct client *client;

	TAILQ_FOREACH(client, &clients->up, list) {
		enum sock_halt halt = busy(client->session) ? SOCK_MOVES : SOCK_UNREAD;
		struct sock *sock = &client->socks[SLOT_CLIENT];

		if (sock->halt != halt)
			sock_halt(sock, halt);
	}
}

void clients_halt(struct clients *clients, enum sock_halt halt)
{
	struct client *client;

	TAILQ_FOREACH(client, &clients->up, list)
		sock_halt(&client->socks[SLOT_CLIENT], halt);
	door_rest(clients->door, halt == SOCK_HALTED);
}

int clients_each_socket(const struct clients *clients,
			int (*fn)(int fd, const struct session *s, void *arg), void *arg)
{
	const struct client *client;
	int r = 0;

	TAILQ_FOREACH(client, &clients->up, list)
		if (!r)
			r = fn(client->socks[SLOT_CLIENT].fd, client->session, arg);
	TAILQ_FOREACH(client, &clients->waiting, list)
		if (!r && !client->left)
			r = fn(client->fds[SLOT_CLIENT], NULL, arg);
	return r;
}

int clients_door(const struct clients *clients)
{
	return door_fd(clients->door);
}
