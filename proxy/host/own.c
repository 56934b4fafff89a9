// SPDX-License-Identifier: MIT
#include "proxy/host/own.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/message.h"
#include "proxy/daemon.h"
#include "proxy/host/client.h"
#include "proxy/util.h"

#define ROOM_MIN 4096u

struct own {
	int fd;
	struct event *event;
	void (*reply)(void *arg, const struct own_reply *reply);
	void *arg;
	struct xsd_sockmsg hdr;
	uint32_t have; /* octets of the message, its header included */
	uint8_t *payload;
	uint32_t room; /* in it, but for a NUL; at least ROOM_MIN */
};

/* None of that is kept. */
static bool is_too_long(const struct own *own)
{
	return own->have >= MESSAGE_HEADER && own->hdr.len > OWN_REPLY_MAX;
}

/* Room for all of a payload, or to throw one away in pieces. Return: 0 or -ENOMEM. */
static int make_room(struct own *own)
{
	uint32_t want = is_too_long(own) ? ROOM_MIN : own->hdr.len;
	uint8_t *payload;

	if (want <= own->room)
		return 0;
	payload = realloc(own->payload, want + 1);
	if (!payload)
		return -ENOMEM;
	own->payload = payload;
	own->room = want;
	return 0;
}

/* Return: how many octets came; 0 at the end; or a negative errno. */
static ssize_t receive(struct own *own)
{
	uint8_t *to = (uint8_t *)&own->hdr + own->have;
	uint32_t want = MESSAGE_HEADER - own->have, had;
	ssize_t n;

	if (own->have >= MESSAGE_HEADER) {
		had = own->have - MESSAGE_HEADER;
		want = own->hdr.len - had;
		to = own->payload + (is_too_long(own) ? 0 : had);
		want = is_too_long(own) ? min_u32(want, own->room) : want;
	}
	n = recv(own->fd, to, want, MSG_DONTWAIT);
	if (n > 0)
		own->have += (uint32_t)n;
	return n < 0 ? -errno : n;
}

/* Return: whether a message is whole; or a negative errno for one that cannot be. */
static int is_whole(struct own *own)
{
	if (own->have < MESSAGE_HEADER)
		return 0;
	if (own->hdr.len > INT32_MAX)
		return -EPROTO;
	if (own->have == MESSAGE_HEADER && make_room(own))
		return -ENOMEM;
	return own->have == message_size(&own->hdr);
}

static void ended(struct own *own)
{
	event_del(own->event);
	own->reply(own->arg, NULL);
}

static void deliver(struct own *own)
{
	static const char too_long[] = "E2BIG";
	struct own_reply reply = { .type = own->hdr.type,
				   .payload = own->payload,
				   .len = own->hdr.len };

	if (is_too_long(own))
		reply = (struct own_reply){ .type = XS_ERROR,
					    .payload = (const uint8_t *)too_long,
					    .len = sizeof(too_long) };
	else
		own->payload[own->hdr.len] = '\0';
	own->have = 0;
	own->reply(own->arg, &reply);
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
	if (whole)
		deliver(own);
}

int own_over(struct own **out, struct daemon *daemon, int fd,
	     void (*reply)(void *arg, const struct own_reply *reply), void *arg)
{
	struct own *own = fd < 0 ? NULL : calloc(1, sizeof(*own));

	if (own)
		own->payload = malloc(ROOM_MIN + 1);
	if (!own || !own->payload) {
		free(own);
		if (fd >= 0)
			close(fd);
		return fd < 0 ? fd : -ENOMEM;
	}
	own->reply = reply;
	own->arg = arg;
	own->fd = fd;
	own->room = ROOM_MIN;
	own->event = event_new(daemon->base, fd, EV_READ | EV_PERSIST, read_cb, own);
	if (!own->event || event_add(own->event, NULL)) {
		own_close(own);
		return -ENOMEM;
	}
	*out = own;
	return 0;
}

int own_open(struct own **out, struct daemon *daemon,
	     void (*reply)(void *arg, const struct own_reply *reply), void *arg)
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
	free(own->payload);
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
