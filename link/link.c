// SPDX-License-Identifier: MIT
/*
 * link - packets between the bridge and xsproxyd. See link.h.
 *
 * Called by the bridge (inside xenstored, where it must never end the process) and by xsproxyd.
 * Keeps no state of its own, never logs, never waits.
 */
#include "link/link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "link/start.h"

#define LINK_BACKLOG 4

union link_control {
	char buf[CMSG_SPACE(sizeof(int) * LINK_FDS_MAX)];
	struct cmsghdr align;
};

int link_send(int sock, const struct link_msg *msg, const int *fds, int count)
{
	struct iovec iov = { .iov_base = (void *)msg, .iov_len = sizeof(*msg) };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	size_t octets = sizeof(int) * (size_t)count;
	union link_control control;
	ssize_t len;

	if (count) {
		struct cmsghdr *cmsg;

		memset(&control, 0, sizeof(control));
		hdr.msg_control = control.buf;
		hdr.msg_controllen = CMSG_SPACE(octets);
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(octets);
		memcpy(CMSG_DATA(cmsg), fds, octets);
	}
	do {
		len = sendmsg(sock, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (len < 0 && errno == EINTR);
	return len < 0 ? -errno : 0;
}

/* Moves the descriptors of a packet to @fds; returns how many there were. */
static int link_take_fds(struct msghdr *hdr, int fds[LINK_FDS_MAX])
{
	struct cmsghdr *cmsg;
	size_t count = 0;

	for (cmsg = CMSG_FIRSTHDR(hdr); cmsg; cmsg = CMSG_NXTHDR(hdr, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		/* link_recv() gave the kernel room for LINK_FDS_MAX, and for one such header. */
		count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(cmsg), count * sizeof(int));
	}
	return (int)count;
}

_Static_assert(LINK_HELLO_FDS == LINK_FDS_MAX && START_RESTORE_FDS == LINK_FDS_MAX &&
		       START_LEAVE_FDS == LINK_FDS_MAX,
	       "they bring as many as a message can");

/* Whether so many descriptors belong to a message of this type. */
static bool link_fds_fit(uint32_t type, int count)
{
	switch (type) {
	case LINK_HELLO:
	case START_RESTORE:
	case START_LEAVE:
		return count == LINK_FDS_MAX;
	case LINK_KEEP:
	case START_FAILED:
	case START_CONNS:
	case START_LISTENER:
		return count == 1;
	case LINK_KEPT:
	case START_STATE:
		return count <= 1;
	case LINK_PUT:
	case LINK_HAS:
		return count && count <= LINK_PUT_FDS;
	case START_SOCKETS:
		return count > 0;
	default:
		return !count;
	}
}

int link_move_fds(int fds[LINK_FDS_MAX], int to[LINK_PUT_FDS])
{
	int count = 0;

	for (; count < LINK_PUT_FDS && fds[count] >= 0; count++) {
		to[count] = fds[count];
		fds[count] = -1;
	}
	return count;
}

bool link_dir_is_ours(const struct stat *st)
{
	return S_ISDIR(st->st_mode) && st->st_uid == geteuid() && !(st->st_mode & 077);
}

void link_close_fds(int fds[LINK_FDS_MAX])
{
	for (int i = 0; i < LINK_FDS_MAX; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

int link_recv(int sock, struct link_msg *msg, int fds[LINK_FDS_MAX])
{
	struct iovec iov = { .iov_base = msg, .iov_len = sizeof(*msg) };
	union link_control control;
	struct msghdr hdr = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		/* Not CMSG_SPACE: its padding has room for one descriptor more than @fds has. */
		.msg_controllen = CMSG_LEN(sizeof(int) * LINK_FDS_MAX),
	};
	bool whole;
	ssize_t len;
	int count;

	for (int i = 0; i < LINK_FDS_MAX; i++)
		fds[i] = -1;
	do {
		len = recvmsg(sock, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (len < 0 && errno == EINTR);
	if (len < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;

	count = link_take_fds(&hdr, fds);
	whole = len == (ssize_t)sizeof(*msg) && !(hdr.msg_flags & MSG_TRUNC);
	if (whole && !(hdr.msg_flags & MSG_CTRUNC) && link_fds_fit(msg->type, count))
		return 0;
	link_close_fds(fds);
	if (whole && (hdr.msg_flags & MSG_CTRUNC) && count < LINK_FDS_MAX)
		return -EMFILE;
	/* An empty packet looks the same as the end; nobody sends one. */
	return len == 0 ? -ECONNRESET : -EPROTO;
}

static int link_address(struct sockaddr_un *addr, const char *dir, const char *name)
{
	int len;

	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	len = snprintf(addr->sun_path, sizeof(addr->sun_path), "%s/%s", dir, name);
	return len < 0 || (size_t)len >= sizeof(addr->sun_path) ? -ENAMETOOLONG : 0;
}

/* A socket, and the address for it. */
static int link_socket(struct sockaddr_un *addr, const char *dir, const char *name)
{
	int rc = link_address(addr, dir, name), fd;

	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd < 0 ? -errno : fd;
}

int link_listen(const char *dir, const char *name)
{
	struct sockaddr_un addr;
	mode_t mask;
	int fd = link_socket(&addr, dir, name), rc;

	if (fd < 0)
		return fd;

	/* Both daemons have one thread: nobody else can see this umask. */
	mask = umask(0177);
	unlink(addr.sun_path);
	rc = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	umask(mask);
	if (rc == 0 && listen(fd, LINK_BACKLOG) < 0)
		rc = -errno;
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

int link_connect(const char *dir, const char *name)
{
	struct sockaddr_un addr;
	int fd = link_socket(&addr, dir, name), rc;

	if (fd < 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}
