// SPDX-License-Identifier: MIT
#include "proxy/local.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define RESERVE 80 /* as many connections as the control socket takes, and a few */

int local_listen(const char *path, int backlog)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, err;
	mode_t mask;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* We hold the run directory's lock, so whatever lies there is nobody's. */
	unlink(path);
	mask = umask(0777 & ~LOCAL_MODE);
	err = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
	umask(mask);
	if (!err && listen(fd, backlog))
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

bool local_is_root(uint32_t uid)
{
	return uid == 0 || uid == geteuid();
}

bool local_peer_allowed(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) && local_is_root(cred.uid);
}

int local_peer_pidfd(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int pidfd;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return -errno;
	pidfd = (int)syscall(SYS_pidfd_open, cred.pid, 0);
	return pidfd < 0 ? -errno : pidfd;
}

int local_kill(int pidfd)
{
	return syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) ? -errno : 0;
}

bool local_is_reserve(int fd)
{
	struct rlimit limit;

	/* The lowest free number is given out, so this one tells how many there are. */
	return !getrlimit(RLIMIT_NOFILE, &limit) && (rlim_t)fd + RESERVE >= limit.rlim_cur;
}
