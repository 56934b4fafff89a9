// SPDX-License-Identifier: MIT
#include "proxy/host/client.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "link/link.h"
#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/host/keeper.h"
#include "proxy/local.h"
#include "proxy/mirror/follow.h"
#include "proxy/session/hooks.h"
#include "proxy/session/pending.h"

#define ALONE_MS 100

/* Pages for what is no watch: replies that wait, transactions, a long request. */
#define OTHER_PAGES (FIFO_RUNNING / POOL_PAGE + LEDGER_TX_PAGES + 8)

static struct sock *front(struct client *client)
{
	return &client->socks[SLOT_CLIENT];
}

static struct sock *back(struct client *client)
{
	return &client->socks[SLOT_UPSTREAM];
}

static void client_end(void *arg)
{
	struct client *client = arg;

	client->ended(client);
}

/* After this turn, when nobody holds a pointer any more. */
static void end_later(struct client *client)
{
	if (client->ending)
		return;
	loop_defer(client->daemon->loop, &client->end, client_end, client);
	client->ending = true;
	client->session->dead = true;
}

static bool delivered(struct client *client)
{
	return sock_flushed(front(client)) && !fifo_used(&client->session->fifo);
}

/* Whether its turn comes again, for what it has sent cannot be taken yet. */
static bool has_turns(const struct session *s)
{
	return s->task.queued || s->task.delayed || follow_waits(s->follower);
}

/* A client that has gone waits only for upstream; one that we part from also for our answers. */
static bool owed_nothing(const struct client *client)
{
	const struct ledger *ledger = client->session->ledger;

	return client->parting ? !word_get(&ledger->pending_mask) : !pending_upstream(ledger);
}

/*
 * When xenstored has crashed its sockets' ends may be seen before its bridge's. Return: whether
 * that may be so yet.
 */
static bool may_be_all(struct client *client)
{
	uint64_t now = clock_monotonic();

	if (!client->back_ended)
		client->back_ended = now;
	return now - client->back_ended < (uint64_t)ALONE_MS * CLOCK_NS_OF_MS;
}

/*
 * The client has gone when all that it sent has been forwarded and answered; the other way round,
 * what upstream said before it ended is passed on first.
 */
static void on_turn(struct session *s)
{
	struct client *client = s->owner;

	if (has_turns(s) || client->ending)
		return;
	/* Its end is that of the xenstored that is exchanged; and there are requests to be read. */
	if (client->daemon->paused && session_state(s) != LEDGER_ENDED)
		return;
	if (back(client)->eof && may_be_all(client)) {
		session_retry(s);
		return;
	}
	if (session_state(s) == LEDGER_ENDED ||
	    (back(client)->eof && (front(client)->eof || delivered(client)))) {
		end_later(client);
		return;
	}
	if (front(client)->eof && owed_nothing(client) && !word_get(&s->ledger->up_sent) &&
	    !s->settle && sock_flushed(back(client)) &&
	    (front(client)->broken || delivered(client)))
		end_later(client);
}

static void on_moved(void *owner)
{
	struct client *client = owner;
	struct session *s = client->session;

	/* A client that has gone waits for nothing (docs/protocol.md, "QUIESCE"). */
	if (front(client)->eof && !client->parting && !s->drain.closing) {
		s->drain.closing = true;
		s->hooks->asker_gone(s);
	}
	session_ready(s);
}

/* The sockets that slots_open() or slots_reopen() has placed, and the session between them. */
static int begin(struct client *client, bool recovered)
{
	const struct ledgers *ledgers = slots_ledgers(client->slots);
	struct daemon *daemon = client->daemon;
	struct session_params params = {
		.daemon = daemon,
		.hooks = daemon->hooks,
		.socket = true,
		.front = sock_endpoint(front(client)),
		.back = sock_endpoint(back(client)),
		.place = { .ledger = slots_ledger(client->slots, client->slot),
			   .ledgers = ledgers },
		.pool = slots_pool(client->slots),
		.pages = daemon->config.client_memory * POOL_MIB + OTHER_PAGES,
		.on_turn = on_turn,
		.owner = client,
	};
	int err = 0;

	for (int side = 0; side < SLOT_SIDES && !err; side++) {
		struct sock *sock = &client->socks[side];

		sock->moved = on_moved;
		sock->owner = client;
		sock->kept = recovered;
		err = sock_open(sock, daemon->base, client->fds[side]);
		if (!err)
			client->fds[side] = -1;
	}
	/* Where we were in what it says is not known. */
	if (!err && client->parted)
		sock_deafen(back(client));
	if (!err && client->lent)
		sock_halt(front(client), SOCK_HALTED);
	if (!err)
		err = session_new(&client->session, &params, recovered);
	if (err)
		return err;
	client->session->who = client->who;
	client->session->slot = client->slot;
	return 0;
}

/* Which socket it is, of all since the host's start. No socket lacks one, and none has 0. */
static uint64_t cookie(int fd)
{
	uint64_t value = 0;
	socklen_t len = sizeof(value);

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &value, &len);
	return value;
}

int client_connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (local_is_reserve(fd)) {
		close(fd);
		return -EMFILE;
	}
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int client_dial(const struct daemon *daemon)
{
	char path[CONFIG_PATH_MAX + sizeof(LINK_UPSTREAM) + 1];

	snprintf(path, sizeof(path), "%s/" LINK_UPSTREAM, daemon->config.run_dir);
	return client_connect_to(path);
}

int client_start(struct client *client, int upstream)
{
	int err;

	client->fds[SLOT_UPSTREAM] = upstream;
	err = slots_open(client->slots, client->slot, client->socks,
			 cookie(client->fds[SLOT_CLIENT]));
	if (err)
		return err;
	client->opened = true;
	slots_ledger(client->slots, client->slot)->more.who = client->who;
	return begin(client, false);
}

/* Whatever there was between the session and the xenstored before is void. */
static void empty_back(struct client *client)
{
	struct ledger_sock *words = back(client)->words;

	renew_forget(client->session);
	atomic_store(&words->in_cons, word_get(&words->in_prod));
	atomic_store(&words->out_cons, word_get(&words->out_prod));
}

/* One that a native daemon had may block. */
static void unblock(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

int client_resume(struct client *client)
{
	int err = slots_reopen(client->slots, client->slot, client->socks, client->fds,
			       cookie(client->fds[SLOT_CLIENT]), client->daemon->parted);

	if (err)
		return err;
	client->opened = true;
	client->parted = client->daemon->parted;
	/* An xsproxyd before us may have ended just when it was ours. */
	unblock(client->fds[SLOT_CLIENT]);
	client->who = who_kept(&slots_ledger(client->slots, client->slot)->more.who);
	err = begin(client, true);
	if (err)
		return err;
	err = client->session->hooks->recover(client->session);
	if (err)
		return err;
	/* It may be the other one's by now, which a killed xsproxyd has asked for the same. */
	if (client->parted)
		empty_back(client);
	client->left = false;
	session_ready(client->session);
	return 0;
}

/* What has not been read or written yet needs no counting. */
static void hold(struct client *client, struct keeper *keeper)
{
	client->held = keeper_put(keeper, client->slot, client->fds,
				  client->fds[SLOT_UPSTREAM] < 0 ? 1 : 2);
}

int client_again(struct client *client, struct keeper *keeper)
{
	int fd = client_dial(client->daemon), err;

	/* Nobody is served before this client is: it gives the one that it has. */
	if (fd == -EMFILE) {
		sock_close(back(client));
		fd = client_dial(client->daemon);
	}
	if (fd < 0)
		return fd;
	sock_close(back(client));
	empty_back(client);
	back(client)->eof = back(client)->broken = false;
	client->back_ended = 0;
	err = sock_open(back(client), client->daemon->base, fd);
	if (err) {
		close(fd);
		return err;
	}
	client->parted = false;
	client->held = false;
	client_keep(client, keeper);
	return 0;
}

void client_take(struct client *client)
{
	if (!client->lent)
		return;
	client->lent = false;
	unblock(front(client)->fd);
	sock_halt(front(client), SOCK_MOVES);
}

void client_keep(struct client *client, struct keeper *keeper)
{
	const int fds[] = { front(client)->fd, back(client)->fd };

	if (!client->session) {
		hold(client, keeper);
		return;
	}
	/* One that was taken up: the keeper has both, and all has been counted. */
	if (client->held && front(client)->kept)
		return;
	/* Without a keeper, too: sock_untouched() sees that a session has begun. */
	if (!sock_keep(front(client)) || !sock_keep(back(client)) || !keeper_there(keeper)) {
		client_unkept(client);
		return;
	}
	/* In this order: what the keeper has is taken up only if the ledger says so. */
	atomic_store(&client->session->ledger->more.kept, 1);
	client->held = keeper_put(keeper, client->slot, fds, SLOT_SIDES);
}

void client_unkept(struct client *client)
{
	client->held = false;
	if (!client->session)
		return;
	atomic_store(&client->session->ledger->more.kept, 0);
	front(client)->kept = back(client)->kept = false;
}

void client_part(struct client *client)
{
	client->parting = true;
	/* What it has sent is still read, then comes the end. */
	if (client->session)
		shutdown(front(client)->fd, SHUT_RD);
}

/* The keeper may have it for a moment longer, and one that was given up as long as it lives. */
static void shut_both(struct client *client)
{
	for (int side = 0; side < SLOT_SIDES; side++) {
		int fd = client->fds[side] >= 0 ? client->fds[side] : client->socks[side].fd;

		if (fd >= 0)
			shutdown(fd, SHUT_RDWR);
	}
}

void client_free(struct client *client, bool leave)
{
	/* Before its descriptor is closed. */
	if (client->hangup)
		event_free(client->hangup);
	/* From now on what lies there is not what a session can go on with. */
	if (client->session && !leave)
		atomic_store(&client->session->ledger->more.kept, 0);
	if (client->session)
		session_free(client->session, !leave);
	if (!leave) {
		if (client->held)
			keeper_drop(client->daemon->keeper, client->slot);
		if (!client->lent)
			shut_both(client);
		if (client->opened)
			slots_close(client->slots, client->slot);
		slots_give(client->slots, client->slot);
	}
	for (int side = 0; side < SLOT_SIDES; side++) {
		sock_close(&client->socks[side]);
		if (client->fds[side] >= 0)
			close(client->fds[side]);
	}
	free(client);
}
