// SPDX-License-Identifier: MIT
#include "proxy/host/keeper.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/host/clients.h"
#include "proxy/host/upstream.h"
#include "proxy/local.h"
#include "proxy/log.h"
#include "proxy/loop.h"

#define RETRY_MS 500
/* It takes and answers at once; this is for one that stands still. */
#define GIVE_MS	 2000
#define AGAIN_MS 10

/* What it is to be told about a key, in place of what it was told before. */
struct wish {
	TAILQ_ENTRY(wish) list;
	enum link_type type; /* 0: nothing, and it is in no list */
	int count;
	int fds[LINK_PUT_FDS];
};

TAILQ_HEAD(wish_list, wish);

/* What the xsproxyd before us had under a key; ours until keeper_take(). */
struct found {
	int count;
	int fds[LINK_PUT_FDS];
};

struct keeper {
	struct daemon *daemon;
	int sock;	     /* -1: none */
	bool told;	     /* the log has it that there is none */
	bool foreign;	     /* what it has is another version's */
	struct found *found; /* KEEP_KEYS of them; NULL: nothing */
	/* What its socket does not take at once: it takes a few hundred packets. */
	struct wish *wishes; /* KEEP_KEYS of them */
	struct wish_list waiting;
	uint64_t took; /* ns of CLOCK_MONOTONIC: the last of them, or when they began to wait */
	struct event *event, *writable, *timer;
};

bool keeper_there(const struct keeper *keeper)
{
	return keeper->sock >= 0 && !keeper->foreign;
}

bool keeper_foreign(const struct keeper *keeper)
{
	return keeper->foreign;
}

static void grant(struct keeper *keeper, struct wish *wish)
{
	TAILQ_REMOVE(&keeper->waiting, wish, list);
	wish->type = 0;
}

static void disconnect(struct keeper *keeper)
{
	if (keeper->event)
		event_free(keeper->event);
	if (keeper->writable)
		event_free(keeper->writable);
	keeper->event = keeper->writable = NULL;
	while (!TAILQ_EMPTY(&keeper->waiting))
		grant(keeper, TAILQ_FIRST(&keeper->waiting));
	if (keeper->sock >= 0)
		close(keeper->sock);
	keeper->sock = -1;
	keeper->foreign = false;
}

/* It has ended, or does not take what it is sent: what it holds is of no use any more. */
static void give_up(struct keeper *keeper, const char *why)
{
	log_line(LOG_WARNING,
		 "the keeper is gone (%s); until it is back a restart of xsproxyd closes "
		 "toolstacks' connections",
		 why);
	keeper->told = true;
	disconnect(keeper);
	clients_unkept(keeper->daemon->clients);
	loop_timer(keeper->timer, RETRY_MS);
}

static bool is_busy(int err)
{
	return err == -EAGAIN || err == -ENOBUFS || err == -ENOMEM || err == -ETOOMANYREFS;
}

/* It has not taken anything for as long as one may stand still. */
static bool stands_still(const struct keeper *keeper)
{
	return clock_monotonic() - keeper->took >= (uint64_t)GIVE_MS * CLOCK_NS_OF_MS;
}

/* @err: why it is not told now. Nobody says when there is memory again, or fewer are under way. */
static void try_later(struct keeper *keeper, int err)
{
	if (err == -EAGAIN)
		event_add(keeper->writable, NULL);
	loop_timer(keeper->timer, err == -EAGAIN ? GIVE_MS : AGAIN_MS);
}

/* The descriptors stay open until it has been told, or until it is to drop them. */
static void wait_for_room(struct keeper *keeper, int err, enum link_type type, uint32_t key,
			  const int *fds, int count)
{
	struct wish *wish = &keeper->wishes[key];

	if (TAILQ_EMPTY(&keeper->waiting)) {
		keeper->took = clock_monotonic();
		try_later(keeper, err);
	}
	if (!wish->type)
		TAILQ_INSERT_TAIL(&keeper->waiting, wish, list);
	wish->type = type;
	wish->count = count;
	for (int i = 0; i < count; i++)
		wish->fds[i] = fds[i];
}

static bool say(struct keeper *keeper, enum link_type type, uint32_t key, const int *fds, int count)
{
	const struct link_msg msg = { .type = type, .domid = key };
	int err = -EAGAIN;

	if (!keeper_there(keeper))
		return false;
	if (TAILQ_EMPTY(&keeper->waiting))
		err = link_send(keeper->sock, &msg, fds, count);
	if (is_busy(err))
		wait_for_room(keeper, err, type, key, fds, count);
	else if (err)
		give_up(keeper, strerror(-err));
	return !err || is_busy(err);
}

/* Return: 0 when nothing waits any more, or a negative errno. */
static int say_waiting(struct keeper *keeper)
{
	struct wish *wish;

	while ((wish = TAILQ_FIRST(&keeper->waiting))) {
		const struct link_msg msg = { .type = wish->type,
					      .domid = (uint32_t)(wish - keeper->wishes) };
		int err = link_send(keeper->sock, &msg, wish->fds, wish->count);

		if (err)
			return err;
		grant(keeper, wish);
		keeper->took = clock_monotonic();
	}
	return 0;
}

static void say_more(struct keeper *keeper)
{
	int err = say_waiting(keeper);

	if (!err)
		event_del(keeper->timer);
	else if (!is_busy(err))
		give_up(keeper, strerror(-err));
	else if (stands_still(keeper))
		give_up(keeper, err == -EAGAIN ? "it stands still" : strerror(-err));
	else
		try_later(keeper, err);
}

static void writable_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	say_more(arg);
}

void keeper_drop_all(struct keeper *keeper)
{
	const struct link_msg clear = { .type = LINK_CLEAR };
	int err;

	while (!TAILQ_EMPTY(&keeper->waiting))
		grant(keeper, TAILQ_FIRST(&keeper->waiting));
	if (!keeper_there(keeper))
		return;
	err = link_send(keeper->sock, &clear, NULL, 0);
	/* One that is given up ends with what it has when it is stopped. */
	if (err)
		give_up(keeper, strerror(-err));
}

bool keeper_told(const struct keeper *keeper)
{
	return TAILQ_EMPTY(&keeper->waiting);
}

void keeper_flush(struct keeper *keeper)
{
	struct pollfd look = { .fd = keeper->sock, .events = POLLOUT };
	int err = 0;

	keeper->took = clock_monotonic();
	while (keeper->sock >= 0 && is_busy(err = say_waiting(keeper)) && !stands_still(keeper))
		poll(&look, err == -EAGAIN, err == -EAGAIN ? GIVE_MS : AGAIN_MS);
}

bool keeper_put(struct keeper *keeper, uint32_t key, const int *fds, int count)
{
	return say(keeper, LINK_PUT, key, fds, count);
}

void keeper_drop(struct keeper *keeper, uint32_t key)
{
	say(keeper, LINK_DROP, key, NULL, 0);
}

bool keeper_has(const struct keeper *keeper, uint32_t key)
{
	return keeper->found && keeper->found[key].count;
}

int keeper_take(struct keeper *keeper, uint32_t key, int fds[LINK_PUT_FDS])
{
	struct found none = { 0 }, *found = keeper->found ? &keeper->found[key] : &none;
	int count = found->count;

	for (int i = 0; i < LINK_PUT_FDS; i++)
		fds[i] = i < count ? found->fds[i] : -1;
	found->count = 0;
	return count;
}

static void close_found(struct keeper *keeper)
{
	int fds[LINK_PUT_FDS];

	for (uint32_t key = 0; key < KEEP_KEYS; key++) {
		keeper_take(keeper, key, fds);
		for (int i = 0; i < LINK_PUT_FDS; i++)
			if (fds[i] >= 0)
				close(fds[i]);
	}
}

void keeper_leave(struct keeper *keeper)
{
	close_found(keeper);
	/* Its end is waited for. */
	keeper->foreign = keeper->sock >= 0;
}

/* It says nothing unasked, so this is its end. */
static void event_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	give_up(arg, "it ended");
}

static int connect_now(struct keeper *keeper)
{
	struct event_base *base = keeper->daemon->base;

	keeper->sock = link_connect(keeper->daemon->config.run_dir, LINK_KEEPER);
	if (keeper->sock < 0) {
		int err = keeper->sock;

		keeper->sock = -1;
		return err == -EAGAIN ? err : -ENOENT;
	}
	keeper->event = event_new(base, keeper->sock, EV_READ | EV_PERSIST, event_cb, keeper);
	keeper->writable = event_new(base, keeper->sock, EV_WRITE, writable_cb, keeper);
	if (keeper->event && keeper->writable && !event_add(keeper->event, NULL))
		return 0;
	disconnect(keeper);
	return -ENOMEM;
}

/* At the start it holds what would be lost otherwise, so wait if it has not come to us yet. */
static int connect_first(struct keeper *keeper)
{
	int err = connect_now(keeper);

	for (int i = 0; err == -EAGAIN && i < GIVE_MS / AGAIN_MS; i++) {
		poll(NULL, 0, AGAIN_MS);
		err = connect_now(keeper);
	}
	return err;
}

/* One client less; the keeper must not keep it open. */
static int turn_away(struct keeper *keeper, uint32_t key)
{
	log_line(LOG_ERR, "too many toolstack clients, one is closed; raise LimitNOFILE");
	keeper_drop(keeper, key);
	return 1;
}

/* Whether guests could not be served if we took them. */
static bool are_reserve(const int fds[LINK_FDS_MAX])
{
	for (int i = 0; i < LINK_PUT_FDS; i++)
		if (fds[i] >= 0 && local_is_reserve(fds[i]))
			return true;
	return false;
}

/* Return: 0 at the end of what it has; 1: there is more; or a negative errno. */
static int receive(struct keeper *keeper)
{
	struct pollfd look = { .fd = keeper->sock, .events = POLLIN };
	int fds[LINK_FDS_MAX], err;
	struct link_msg msg;

	err = link_recv(keeper->sock, &msg, fds);
	if (err == -EAGAIN)
		return poll(&look, 1, GIVE_MS) > 0 ? 1 : -ETIMEDOUT;
	if (err == -EMFILE && msg.domid < KEEP_KEYS)
		return turn_away(keeper, msg.domid);
	if (err)
		return err;
	if (msg.type == LINK_HAS && msg.domid < KEEP_SOCKETS && are_reserve(fds)) {
		link_close_fds(fds);
		return turn_away(keeper, msg.domid);
	}
	if (msg.type == LINK_HAS && msg.domid < KEEP_KEYS && !keeper->found[msg.domid].count) {
		struct found *found = &keeper->found[msg.domid];

		found->count = link_move_fds(fds, found->fds);
	}
	link_close_fds(fds);
	if (msg.type == LINK_END)
		return 0;
	return msg.type == LINK_HAS ? 1 : -EPROTO;
}

/* Return: 0, -ENOMEM, or what else keeps it from answering. */
static int fetch(struct keeper *keeper)
{
	const struct link_msg msg = { .type = LINK_GIVE };
	int err = link_send(keeper->sock, &msg, NULL, 0);

	keeper->found = calloc(KEEP_KEYS, sizeof(*keeper->found));
	if (!keeper->found)
		return -ENOMEM;
	if (!err)
		do {
			err = receive(keeper);
		} while (err > 0);
	return err;
}

static void tell(struct keeper *keeper)
{
	if (!keeper->told)
		log_line(LOG_NOTICE,
			 "there is no keeper at %s/%s; a restart of xsproxyd closes toolstacks' "
			 "connections; start xsproxy-keeper",
			 keeper->daemon->config.run_dir, LINK_KEEPER);
	keeper->told = true;
}

/*
 * One that has come later has nothing; or it had been given up, and what it has is old.
 * Return: whether it has all from now on.
 */
static bool fill(struct keeper *keeper)
{
	const struct link_msg clear = { .type = LINK_CLEAR };

	if (connect_now(keeper)) {
		tell(keeper);
		return false;
	}
	/* Not one of those that may wait: it is about all keys. */
	if (link_send(keeper->sock, &clear, NULL, 0)) {
		disconnect(keeper);
		return false;
	}
	clients_keep_all(keeper->daemon->clients);
	upstream_keep(keeper->daemon->upstream);
	if (keeper->sock < 0)
		return false;
	log_line(LOG_NOTICE, "connected to the keeper");
	return true;
}

/* It has not taken anything for long, or it is time to look for one again. */
static void timer_cb(evutil_socket_t fd, short what, void *arg)
{
	struct keeper *keeper = arg;

	(void)fd;
	(void)what;
	if (keeper->sock >= 0)
		say_more(keeper);
	else if (!fill(keeper))
		loop_timer(keeper->timer, RETRY_MS);
}

bool keeper_look(struct keeper *keeper)
{
	return keeper->sock < 0 ? fill(keeper) : keeper_there(keeper);
}

int keeper_new(struct keeper **out, struct daemon *daemon)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	int err;

	if (!keeper)
		return -ENOMEM;
	keeper->daemon = daemon;
	keeper->sock = -1;
	TAILQ_INIT(&keeper->waiting);
	keeper->wishes = calloc(KEEP_KEYS, sizeof(*keeper->wishes));
	keeper->timer = evtimer_new(daemon->base, timer_cb, keeper);
	err = keeper->timer && keeper->wishes ? connect_first(keeper) : -ENOMEM;
	if (!err) {
		err = fetch(keeper);
		if (err)
			disconnect(keeper);
	}
	if (err == -ENOMEM) {
		keeper_free(keeper);
		return err;
	}
	/* Said when all else has begun: what keeps us from starting is said first, and alone. */
	if (err)
		loop_timer(keeper->timer, 0);
	*out = keeper;
	return 0;
}

struct keeper *keeper_free(struct keeper *keeper)
{
	if (!keeper)
		return NULL;
	disconnect(keeper);
	close_found(keeper);
	free(keeper->found);
	free(keeper->wishes);
	if (keeper->timer)
		event_free(keeper->timer);
	free(keeper);
	return NULL;
}
