// SPDX-License-Identifier: MIT
#include "proxy/host/sock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Where the kernel's counter starts; set anew halfway down. */
#define ARMED (1 << 30)

/*
 * Nothing is read between the store of 1 and that of 0, so in_prod is true meanwhile; whoever finds
 * 1 does it all once more.
 */
static bool arm(struct ledger_sock *words, int fd)
{
	const int off = ARMED;

	atomic_store_explicit(&words->arming, 1, memory_order_release);
	if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)))
		return false;
	atomic_store_explicit(&words->in_base, word_get(&words->in_prod), memory_order_release);
	atomic_store_explicit(&words->arming, 0, memory_order_release);
	return true;
}

bool sock_keep(struct sock *sock)
{
	sock->kept = arm(sock->words, sock->fd);
	return sock->kept;
}

bool sock_untouched(int fd)
{
	socklen_t len = sizeof(int);
	int off = 0;

	return !getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &off, &len) && (off < 0 || off == ARMED);
}

int sock_recover(struct ledger_sock *words, int fd)
{
	socklen_t len = sizeof(int);
	int off;

	if (!word_get(&words->arming)) {
		if (getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &off, &len) || off < 0 || off > ARMED)
			return -EINVAL;
		atomic_store(&words->in_prod, word_get(&words->in_base) + (uint32_t)(ARMED - off));
	}
	if (word_get(&words->in_prod) - word_get(&words->in_cons) > SOCK_QUEUE ||
	    word_get(&words->out_prod) - word_get(&words->out_cons) > SOCK_QUEUE)
		return -EINVAL;
	return arm(words, fd) ? 0 : -EINVAL;
}

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
	struct ledger_sock *words = sock->words;
	uint32_t prod = word_get(&words->in_prod);
	uint32_t room = SOCK_QUEUE - (prod - word_get(&words->in_cons));
	struct iovec iov[2];
	ssize_t n;

	if (!room) {
		/* Asked again when the session has made room (sock_kick). */
		event_del(sock->read_event);
		return false;
	}
	/* Nothing that is not counted is read; it will be tried again. */
	if (sock->kept && prod - word_get(&words->in_base) > ARMED / 2 && !arm(words, sock->fd))
		return false;
	n = readv(sock->fd, iov, pieces(sock->in, prod, room, iov));
	if (n > 0) {
		atomic_store(&words->in_prod, prod + (uint32_t)n);
		return true;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	event_del(sock->read_event);
	sock->eof = true;
	return true;
}

/* outlet_write() for a socket that is not kept. */
static ssize_t send_now(struct sock *sock, struct iovec *iov, int count)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)count };
	ssize_t n = sendmsg(sock->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	ledger_word *cons = &sock->words->out_cons;

	if (n > 0)
		atomic_store(cons, word_get(cons) + (uint32_t)n);
	return n < 0 ? -errno : n;
}

/* The socket, or memory, has no room now. */
static bool is_passing(int err)
{
	return err == -EAGAIN || err == -EINTR || err == -ENOMEM || err == -ENOBUFS;
}

/* Write what waits. Return: whether something went. */
static bool drain(struct sock *sock)
{
	ledger_word *cons = &sock->words->out_cons;
	uint32_t used = word_get(&sock->words->out_prod) - word_get(cons);
	struct iovec iov[2];
	ssize_t n;
	int count;

	if (!used)
		return false;
	count = pieces(sock->out, word_get(cons), used, iov);
	n = sock->kept ? outlet_write(sock->outlet, sock->fd, sock->number, iov, count, cons)
		       : send_now(sock, iov, count);
	if (n < 0 && !is_passing((int)n)) {
		/* The other side has gone: it is owed nothing, and its end is read as EOF. */
		sock->broken = true;
		atomic_store(cons, word_get(cons) + used);
		n = used;
	}
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
	if (sock->halt != SOCK_HALTED)
		drain(sock);
	if (!sock->eof && sock->halt == SOCK_MOVES)
		event_add(sock->read_event, NULL);
}

void sock_halt(struct sock *sock, enum sock_halt halt)
{
	sock->halt = halt;
	if (halt != SOCK_MOVES)
		event_del(sock->read_event);
	if (halt == SOCK_HALTED)
		event_del(sock->write_event);
	sock_kick(sock);
}

int sock_open(struct sock *sock, struct event_base *base, int fd)
{
	sock->read_event = event_new(base, fd, EV_READ | EV_PERSIST, read_cb, sock);
	sock->write_event = event_new(base, fd, EV_WRITE, write_cb, sock);
	if (!sock->read_event || !sock->write_event || event_add(sock->read_event, NULL) ||
	    (!sock_flushed(sock) && event_add(sock->write_event, NULL))) {
		sock->fd = -1;
		sock_close(sock);
		return -ENOMEM;
	}
	sock->fd = fd;
	return 0;
}

void sock_deafen(struct sock *sock)
{
	event_del(sock->read_event);
	sock->eof = true;
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
	struct ledger_sock *words = sock->words;

	return (struct endpoint){
		.in = { sock->in, SOCK_QUEUE, &words->in_prod, &words->in_cons },
		.out = { sock->out, SOCK_QUEUE, &words->out_prod, &words->out_cons },
		.kick = sock_kick,
		.owner = sock,
	};
}

bool sock_flushed(const struct sock *sock)
{
	return word_get(&sock->words->out_prod) == word_get(&sock->words->out_cons);
}
