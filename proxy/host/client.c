// SPDX-License-Identifier: MIT
#include "proxy/host/client.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "link/link.h"
#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/host/public.h"
#include "proxy/host/sock.h"
#include "proxy/host/upstream.h"
#include "proxy/local.h"
#include "proxy/loop.h"
#include "proxy/session/hooks.h"
#include "proxy/session/pending.h"
#include "proxy/session/session.h"

/* Clients are many and short-lived; xenstored accepts them one by one, with a backlog of 1. */
#define CONNECT_RETRY_MS  5
#define ACCEPT_BACKOFF_MS 100

/* Pages for what is no watch: replies that wait, transactions, a long request. */
#define OTHER_PAGES (FIFO_RUNNING / POOL_PAGE + LEDGER_TX_PAGES + 8)

struct client {
	TAILQ_ENTRY(client) list;
	struct clients *clients;
	int fd;		      /* until upstream is connected; then -1, for front has it */
	struct event *hangup; /* as long as it waits for upstream */
	uint64_t since;	      /* seconds of CLOCK_MONOTONIC */
	struct who who;
	struct sock front, back;
	struct ledger *ledger;
	struct pool *pool;
	struct session *session; /* NULL while upstream is not connected */
	struct deferred end;
	bool ending;
};

TAILQ_HEAD(client_list, client);

struct clients {
	struct daemon *daemon;
	int fd;
	bool inherited; /* from systemd, which keeps the path */
	bool stuck;	/* nobody can be accepted, and this has been said */
	bool draining;
	struct log_source refused; /* those whom [socket] users does not list */
	struct event *accept_event, *backoff, *retry;
	struct client_list waiting; /* for upstream */
	struct client_list up;
};

static void client_free(struct client *client)
{
	struct clients *clients = client->clients;

	/* Before its descriptor is closed. */
	if (client->hangup)
		event_free(client->hangup);
	if (client->session) {
		session_free(client->session, true);
		TAILQ_REMOVE(&clients->up, client, list);
	} else {
		TAILQ_REMOVE(&clients->waiting, client, list);
	}
	sock_close(&client->front);
	sock_close(&client->back);
	if (client->fd >= 0)
		close(client->fd);
	pool_free(client->pool);
	free(client->ledger);
	free(client);
}

static void client_end(void *arg)
{
	client_free(arg);
}

/* After this turn, when nobody holds a pointer any more. */
static void end_later(struct client *client)
{
	if (client->ending)
		return;
	loop_defer(client->clients->daemon->loop, &client->end, client_end, client);
	client->ending = true;
	client->session->dead = true;
}

static bool delivered(const struct client *client)
{
	return sock_flushed(&client->front) && !fifo_used(&client->session->fifo);
}

/* A client that has gone waits only for upstream; one that we part from also for our answers. */
static bool owed_nothing(const struct client *client)
{
	const struct ledger *ledger = client->session->ledger;

	return client->clients->draining ? !word_get(&ledger->pending_mask)
					 : !pending_upstream(ledger);
}

/*
 * The client has gone when all that it sent has been forwarded and answered; the other way round,
 * what upstream said before it ended is passed on first.
 */
static void on_turn(struct session *s)
{
	struct client *client = s->owner;

	if (s->task.queued || client->ending)
		return;
	if (session_state(s) == LEDGER_ENDED ||
	    (client->back.eof && (client->front.eof || delivered(client)))) {
		end_later(client);
		return;
	}
	if (client->front.eof && owed_nothing(client) && !word_get(&s->ledger->up_sent) &&
	    !s->settle && sock_flushed(&client->back) &&
	    (client->front.broken || delivered(client)))
		end_later(client);
}

static void on_moved(void *owner)
{
	struct client *client = owner;

	/* A client that has gone waits for nothing (docs/protocol.md, "QUIESCE"). */
	if (client->front.eof && !client->clients->draining && !client->session->drain.closing) {
		client->session->drain.closing = true;
		client->session->hooks->asker_gone(client->session);
	}
	session_ready(client->session);
}

/* --- the upstream side */

static int connect_upstream(const struct clients *clients)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, n;

	n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", clients->daemon->config.run_dir,
		     LINK_UPSTREAM);
	if (n >= (int)sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (local_is_reserve(fd)) {
		close(fd);
		return -EMFILE;
	}
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		n = -errno;
		close(fd);
		return n;
	}
	return fd;
}

/* Takes over @upstream_fd, whatever it returns. */
static int client_start(struct client *client, int upstream_fd)
{
	struct daemon *daemon = client->clients->daemon;
	struct session_params params = {
		.daemon = daemon,
		.hooks = daemon->hooks,
		.socket = true,
		.front = sock_endpoint(&client->front),
		.back = sock_endpoint(&client->back),
		.on_turn = on_turn,
		.owner = client,
	};
	int err;

	err = sock_open(&client->back, daemon->base, upstream_fd, on_moved, client);
	if (err) {
		close(upstream_fd);
		return err;
	}
	err = sock_open(&client->front, daemon->base, client->fd, on_moved, client);
	if (err)
		return err;
	client->fd = -1;
	client->ledger = calloc(1, sizeof(*client->ledger));
	if (!client->ledger)
		return -ENOMEM;
	ledger_format(client->ledger, NULL, 1);
	err = pool_new_private(&client->pool,
			       daemon->config.client_memory * POOL_MIB + OTHER_PAGES);
	if (err)
		return err;
	params.place.ledger = client->ledger;
	params.pool = client->pool;
	err = session_new(&client->session, &params, false);
	if (!err)
		client->session->who = client->who;
	return err;
}

#define NO_MEMORY     "no memory for a toolstack client; it is turned away"
#define NO_DESCRIPTOR "too many toolstack clients, one is turned away; raise LimitNOFILE"

static void turn_away(struct client *client, const char *why)
{
	log_line(LOG_ERR, "%s", why);
	client_free(client);
}

/* What it has sent is still read, then comes the end. */
static void part(const struct client *client)
{
	shutdown(client->front.fd, SHUT_RD);
}

/* Return: false when there is no point in trying the next one now. */
static bool client_connect(struct client *client)
{
	struct clients *clients = client->clients;
	int fd = connect_upstream(clients);

	if (fd == -EMFILE || fd == -ENFILE) {
		/* Or all would wait, each for what the others hold. */
		turn_away(TAILQ_LAST(&clients->waiting, client_list), NO_DESCRIPTOR);
		return true;
	}
	if (fd < 0)
		return false;
	if (client_start(client, fd)) {
		turn_away(client, NO_MEMORY);
		return true;
	}
	event_free(client->hangup);
	client->hangup = NULL;
	TAILQ_REMOVE(&clients->waiting, client, list);
	TAILQ_INSERT_TAIL(&clients->up, client, list);
	if (clients->draining)
		part(client);
	return true;
}

static void connect_waiting(struct clients *clients)
{
	struct client *client;

	/*
	 * xenstored's socket is there before its bridge is. An INTRODUCE that came through earlier
	 * than our attachment would be granted without a look at the domain.
	 */
	if (!upstream_memory(clients->daemon->upstream))
		return;
	while ((client = TAILQ_FIRST(&clients->waiting)))
		if (!client_connect(client))
			break;
	/* A full backlog gives no event when it empties. */
	if (client)
		loop_timer(clients->retry, CONNECT_RETRY_MS);
}

static void retry_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	connect_waiting(arg);
}

void clients_upstream_up(struct clients *clients)
{
	connect_waiting(clients);
}

static uint32_t count(const struct client_list *list)
{
	const struct client *client;
	uint32_t n = 0;

	TAILQ_FOREACH(client, list, list)
		n++;
	return n;
}

uint32_t clients_count(const struct clients *clients)
{
	return count(&clients->waiting) + count(&clients->up);
}

uint32_t clients_waiting(const struct clients *clients)
{
	return count(&clients->waiting);
}

uint64_t clients_waited(const struct clients *clients)
{
	const struct client *first = TAILQ_FIRST(&clients->waiting);

	return first ? clock_seconds() - first->since : 0;
}

/* --- the public side */

/*
 * It gave up while there was no xenstored; nothing else would tell, and descriptors are few. With
 * xenstored there it waits for a moment only, and what it asked for is carried out.
 */
static void hangup_cb(evutil_socket_t fd, short what, void *arg)
{
	struct client *client = arg;

	(void)fd;
	(void)what;
	if (!upstream_memory(client->clients->daemon->upstream))
		client_free(client);
}

static void accept_one(struct clients *clients, int fd)
{
	struct client *client;
	struct who who;

	if (!public_admits(&clients->daemon->config, &clients->refused, fd, &who)) {
		close(fd);
		return;
	}
	if (local_is_reserve(fd)) {
		log_line(LOG_ERR, NO_DESCRIPTOR);
		close(fd);
		return;
	}
	client = calloc(1, sizeof(*client));
	if (!client) {
		log_line(LOG_ERR, NO_MEMORY);
		close(fd);
		return;
	}
	client->clients = clients;
	client->fd = fd;
	client->since = clock_seconds();
	client->who = who;
	client->front.fd = client->back.fd = -1;
	TAILQ_INSERT_TAIL(&clients->waiting, client, list);
	client->hangup = event_new(clients->daemon->base, fd, EV_CLOSED, hangup_cb, client);
	if (!client->hangup || event_add(client->hangup, NULL)) {
		turn_away(client, NO_MEMORY);
		return;
	}
	connect_waiting(clients);
}

/* Return: whether there was one. */
static bool accept_next(struct clients *clients)
{
	int fd = accept4(clients->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		clients->stuck = false;
		accept_one(clients, fd);
	}
	return fd >= 0;
}

static void accept_cb(evutil_socket_t fd, short what, void *arg)
{
	struct clients *clients = arg;

	(void)fd;
	(void)what;
	if (accept_next(clients))
		return;
	if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
		return;
	log_line(clients->stuck ? LOG_DEBUG : LOG_ERR,
		 "cannot accept toolstack clients: %s; raise LimitNOFILE", strerror(errno));
	clients->stuck = true;
	event_del(clients->accept_event);
	loop_timer(clients->backoff, ACCEPT_BACKOFF_MS);
}

static void backoff_cb(evutil_socket_t fd, short what, void *arg)
{
	struct clients *clients = arg;

	(void)fd;
	(void)what;
	if (event_add(clients->accept_event, NULL))
		loop_timer(clients->backoff, ACCEPT_BACKOFF_MS);
}

void clients_drain(struct clients *clients)
{
	const struct client *client;

	clients->draining = true;
	/* Who has connected to systemd's socket waits there for the next xsproxyd; ours goes. */
	if (!clients->inherited) {
		unlink(clients->daemon->config.socket);
		while (accept_next(clients))
			;
	}
	event_del(clients->accept_event);
	event_del(clients->backoff);
	TAILQ_FOREACH(client, &clients->up, list)
		part(client);
}

uint32_t clients_open(const struct clients *clients)
{
	/* Without a xenstored nobody would ever answer. */
	return upstream_memory(clients->daemon->upstream) ? clients_count(clients) : 0;
}

int clients_new(struct clients **out, struct daemon *daemon)
{
	struct clients *clients = calloc(1, sizeof(*clients));
	int err;

	if (!clients)
		return -ENOMEM;
	clients->daemon = daemon;
	clients->refused.nobody = true;
	TAILQ_INIT(&clients->waiting);
	TAILQ_INIT(&clients->up);
	clients->fd = public_listen(daemon, &clients->inherited);
	if (clients->fd < 0) {
		err = clients->fd;
		free(clients);
		return err;
	}
	clients->accept_event =
		event_new(daemon->base, clients->fd, EV_READ | EV_PERSIST, accept_cb, clients);
	clients->backoff = evtimer_new(daemon->base, backoff_cb, clients);
	clients->retry = evtimer_new(daemon->base, retry_cb, clients);
	if (!clients->accept_event || !clients->backoff || !clients->retry ||
	    event_add(clients->accept_event, NULL)) {
		clients_free(clients);
		return -ENOMEM;
	}
	*out = clients;
	return 0;
}

struct clients *clients_free(struct clients *clients)
{
	struct client *client;

	if (!clients)
		return NULL;
	while ((client = TAILQ_FIRST(&clients->waiting)))
		client_free(client);
	while ((client = TAILQ_FIRST(&clients->up)))
		client_free(client);
	if (clients->accept_event)
		event_free(clients->accept_event);
	if (clients->backoff)
		event_free(clients->backoff);
	if (clients->retry)
		event_free(clients->retry);
	if (!clients->inherited)
		unlink(clients->daemon->config.socket);
	close(clients->fd);
	free(clients);
	return NULL;
}
