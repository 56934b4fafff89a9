// SPDX-License-Identifier: MIT
#include "proxy/host/door.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/daemon.h"
#include "proxy/host/keeper.h"
#include "proxy/host/public.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/session/who.h"

#define BACKOFF_MS 100

struct door {
	struct daemon *daemon;
	void (*came)(void *owner, int fd, const struct who *who);
	void *owner;
	int fd;
	bool inherited;		   /* from systemd, which keeps the path */
	bool stuck;		   /* nobody can be accepted, and this has been said */
	struct log_source refused; /* those whom [socket] users does not list */
	struct event *event, *backoff;
};

/* Whether nobody has it when we have ended. */
static bool goes_with_us(const struct door *door)
{
	const struct keeper *keeper = door->daemon->keeper;

	return !door->inherited && !keeper_there(keeper) && !keeper_foreign(keeper);
}

static void accept_one(struct door *door, int fd)
{
	struct who who;

	if (public_admits(&door->daemon->config, &door->refused, fd, &who))
		door->came(door->owner, fd, &who);
	else
		close(fd);
}

/* Return: whether there was one. */
static bool accept_next(struct door *door)
{
	int fd = accept4(door->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		door->stuck = false;
		accept_one(door, fd);
	}
	return fd >= 0;
}

static void accept_cb(evutil_socket_t fd, short what, void *arg)
{
	struct door *door = arg;

	(void)fd;
	(void)what;
	if (accept_next(door))
		return;
	if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
		return;
	log_line(door->stuck ? LOG_DEBUG : LOG_ERR,
		 "cannot accept toolstack clients: %s; raise LimitNOFILE", strerror(errno));
	door->stuck = true;
	event_del(door->event);
	loop_timer(door->backoff, BACKOFF_MS);
}

static void backoff_cb(evutil_socket_t fd, short what, void *arg)
{
	struct door *door = arg;

	(void)fd;
	(void)what;
	if (event_add(door->event, NULL))
		loop_timer(door->backoff, BACKOFF_MS);
}

void door_keep(const struct door *door)
{
	if (!door->inherited)
		keeper_put(door->daemon->keeper, KEEP_LISTENER, &door->fd, 1);
}

/* The one that the keeper has, if it is where it is to be now; or a new one. */
static int listen_again(struct door *door)
{
	struct keeper *keeper = door->daemon->keeper;
	int fds[LINK_PUT_FDS];

	keeper_take(keeper, KEEP_LISTENER, fds);
	door->fd = public_listen(door->daemon, fds[0], &door->inherited);
	if (fds[0] >= 0 && fds[0] != door->fd)
		close(fds[0]);
	if (door->fd < 0)
		return door->fd;
	if (door->inherited)
		keeper_drop(keeper, KEEP_LISTENER);
	door_keep(door);
	return 0;
}

int door_new(struct door **out, struct daemon *daemon,
	     void (*came)(void *owner, int fd, const struct who *who), void *owner)
{
	struct door *door = calloc(1, sizeof(*door));
	int err;

	if (!door)
		return -ENOMEM;
	door->daemon = daemon;
	door->came = came;
	door->owner = owner;
	door->refused.nobody = true;
	err = listen_again(door);
	if (err) {
		door_free(door);
		return err;
	}
	door->event = event_new(daemon->base, door->fd, EV_READ | EV_PERSIST, accept_cb, door);
	door->backoff = evtimer_new(daemon->base, backoff_cb, door);
	if (!door->event || !door->backoff || event_add(door->event, NULL)) {
		door_free(door);
		return -ENOMEM;
	}
	*out = door;
	return 0;
}

void door_lend(const struct door *door, int fd)
{
	keeper_put(door->daemon->keeper, KEEP_LISTENER, &fd, 1);
}

int door_take(struct door *door, int fd)
{
	struct event *event =
		event_new(door->daemon->base, fd, EV_READ | EV_PERSIST, accept_cb, door);

	if (!event || event_add(event, NULL)) {
		if (event)
			event_free(event);
		close(fd);
		return -ENOMEM;
	}
	/* Those who have come to the other one, which systemd may have made to wait for them. */
	fcntl(door->fd, F_SETFL, fcntl(door->fd, F_GETFL) | O_NONBLOCK);
	while (accept_next(door))
		;
	event_free(door->event);
	close(door->fd);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	door->event = event;
	door->fd = fd;
	door->inherited = false;
	return 0;
}

void door_rest(const struct door *door, bool rest)
{
	event_del(door->backoff);
	if (rest)
		event_del(door->event);
	else
		event_add(door->event, NULL);
}

int door_fd(const struct door *door)
{
	return door->fd;
}

struct door *door_free(struct door *door)
{
	if (!door)
		return NULL;
	if (door->event)
		event_free(door->event);
	if (door->backoff)
		event_free(door->backoff);
	if (door->fd >= 0 && goes_with_us(door))
		public_unlink(&door->daemon->config, door->fd);
	if (door->fd >= 0)
		close(door->fd);
	free(door);
	return NULL;
}

void door_close(struct door *door)
{
	/* Who has connected to a socket that stays waits there for the next xsproxyd; ours goes. */
	if (goes_with_us(door)) {
		public_unlink(&door->daemon->config, door->fd);
		while (accept_next(door))
			;
	}
	event_del(door->event);
	event_del(door->backoff);
}
