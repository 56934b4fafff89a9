// SPDX-License-Identifier: MIT
#include "proxy/exchange/own.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/message.h"
#include "proxy/daemon.h"
#include "proxy/host/client.h"
#include "proxy/util.h"

struct own {
	int fd;
	struct event *event;
	void (*reply)(void *arg, const struct message *msg);
	void *arg;
	struct message in;
	uint32_t have; /* octets of it */
};

/* oxenstored sends what is beyond the protocol's limit; none of that is kept. */
static bool is_too_long(const struct own *own)
{
	return own->have >= MESSAGE_HEADER && own->in.hdr.len > XENSTORE_PAYLOAD_MAX;
}

/* Return: how many octets came; 0 at the end; or a negative errno. */
static ssize_t receive(struct own *own)
{
	uint8_t *to = (uint8_t *)&own->in + own->have;
	uint32_t want = MESSAGE_HEADER - own->have;
	ssize_t n;

	if (own->have >= MESSAGE_HEADER)
		want = message_size(&own->in.hdr) - own->have;
	if (is_too_long(own)) {
		to = own->in.payload;
		want = min_u32(want, XENSTORE_PAYLOAD_MAX);
	}
	n = recv(own->fd, to, want, MSG_DONTWAIT);
	if (n > 0)
		own->have += (uint32_t)n;
	return n < 0 ? -errno : n;
}

/* Return: whether a message is whole; or a negative errno for one that cannot be. */
static int is_whole(const struct own *own)
{
	if (own->have < MESSAGE_HEADER)
		return 0;
	if (own->in.hdr.len > INT32_MAX)
		return -EPROTO;
	return own->have == message_size(&own->in.hdr);
}

static void ended(struct own *own)
{
	event_del(own->event);
	own->reply(own->arg, NULL);
}

static void read_cb(evutil_socket_t fd, short what, void *arg)
{
	struct own *own = arg;
	ssize_t n = receive(own);
	int whole = is_whole(own);

	(void)fd;
	(void)what;
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n <= 0 || whole < 0) {
		ended(own);
		return;
	}
	/* It is level-triggered: what follows is read next. The callee may close us. */
	if (whole) {
		if (is_too_long(own))
			message_set_error(&own->in, E2BIG);
		own->have = 0;
		own->reply(own->arg, &own->in);
	}
}

int own_over(struct own **out, struct daemon *daemon, int fd,
	     void (*reply)(void *arg, const struct message *msg), void *arg)
{
	struct own *own = fd < 0 ? NULL : calloc(1, sizeof(*own));

	if (!own) {
		if (fd >= 0)
			close(fd);
		return fd < 0 ? fd : -ENOMEM;
	}
	own->reply = reply;
	own->arg = arg;
	own->fd = fd;
	own->event = event_new(daemon->base, fd, EV_READ | EV_PERSIST, read_cb, own);
	if (!own->event || event_add(own->event, NULL)) {
		own_close(own);
		return -ENOMEM;
	}
	*out = own;
	return 0;
}

int own_open(struct own **out, struct daemon *daemon,
	     void (*reply)(void *arg, const struct message *msg), void *arg)
{
	return own_over(out, daemon, client_dial(daemon), reply, arg);
}

struct own *own_close(struct own *own)
{
	if (!own)
		return NULL;
	if (own->event)
		event_free(own->event);
	close(own->fd);
	free(own);
	return NULL;
}

int own_ask(struct own *own, uint32_t type, const char *payload, uint32_t len)
{
	struct message msg = { .hdr = { .type = type } };
	ssize_t size, n;

	message_set_text(&msg, payload, len);
	size = (ssize_t)message_size(&msg.hdr);
	/* A socket that has next to nothing in it takes all or nothing of so little. */
	n = send(own->fd, &msg, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	return n == size ? 0 : -EAGAIN;
}
