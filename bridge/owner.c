// SPDX-License-Identifier: MIT
/*
 * owner - accepting, checking and calling xsproxyd. See owner.h.
 *
 * Called by attach.c and doorbell.c. Whatever the peer does, the daemon goes on: the worst it gets
 * is one wait of LINK_TIMEOUT_MS, after which the peer is killed (fence.h).
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
#include "bridge/fence.h"

#define OWNER_ERRNO_MAX 4095
#define OWNER_SLICE_MS	100

static void owner_forget(struct bridge *b)
{
	close(b->owner);
	b->owner = -1;
	if (b->owner_pidfd >= 0)
		close(b->owner_pidfd);
	b->owner_pidfd = -1;
	/* It may have died between ringing a bell and waking us. */
	doorbell_wake_stored(b);
}

static void owner_gone(struct bridge *b)
{
	bridge_log(LOG_NOTICE, "%s/%s: xsproxyd has gone; domains stay attached until it is back",
		   b->dir, LINK_SOCKET);
	owner_forget(b);
}

/* What xenstored does next it does without it, so it must not write to a ring any more. */
static void owner_give_up(struct bridge *b, const char *reason)
{
	bool fenced = fence_kill(b->owner_pidfd);

	bridge_log(LOG_ERR, "%s/%s: xsproxyd %s, %s; domains stay attached until it is back",
		   b->dir, LINK_SOCKET, reason,
		   fenced ? "killed" : "dropped, and could NOT be killed: restart xsproxy");
	owner_forget(b);
}

/* What an owner may say at any time. Return: whether it was that. */
static bool owner_keeps(struct bridge *b, const struct link_msg *msg, int fds[LINK_FDS_MAX])
{
	const struct link_msg answer = { .type = LINK_KEPT };

	switch (msg->type) {
	case LINK_FETCH:
		/* Who does not read that will not answer either. */
		link_send(b->owner, &answer, &b->kept, b->kept >= 0);
		return true;
	case LINK_KEEP:
		if (b->kept >= 0)
			close(b->kept);
		b->kept = fds[0];
		fds[0] = -1;
		return true;
	default:
		return false;
	}
}

static int64_t owner_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The time since *@last; a slice at most. */
static int owner_waited_ms(int64_t *last)
{
	int64_t now = owner_now_ms(), waited = now - *last;

	*last = now;
	return (int)(waited < OWNER_SLICE_MS ? waited : OWNER_SLICE_MS);
}

/*
 * Waits for an answer, slice by slice: where the machine stood still, as a dom0 that gets no
 * processor does, a slice took longer, and that counts for one. Its peer did not run either.
 *
 * Return: as link_recv(), and -ETIMEDOUT.
 */
static int owner_wait(struct bridge *b, struct link_msg *msg)
{
	struct pollfd pfd = { .fd = b->owner, .events = POLLIN };
	int fds[LINK_FDS_MAX], left = LINK_TIMEOUT_MS;
	int64_t last = owner_now_ms();

	for (;;) {
		int rc = link_recv(b->owner, msg, fds);
		bool other = rc == 0 && owner_keeps(b, msg, fds);

		link_close_fds(fds);
		if (rc != -EAGAIN && !other)
			return rc;
		left -= owner_waited_ms(&last);
		if (left <= 0)
			return -ETIMEDOUT;
		if (!other && poll(&pfd, 1, left < OWNER_SLICE_MS ? left : OWNER_SLICE_MS) < 0 &&
		    errno != EINTR)
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
	rc = link_send(b->owner, &msg, NULL, 0);
	if (rc == 0)
		rc = owner_wait(b, &ack);
	if (rc == 0 && (ack.type != LINK_ACK || ack.seq != msg.seq || ack.value > 0 ||
			ack.value < -OWNER_ERRNO_MAX))
		rc = -EPROTO;
	if (rc == 0)
		return ack.value;

	if (rc == -ECONNRESET || rc == -EPIPE)
		owner_gone(b);
	else if (rc == -ETIMEDOUT || rc == -EAGAIN)
		owner_give_up(b, "does not answer");
	else
		owner_give_up(b, "answered nonsense");
	return 0;
}

void owner_look(struct bridge *b)
{
	int fds[LINK_FDS_MAX], rc = 0;
	struct link_msg msg;

	while (b->owner >= 0 && rc == 0) {
		rc = link_recv(b->owner, &msg, fds);
		if (rc == 0 && !owner_keeps(b, &msg, fds))
			rc = -EPROTO;
		link_close_fds(fds);
	}
	if (b->owner < 0 || rc == -EAGAIN)
		return;
	if (rc == -EPROTO)
		owner_give_up(b, "spoke without being asked");
	else
		owner_gone(b);
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
	int fds[LINK_HELLO_FDS] = { b->rings.arena.fd, b->wake_proxy, b->wake_stored };

	if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ||
	    link_send(fd, &hello, fds, LINK_HELLO_FDS) < 0) {
		bridge_log(LOG_ERR, "%s/%s: cannot greet xsproxyd", b->dir, LINK_SOCKET);
		close(fd);
		return;
	}
	b->owner = fd;
	b->owner_pidfd = fence_open(fd);
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
			link_send(fd, &busy, NULL, 0);
			close(fd);
		} else {
			owner_welcome(b, fd);
		}
	}
}
