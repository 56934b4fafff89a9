// SPDX-License-Identifier: MIT
#include "proxy/host/sock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* The contiguous parts of [pos, pos + len) of a queue. */
static int pieces(uint8_t *queue, uint32_t pos, uint32_t len, struct iovec iov[2])
{
	uint32_t off = pos & (SOCK_QUEUE - 1);
	uint32_t first = len < SOCK_QUEUE - off ? len : SOCK_QUEUE - off;

	iov[0] = (struct iovec){ queue + off, first };
	iov[1] = (struct iovec){ queue, len - first };
	return len > first ? 2 : 1;
}

/* Read what there is room for. Return: whether something came. */
static bool fill(struct sock *sock)
{
	uint32_t prod = word_get(&sock->in_prod);
	uint32_t room = SOCK_QUEUE - (prod - word_get(&sock->in_cons));
	struct iovec iov[2];
	ssize_t n;

	if (!room) {
		/* Asked again when the session has made room (sock_kick). */
		event_del(sock->read_event);
		return false;
	}
	n = readv(sock->fd, iov, pieces(sock->in, prod, room, iov));
	if (n > 0) {
		atomic_store(&sock->in_prod, prod + (uint32_t)n);
		return true;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	event_del(sock->read_event);
	sock->eof = true;
	return true;
}

/* Write what waits. Return: whether something went. */
static bool drain(struct sock *sock)
{
	uint32_t cons = word_get(&sock->out_cons), used = word_get(&sock->out_prod) - cons;
	struct msghdr msg = { 0 };
	struct iovec iov[2];
	ssize_t n;

	if (!used)
		return false;
	msg.msg_iov = iov;
	msg.msg_iovlen = (size_t)pieces(sock->out, cons, used, iov);
	n = sendmsg(sock->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		/* The other side has gone: what it was owed is void, its end will be read as EOF.
		 */
		sock->broken = true;
		n = used;
	}
	if (n > 0)
		atomic_store(&sock->out_cons, cons + (uint32_t)n);
	if (n < (ssize_t)used)
		event_add(sock->write_event, NULL);
	return n > 0;
}

static void read_cb(evutil_socket_t fd, short what, void *arg)
{
	struct sock *sock = arg;

	(void)fd;
	(void)what;
	if (fill(sock))
		sock->moved(sock->owner);
}

static void write_cb(evutil_socket_t fd, short what, void *arg)
{
	struct sock *sock = arg;

	(void)fd;
	(void)what;
	if (drain(sock))
		sock->moved(sock->owner);
}

/* The session has produced, or made room where there was none. */
static void sock_kick(void *owner)
{
	struct sock *sock = owner;

	if (sock->fd < 0)
		return;
	drain(sock);
	if (!sock->eof)
		event_add(sock->read_event, NULL);
}

int sock_open(struct sock *sock, struct event_base *base, int fd, void (*moved)(void *owner),
	      void *owner)
{
	sock->moved = moved;
	sock->owner = owner;
	sock->read_event = event_new(base, fd, EV_READ | EV_PERSIST, read_cb, sock);
	sock->write_event = event_new(base, fd, EV_WRITE, write_cb, sock);
	if (!sock->read_event || !sock->write_event || event_add(sock->read_event, NULL)) {
		sock->fd = -1;
		sock_close(sock);
		return -ENOMEM;
	}
	sock->fd = fd;
	return 0;
}

void sock_close(struct sock *sock)
{
	if (sock->read_event)
		event_free(sock->read_event);
	if (sock->write_event)
		event_free(sock->write_event);
	sock->read_event = sock->write_event = NULL;
	if (sock->fd >= 0)
		close(sock->fd);
	sock->fd = -1;
}

struct endpoint sock_endpoint(struct sock *sock)
{
	return (struct endpoint){
		.in = { .data = sock->in,
			.size = SOCK_QUEUE,
			.prod = &sock->in_prod,
			.cons = &sock->in_cons },
		.out = { .data = sock->out,
			 .size = SOCK_QUEUE,
			 .prod = &sock->out_prod,
			 .cons = &sock->out_cons },
		.kick = sock_kick,
		.owner = sock,
	};
}

bool sock_flushed(const struct sock *sock)
{
	return word_get(&sock->out_prod) == word_get(&sock->out_cons);
}
