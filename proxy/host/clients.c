// SPDX-License-Identifier: MIT
#include "proxy/host/clients.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/link.h"
#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/host/client.h"
#include "proxy/host/clients_parts.h"
#include "proxy/host/door.h"
#include "proxy/host/keeper.h"
#include "proxy/host/public.h"
#include "proxy/host/upstream.h"
#include "proxy/local.h"
#include "proxy/loop.h"
#include "proxy/session/blame.h"

/* Clients are many and short-lived; xenstored accepts them one by one, with a backlog of 1. */
#define CONNECT_RETRY_MS 5
/* Who was left is taken up within this, if xenstored is there. */
#define LEFT_MS 100

/* @leave: for the next xsproxyd */
static void remove_client(struct client *client, bool leave)
{
	struct clients *clients = client->daemon->clients;

	TAILQ_REMOVE(client->session ? &clients->up : &clients->waiting, client, list);
	client_free(client, leave);
}

static void client_ended(struct client *client)
{
	remove_client(client, false);
}

/* --- the upstream side */

#define NO_MEMORY     "no memory for a toolstack client; it is turned away"
#define NO_DESCRIPTOR "too many toolstack clients, one is turned away; raise LimitNOFILE"

static void turn_away(struct client *client, const char *why)
{
	log_line(LOG_ERR, "%s", why);
	remove_client(client, false);
}

void clients_is_up(struct clients *clients, struct client *client)
{
	event_free(client->hangup);
	client->hangup = NULL;
	TAILQ_INSERT_TAIL(&clients->up, client, list);
	client_keep(client, clients->daemon->keeper);
	if (clients->draining)
		client_part(client);
}

/* Return: false when there is no point in trying the next one now. */
static bool client_connect(struct clients *clients, struct client *client)
{
	int fd = client_dial(clients->daemon);

	if (fd == -EMFILE || fd == -ENFILE) {
		/* Or all would wait, each for what the others hold. */
		turn_away(TAILQ_LAST(&clients->waiting, client_list), NO_DESCRIPTOR);
		return true;
	}
	if (fd < 0)
		return false;
	TAILQ_REMOVE(&clients->waiting, client, list);
	if (client_start(client, fd)) {
		log_line(LOG_ERR, NO_MEMORY);
		client_free(client, false);
	} else {
		clients_is_up(clients, client);
	}
	return true;
}

#define NOT_LISTED "[socket] users does not list its user any more"

static void log_closed(const struct who *who, const char *why)
{
	char text[WHO_TEXT_MAX];

	log_line(LOG_WARNING, "closed the connection of %s to the Xenstore socket: %s",
		 who_text(who, text), why);
}

/* Go on with what an xsproxyd before us left. Return: 0, or -ENOMEM: it is left as it was. */
static int take_up(struct clients *clients, struct client *client)
{
	const char *why = NULL;
	int err;

	if (blame_condemned() == (int)client->slot)
		why = "xsproxyd crashed twice while it served it; please report the log's lines "
		      "before this one";
	blame_socket(client->slot);
	err = why ? 0 : client_resume(client);
	blame_rest();
	if (err == -ENOMEM && !clients->starved && keeper_there(clients->daemon->keeper)) {
		if (slots_starve(clients->slots))
			return err;
		clients->starved = true;
	}
	TAILQ_REMOVE(&clients->waiting, client, list);
	if (err)
		why = strerror(-err);
	else if (!why && !public_lists(&clients->daemon->config, &client->who))
		why = NOT_LISTED;
	if (!why) {
		clients_is_up(clients, client);
		return 0;
	}
	/* Its ledger has not told. */
	if (client->fds[SLOT_CLIENT] >= 0)
		who_peer(client->fds[SLOT_CLIENT], &client->who);
	log_closed(&client->who, why);
	client_free(client, false);
	return 0;
}

/*
 * All at once. What half of one has taken when memory ends cannot be told from what others have;
 * the next xsproxyd begins with nothing taken.
 */
static void take_up_left(struct clients *clients)
{
	struct client *client;

	/* They may be another one's (exchange/leave.h). */
	if (clients->daemon->leaving)
		return;
	while ((client = TAILQ_FIRST(&clients->waiting)) && client->left) {
		if (take_up(clients, client)) {
			log_line(LOG_ERR, "no memory to take up toolstacks' connections; they "
					  "wait for the next xsproxyd, for which we end");
			loop_stop(clients->daemon->loop);
			return;
		}
	}
	slots_settle(clients->slots);
}

/* The keeper has those who wait, too. New ones are at the end. */
static void keep_waiting(struct clients *clients)
{
	struct client *client;

	TAILQ_FOREACH_REVERSE(client, &clients->waiting, client_list, list)
	{
		if (client->held || !keeper_there(clients->daemon->keeper))
			break;
		client_keep(client, clients->daemon->keeper);
	}
}

/* Those that were left, of which most are taken up before it matters. Return: whether it can. */
static bool watch_hangups(struct clients *clients)
{
	struct client *client;
	int err = 0;

	/* They come first; others have been watched since they came. */
	TAILQ_FOREACH(client, &clients->waiting, list) {
		if (!client->left)
			break;
		err |= event_add(client->hangup, NULL);
	}
	return !err;
}

static void connect_waiting(struct clients *clients)
{
	struct client *client = NULL;

	/*
	 * xenstored's socket is there before its bridge is. An INTRODUCE that came through earlier
	 * than our attachment would be granted without a look at the domain.
	 */
	if (upstream_memory(clients->daemon->upstream))
		take_up_left(clients);
	while (upstream_serves(clients->daemon->upstream) && !clients->daemon->paused &&
	       (client = TAILQ_FIRST(&clients->waiting)) && !client->left)
		if (!client_connect(clients, client))
			break;
	/* A full backlog gives no event when it empties. */
	if (client)
		loop_timer(clients->retry, CONNECT_RETRY_MS);
	keep_waiting(clients);
}

static void retry_cb(evutil_socket_t fd, short what, void *arg)
{
	struct clients *clients = arg;

	(void)fd;
	(void)what;
	connect_waiting(clients);
	if (!watch_hangups(clients))
		loop_timer(clients->retry, CONNECT_RETRY_MS);
}

void clients_upstream_up(struct clients *clients)
{
	connect_waiting(clients);
}

void clients_each(struct clients *clients, void (*fn)(struct client *client, void *arg), void *arg)
{
	struct client *client;

	TAILQ_FOREACH(client, &clients->up, list)
		fn(client, arg);
}

const struct client *clients_find(const struct clients *clients, uint32_t session)
{
	const struct client *client;

	TAILQ_FOREACH(client, &clients->up, list)
		if (client->session->id == session)
			return client;
	return NULL;
}

/* How many there are; or only those that the keeper @held. */
static uint32_t count(const struct client_list *list, bool held)
{
	const struct client *client;
	uint32_t n = 0;

	TAILQ_FOREACH(client, list, list)
		n += client->held || !held;
	return n;
}

uint32_t clients_count(const struct clients *clients)
{
	return count(&clients->waiting, false) + count(&clients->up, false);
}

uint32_t clients_kept(const struct clients *clients)
{
	return count(&clients->waiting, true) + count(&clients->up, true);
}

uint32_t clients_waiting(const struct clients *clients)
{
	return count(&clients->waiting, false);
}

uint64_t clients_waited(const struct clients *clients)
{
	const struct client *first = TAILQ_FIRST(&clients->waiting);

	return first ? clock_seconds() - first->since : 0;
}

/* --- the public side */

/*
 * It gave up while there was no xenstored; nothing else would tell, and descriptors are few. With
 * xenstored there it waits for a moment only, and what it asked for is carried out. One that was
 * left has lost its xenstored, as all have that were, and gets what that had said.
 */
static void hangup_cb(evutil_socket_t fd, short what, void *arg)
{
	struct client *client = arg;
	struct clients *clients = client->daemon->clients;

	(void)fd;
	(void)what;
	if (client->left && client->daemon->survives)
		return; /* what it says is for the mirror, too; a starter comes */
	if (client->left)
		take_up_left(clients);
	else if (!upstream_memory(client->daemon->upstream))
		remove_client(client, false);
}

struct client *clients_add(struct clients *clients, const int fds[SLOT_SIDES], uint32_t slot,
			   const struct who *who, bool held)
{
	bool left = fds[SLOT_UPSTREAM] >= 0;
	struct client *client = calloc(1, sizeof(*client));

	if (!client) {
		for (int side = 0; side < SLOT_SIDES; side++)
			if (fds[side] >= 0)
				close(fds[side]);
		slots_give(clients->slots, slot);
		return NULL;
	}
	client->daemon = clients->daemon;
	client->slots = clients->slots;
	client->slot = slot;
	client->left = left;
	client->held = held;
	client->since = clock_seconds();
	client->who = *who;
	client->ended = client_ended;
	for (int side = 0; side < SLOT_SIDES; side++) {
		client->fds[side] = fds[side];
		client->socks[side].fd = -1;
	}
	client->hangup = event_new(clients->daemon->base, fds[left ? SLOT_UPSTREAM : SLOT_CLIENT],
				   EV_CLOSED, hangup_cb, client);
	if (!client->hangup || (!left && event_add(client->hangup, NULL))) {
		client_free(client, held);
		return NULL;
	}
	/* Who was left comes first: another session could be given its pages (slots_settle()). */
	if (left)
		TAILQ_INSERT_HEAD(&clients->waiting, client, list);
	else
		TAILQ_INSERT_TAIL(&clients->waiting, client, list);
	return client;
}

static void came_cb(void *owner, int fd, const struct who *who)
{
	const int fds[SLOT_SIDES] = { fd, -1 };
	struct clients *clients = owner;
	int slot = local_is_reserve(fd) ? -EMFILE : slots_take(clients->slots);

	if (slot < 0) {
		log_line(LOG_ERR, NO_DESCRIPTOR);
		close(fd);
		return;
	}
	if (clients_add(clients, fds, (uint32_t)slot, who, false))
		connect_waiting(clients);
	else
		log_line(LOG_ERR, NO_MEMORY);
}

void clients_drain(struct clients *clients)
{
	struct client *client;

	clients->draining = true;
	door_close(clients->door);
	TAILQ_FOREACH(client, &clients->up, list)
		client_part(client);
}

uint32_t clients_open(const struct clients *clients)
{
	/* Without a xenstored nobody would ever answer. */
	return upstream_memory(clients->daemon->upstream) ? clients_count(clients) : 0;
}

void clients_unkept(struct clients *clients)
{
	struct client *client;

	/* While it is being made, or all are gone. */
	if (!clients)
		return;
	TAILQ_FOREACH(client, &clients->up, list)
		client_unkept(client);
	TAILQ_FOREACH(client, &clients->waiting, list)
		client_unkept(client);
}

void clients_keep_all(struct clients *clients)
{
	struct keeper *keeper = clients->daemon->keeper;
	struct client *client;

	if (!slots_keep(clients->slots, keeper))
		return;
	door_keep(clients->door);
	TAILQ_FOREACH(client, &clients->up, list)
		client_keep(client, keeper);
	keep_waiting(clients);
}

static void discard(struct clients *clients, uint32_t slot, const int fds[SLOT_SIDES])
{
	keeper_drop(clients->daemon->keeper, slot);
	for (int side = 0; side < SLOT_SIDES; side++) {
		if (fds[side] < 0)
			continue;
		shutdown(fds[side], SHUT_RDWR);
		close(fds[side]);
	}
	slots_give(clients->slots, slot);
}

/* Whether one that waited for xenstored may go on to; @who is filled in. */
static bool may_wait(const struct clients *clients, int fd, struct who *who)
{
	const char *why = NULL;
	bool known = who_peer(fd, who);

	/* A keeper that had been given up does not know that it has a session since. */
	if (!sock_untouched(fd))
		why = "the keeper has one half of it";
	else if (!known || !public_lists(&clients->daemon->config, who))
		why = NOT_LISTED;
	if (why)
		log_closed(who, why);
	return !why;
}

/*
 * What the keeper has of toolstack clients; they wait until xenstored's bridge is there.
 * Return: 0, or -ENOMEM: they stay with the keeper.
 */
static int fetch_kept(struct clients *clients)
{
	struct keeper *keeper = clients->daemon->keeper;
	int fds[LINK_PUT_FDS];

	for (uint32_t slot = 0; slot < KEEP_SOCKETS; slot++) {
		struct who who = { 0 };

		if (!keeper_take(keeper, slot, fds))
			continue;
		slots_claim(clients->slots, slot);
		/* One that was left says in its ledger who it is. */
		if (fds[SLOT_UPSTREAM] < 0 && !may_wait(clients, fds[SLOT_CLIENT], &who)) {
			discard(clients, slot, fds);
			continue;
		}
		if (!clients_add(clients, fds, slot, &who, keeper_there(keeper)))
			return -ENOMEM;
	}
	slots_sweep(clients->slots);
	if (TAILQ_EMPTY(&clients->waiting))
		slots_settle(clients->slots);
	else
		loop_timer(clients->retry, LEFT_MS);
	return 0;
}

int clients_new(struct clients **out, struct daemon *daemon)
{
	struct clients *clients = calloc(1, sizeof(*clients));
	int err;

	if (!clients)
		return -ENOMEM;
	clients->daemon = daemon;
	TAILQ_INIT(&clients->waiting);
	TAILQ_INIT(&clients->up);
	if (upstream_untaken(daemon->upstream))
		clients_drop_untaken(clients);
	clients->retry = evtimer_new(daemon->base, retry_cb, clients);
	err = clients->retry ? door_new(&clients->door, daemon, came_cb, clients) : -ENOMEM;
	if (!err)
		err = slots_new(&clients->slots, daemon->keeper);
	if (!err)
		err = fetch_kept(clients);
	if (err) {
		clients_free(clients);
		return err;
	}
	*out = clients;
	return 0;
}

static void free_all(struct client_list *list)
{
	struct client *client;

	while ((client = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, client, list);
		client_free(client, client->held);
	}
}

struct clients *clients_free(struct clients *clients)
{
	if (!clients)
		return NULL;
	keeper_flush(clients->daemon->keeper);
	free_all(&clients->waiting);
	free_all(&clients->up);
	if (clients->retry)
		event_free(clients->retry);
	clients->door = door_free(clients->door);
	slots_free(clients->slots);
	free(clients);
	return NULL;
}
