/* SPDX-License-Identifier: MIT */
/*
 * client_world - a toolstack client, and the xenstoreds that its session comes from and goes to, as
 * sockets whose far ends are ours. proxy/host/client.c is compiled in: its connections to xenstored
 * are those that the test has made.
 *
 * For one program, test_client_again.c. Whatever fails ends the process, for it may be a child.
 */
#ifndef XSPROXY_TESTS_UNIT_CLIENT_WORLD_H
#define XSPROXY_TESTS_UNIT_CLIENT_WORLD_H

#include <stdio.h>
#include <sys/mman.h>

#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/host/upstream.h"
#include "proxy/local.h"
#include "proxy/toolstack/toolstack.h"
#include "tests/unit/kept_bed.h"

/* --- proxy/host/client.c with connections that are there already */

static int next_connection, connect_error, reserves;

static int fake_socket(int domain, int type, int protocol)
{
	(void)domain;
	(void)type;
	(void)protocol;
	/* What is refused is closed. */
	return connect_error || reserves ? dup(next_connection) : next_connection;
}

static int fake_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	(void)fd;
	(void)addr;
	(void)len;
	errno = connect_error;
	return connect_error ? -1 : 0;
}

static bool fake_is_reserve(int fd)
{
	(void)fd;
	return reserves && reserves--;
}

#define socket		 fake_socket
#define connect		 fake_connect
#define local_is_reserve fake_is_reserve
#include "proxy/host/client.c"
#undef socket
#undef connect
#undef local_is_reserve

#define SLOT 3

/* The daemon before, the other one, and that one with the next process's connection */
enum { BEFORE, AFTER, LATER, DAEMONS };

/* A daemon, or the client: what it has read of its end. */
struct peer {
	int fd;
	uint8_t in[8192];
	uint32_t len;
	uint32_t types[32]; /* of the requests that came, */
	uint32_t count;
};

struct world {
	struct keeper keeper;
	struct daemon daemon;
	struct client client;
	struct peer app, daemons[DAEMONS]; /* the far ends */
	int near[DAEMONS], client_near;
	int *kept; /* by the keeper; shared by all processes */
};

struct scene {
	const char *name;
	uint32_t half; /* octets of a request that the client has sent */
	uint32_t late; /* that the daemon before has said, of events that nobody has read */
	bool answers;  /* the other one has been asked, and has answered, when death comes */
};

/* Whatever fails in a child is its status. */
#define CHECK(is)                                  \
	do {                                       \
		if (!(is))                         \
			_exit(__LINE__ % 250 + 1); \
	} while (0)

/* --- messages at the far ends */

static void peer_says(struct peer *peer, uint32_t type, uint32_t req_id, uint32_t tx_id,
		      const char *payload, uint32_t len, uint32_t most)
{
	struct message msg = { .hdr = { .type = type, .req_id = req_id, .tx_id = tx_id } };
	uint32_t size;

	message_set_text(&msg, payload, len);
	size = message_size(&msg.hdr) < most ? message_size(&msg.hdr) : most;
	CHECK(send(peer->fd, &msg, size, MSG_NOSIGNAL) == (ssize_t)size);
}

/* Return: whether a whole one is there, which no other than a whole one may precede. */
static bool peer_hears(struct peer *peer, struct message *msg)
{
	ssize_t n =
		recv(peer->fd, peer->in + peer->len, sizeof(peer->in) - peer->len, MSG_DONTWAIT);
	uint32_t size;

	peer->len += n > 0 ? (uint32_t)n : 0;
	if (peer->len < MESSAGE_HEADER)
		return false;
	memcpy(&msg->hdr, peer->in, MESSAGE_HEADER);
	CHECK(msg->hdr.len <= XENSTORE_PAYLOAD_MAX && message_name(msg->hdr.type)[0] != 'U');
	size = message_size(&msg->hdr);
	if (peer->len < size)
		return false;
	memcpy(msg->payload, peer->in + MESSAGE_HEADER, msg->hdr.len);
	peer->len -= size;
	memmove(peer->in, peer->in + size, peer->len);
	CHECK(peer->count < 32);
	peer->types[peer->count++] = msg->hdr.type;
	return true;
}

static void daemon_answers(struct peer *peer, const struct message *msg)
{
	static const char ok[] = "OK", id[] = "9", value[] = "value";
	uint32_t type = msg->hdr.type;
	const char *text = type == XS_READ ? value : type == XS_TRANSACTION_START ? id : ok;

	peer_says(peer, type, msg->hdr.req_id, msg->hdr.tx_id, text, (uint32_t)strlen(text) + 1,
		  MESSAGE_MAX);
	if (type == XS_WATCH)
		peer_says(peer, XS_WATCH_EVENT, 0, 0, (const char *)msg->payload, msg->hdr.len,
			  MESSAGE_MAX);
}

/* Return: whether it was asked anything. */
static bool daemon_lives(struct peer *peer)
{
	struct message msg;
	bool asked = false;

	for (; peer_hears(peer, &msg); asked = true)
		daemon_answers(peer, &msg);
	return asked;
}

/* --- the one that serves them */

static void client_has_ended(struct client *client)
{
	(void)client;
	_exit(251);
}

static void daemon_open(struct daemon *daemon, struct keeper *keeper)
{
	*daemon = (struct daemon){ .hooks = &toolstack_hooks };
	TAILQ_INIT(&daemon->ops);
	config_defaults(&daemon->config);
	daemon->keeper = keeper;
	daemon->base = event_base_new();
	CHECK(!loop_new(&daemon->loop, daemon->base, &(struct loop_hooks){ 0 }));
	CHECK(!domains_new(&daemon->domains, daemon));
}

static void client_open(struct client *client, struct daemon *daemon, const int fds[SLOT_SIDES])
{
	*client = (struct client){ .daemon = daemon, .slot = SLOT, .ended = client_has_ended };
	CHECK(!slots_new(&client->slots, daemon->keeper));
	slots_claim(client->slots, SLOT);
	for (int side = 0; side < SLOT_SIDES; side++) {
		client->fds[side] = fds[side];
		client->socks[side].fd = -1;
	}
}

static void readable(struct sock *sock)
{
	if (sock->fd >= 0 && !sock->eof)
		event_get_callback(sock->read_event)(sock->fd, EV_READ, sock);
}

static void turn(struct client *client)
{
	struct session *s = client->session;

	readable(front(client));
	readable(back(client));
	loop_forget(client->daemon->loop, &s->task);
	session_run(s);
}

/* --- the world around it */

static void app_asks(struct world *w, uint32_t type, const char *payload, uint32_t len)
{
	peer_says(&w->app, type, 1, 0, payload, len, MESSAGE_MAX);
	for (int i = 0; i < 4; i++) {
		turn(&w->client);
		daemon_lives(&w->daemons[BEFORE]);
	}
}

static void open_pair(int *near, struct peer *far)
{
	int fds[2];

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
	*near = fds[0];
	far->fd = fds[1];
}

/* All rests, and the daemon before has ended. */
static void part(struct world *w)
{
	w->daemon.paused = true;
	renew_part(w->client.session);
	for (int i = 0; i < 4; i++) {
		turn(&w->client);
		daemon_lives(&w->daemons[BEFORE]);
	}
	CHECK(renew_rests(w->client.session));
	renew_forget(w->client.session);
	w->daemon.parted = w->client.parted = true;
}

#define REQUEST "/data/x"

static void app_asks_half(struct world *w, uint32_t from, uint32_t to)
{
	struct message msg = { .hdr = { .type = XS_READ, .req_id = 77 } };

	message_set_text(&msg, REQUEST, sizeof(REQUEST));
	CHECK(send(w->app.fd, (uint8_t *)&msg + from, to - from, MSG_NOSIGNAL) ==
	      (ssize_t)(to - from));
}

static void say_late(struct peer *peer, uint32_t octets)
{
	static const char late[] = "/late\0t";
	uint32_t size = MESSAGE_HEADER + sizeof(late);

	for (; octets; octets -= octets < size ? octets : size)
		peer_says(peer, XS_WATCH_EVENT, 0, 0, late, sizeof(late), octets);
}

static void world_open(struct world *w, const struct scene *scene)
{
	struct message msg;

	memset(w, 0, sizeof(*w));
	w->keeper = (struct keeper)KEEPER_NULL;
	w->kept = mmap(NULL, ARENA_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(w->kept != MAP_FAILED);
	w->keeper.sockets = w->kept;
	open_pair(&w->client_near, &w->app);
	for (int i = 0; i < DAEMONS; i++)
		open_pair(&w->near[i], &w->daemons[i]);
	daemon_open(&w->daemon, &w->keeper);
	client_open(&w->client, &w->daemon, (int[]){ w->client_near, -1 });
	CHECK(!client_start(&w->client, w->near[BEFORE]));
	client_keep(&w->client, &w->keeper);
	app_asks(w, XS_WATCH, "/a\0t", 5);
	app_asks(w, XS_WATCH, "/b\0t", 5);
	app_asks(w, XS_TRANSACTION_START, "", 1);
	while (peer_hears(&w->app, &msg))
		;
	CHECK(w->app.count == 5);
	part(w);
	w->app.count = w->daemons[BEFORE].count = 0;
	app_asks_half(w, 0, scene->half);
	say_late(&w->daemons[BEFORE], scene->late);
}

static void world_close(struct world *w)
{
	session_free(w->client.session, false);
	for (int side = 0; side < SLOT_SIDES; side++) {
		/* Its descriptor is one of ours. */
		w->client.socks[side].fd = -1;
		sock_close(&w->client.socks[side]);
	}
	slots_free(w->client.slots);
	domains_free(w->daemon.domains);
	loop_free(w->daemon.loop);
	event_base_free(w->daemon.base);
	fake_keeper_end(&w->keeper);
	munmap(w->kept, ARENA_PAGE);
	close(w->client_near);
	close(w->app.fd);
	for (int i = 0; i < DAEMONS; i++) {
		close(w->near[i]);
		close(w->daemons[i].fd);
	}
}

static void again(struct world *w, struct client *client, int connection)
{
	next_connection = w->near[connection];
	CHECK(!client_again(client, &w->keeper));
	CHECK(!client->parted && client->held && w->kept[1] == next_connection);
	renew_begin(client->session, true);
}

#endif
