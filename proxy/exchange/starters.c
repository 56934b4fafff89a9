// SPDX-License-Identifier: MIT
#include "proxy/exchange/starters.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/daemon.h"
#include "proxy/local.h"
#include "proxy/log.h"

#define WHY_MAX 256
#define ROOM_MS 1000

struct starters {
	struct daemon *daemon;
	const struct starters_news *news;
	void *arg;
	int listener;
	int sock; /* -1: nobody is there */
	struct event *accept_event, *event;
};

static void part(struct starters *starters)
{
	if (starters->event)
		event_free(starters->event);
	starters->event = NULL;
	if (starters->sock >= 0)
		close(starters->sock);
	starters->sock = -1;
}

/* The first line of what a starter has to say of its failure. */
static void read_why(int fd, char why[WHY_MAX])
{
	ssize_t n = fd < 0 ? -1 : pread(fd, why, WHY_MAX - 1, 0);

	why[n < 0 ? 0 : n] = '\0';
	why[strcspn(why, "\n")] = '\0';
	if (!*why)
		strcpy(why, "it did not say why");
}

/* Return: 0 or a negative errno: it is not one of ours. */
static int carry_out(struct starters *starters, const struct link_msg *msg, int fds[LINK_FDS_MAX])
{
	char why[WHY_MAX];
	int fd;

	switch (msg->type) {
	case START_COME:
		if (msg->value != START_VERSION)
			return -EPROTONOSUPPORT;
		starters->news->came(starters->arg, (enum start_role)msg->domid);
		return 0;
	case START_STATE:
		fd = fds[0];
		fds[0] = -1;
		if (fd < 0)
			fd = msg->value < 0 ? msg->value : -EPROTO;
		starters->news->state(starters->arg, fd, msg->domid);
		return 0;
	case START_FAILED:
		read_why(fds[0], why);
		starters->news->failed(starters->arg, why);
		return 0;
	case START_CONNS:
		fd = fds[0];
		fds[0] = -1;
		starters->news->conns(starters->arg, fd, (uint32_t)msg->value);
		return 0;
	case START_SOCKETS:
		starters->news->sockets(starters->arg, fds);
		for (int i = 0; i < LINK_FDS_MAX; i++)
			fds[i] = -1;
		return 0;
	case START_LISTENER:
		fd = fds[0];
		fds[0] = -1;
		starters->news->listener(starters->arg, fd);
		return 0;
	default:
		return -EPROTO;
	}
}

static void read_cb(evutil_socket_t fd, short what, void *arg)
{
	struct starters *starters = arg;
	int fds[LINK_FDS_MAX], err;
	struct link_msg msg;

	(void)what;
	err = link_recv(fd, &msg, fds);
	if (err == -EAGAIN)
		return;
	if (!err)
		err = carry_out(starters, &msg, fds);
	link_close_fds(fds);
	if (!err)
		return;
	if (err != -ECONNRESET)
		log_line(LOG_ERR,
			 "the starter of xenstored cannot be understood: %s; reinstall "
			 "xsproxy",
			 strerror(-err));
	part(starters);
	starters->news->gone(starters->arg);
}

static void accept_cb(evutil_socket_t fd, short what, void *arg)
{
	struct starters *starters = arg;
	int sock = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (sock < 0)
		return;
	if (!local_peer_allowed(sock)) {
		close(sock);
		return;
	}
	part(starters);
	starters->sock = sock;
	starters->event =
		event_new(starters->daemon->base, sock, EV_READ | EV_PERSIST, read_cb, starters);
	/* It comes again. */
	if (!starters->event || event_add(starters->event, NULL))
		part(starters);
}

int starters_tell_value(struct starters *starters, enum start_type type, int32_t value,
			const int *fds, int count)
{
	const struct link_msg msg = { .type = type, .value = value };
	struct pollfd room = { .fd = starters->sock, .events = POLLOUT };
	int err;

	if (starters->sock < 0)
		return -ENOTCONN;
	do {
		err = link_send(starters->sock, &msg, fds, count);
	} while (err == -EAGAIN && poll(&room, 1, ROOM_MS) > 0);
	if (err)
		part(starters);
	return err;
}

int starters_tell(struct starters *starters, enum start_type type, const int *fds, int count)
{
	return starters_tell_value(starters, type, 0, fds, count);
}

bool starters_there(const struct starters *starters)
{
	return starters->sock >= 0;
}

int starters_pidfd(const struct starters *starters)
{
	return starters->sock < 0 ? -ENOTCONN : local_peer_pidfd(starters->sock);
}

int starters_new(struct starters **out, struct daemon *daemon, const struct starters_news *news,
		 void *arg)
{
	struct starters *starters = calloc(1, sizeof(*starters));
	int err;

	if (!starters)
		return -ENOMEM;
	starters->daemon = daemon;
	starters->news = news;
	starters->arg = arg;
	starters->sock = -1;
	starters->listener = link_listen(daemon->config.run_dir, LINK_STARTER);
	if (starters->listener < 0) {
		err = starters->listener;
		log_line(LOG_ERR, "cannot listen on %s/%s: %s", daemon->config.run_dir,
			 LINK_STARTER, strerror(-err));
		free(starters);
		return err;
	}
	starters->accept_event = event_new(daemon->base, starters->listener, EV_READ | EV_PERSIST,
					   accept_cb, starters);
	if (!starters->accept_event || event_add(starters->accept_event, NULL)) {
		starters_free(starters);
		return -ENOMEM;
	}
	*out = starters;
	return 0;
}

struct starters *starters_free(struct starters *starters)
{
	if (!starters)
		return NULL;
	part(starters);
	if (starters->accept_event)
		event_free(starters->accept_event);
	close(starters->listener);
	free(starters);
	return NULL;
}
