/* SPDX-License-Identifier: MIT */
/*
 * owner - accepting, checking and calling xsproxyd. See owner.h.
 *
 * Called by attach.c and doorbell.c. Whatever the peer does, the daemon goes on: the worst it gets
 * is one wait of LINK_TIMEOUT_MS, after which the peer is gone.
 */
#include "bridge/owner.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "bridge/bridge.h"
#include "bridge/doorbell.h"

#define OWNER_ERRNO_MAX 4095

static void owner_drop(struct bridge *b, int priority, const char *reason)
{
	close(b->owner);
	b->owner = -1;
	bridge_log(priority, "%s/%s: %s; domains stay attached until xsproxyd is back", b->dir,
		   LINK_SOCKET, reason);
	/* It may have died between ringing a bell and waking us. */
	doorbell_wake_stored(b);
}

static int64_t owner_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for one message. Returns as link_recv(), and -ETIMEDOUT. */
static int owner_wait(struct bridge *b, struct link_msg *msg)
{
	int64_t deadline = owner_now_ms() + LINK_TIMEOUT_MS;
	struct pollfd pfd = { .fd = b->owner, .events = POLLIN };
	int fds[LINK_HELLO_FDS];

	for (;;) {
		int64_t left;
		int rc = link_recv(b->owner, msg, fds), i;

		for (i = 0; i < LINK_HELLO_FDS; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		if (rc != -EAGAIN)
			return rc;
		left = deadline - owner_now_ms();
		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&pfd, 1, (int)left) < 0 && errno != EINTR)
			return -errno;
	}
}

int owner_call(struct bridge *b, enum link_type type, uint32_t domid, int32_t value)
{
	struct link_msg msg = { .type = type, .domid = domid, .value = value };
	struct link_msg ack;
	int rc;

	if (b->owner < 0)
		return 0;
	msg.seq = ++b->seq;
	rc = link_send(b->owner, &msg, NULL);
	if (rc == 0)
		rc = owner_wait(b, &ack);
	if (rc == 0 && (ack.type != LINK_ACK || ack.seq != msg.seq || ack.value > 0 ||
			ack.value < -OWNER_ERRNO_MAX))
		rc = -EPROTO;
	if (rc == 0)
		return ack.value;

	if (rc == -ECONNRESET || rc == -EPIPE)
		owner_drop(b, LOG_NOTICE, "xsproxyd has gone");
	else if (rc == -ETIMEDOUT || rc == -EAGAIN)
		owner_drop(b, LOG_ERR, "xsproxyd does not answer, dropped");
	else
		owner_drop(b, LOG_ERR, "xsproxyd answered nonsense, dropped");
	return 0;
}

void owner_look(struct bridge *b)
{
	char octet;
	ssize_t len;

	if (b->owner < 0)
		return;
	len = recv(b->owner, &octet, sizeof(octet), MSG_PEEK | MSG_DONTWAIT);
	if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (len > 0)
		owner_drop(b, LOG_ERR, "xsproxyd spoke without being asked, dropped");
	else
		owner_drop(b, LOG_NOTICE, "xsproxyd has gone");
}

static bool owner_is_trusted(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static void owner_welcome(struct bridge *b, int fd)
{
	struct link_msg hello = { .type = LINK_HELLO, .value = LINK_VERSION };
	struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP, .data.u32 = SOURCE_OWNER };
	int fds[LINK_HELLO_FDS] = { b->arena.fd, b->wake_proxy, b->wake_stored };

	if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, fd, &event) < 0 || link_send(fd, &hello, fds) < 0) {
		bridge_log(LOG_ERR, "%s/%s: cannot greet xsproxyd", b->dir, LINK_SOCKET);
		close(fd);
		return;
	}
	b->owner = fd;
}

void owner_accept(struct bridge *b)
{
	struct link_msg busy = { .type = LINK_BUSY };
	int fd;

	/* Until there is none left: the listener is edge-triggered. */
	for (;;) {
		fd = accept4(b->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
			bridge_log(LOG_ERR, "%s/%s: accept: %s", b->dir, LINK_SOCKET,
				   strerror(errno));
		if (fd < 0)
			return;

		owner_look(b); /* the old one may have hung up without our noticing yet */
		if (!owner_is_trusted(fd)) {
			bridge_log(LOG_ERR, "%s/%s: refused a peer that is not root", b->dir,
				   LINK_SOCKET);
			close(fd);
		} else if (b->owner >= 0) {
			link_send(fd, &busy, NULL);
			close(fd);
		} else {
			owner_welcome(b, fd);
		}
	}
}
