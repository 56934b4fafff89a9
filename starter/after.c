// SPDX-License-Identifier: MIT
/*
 * after - see after.h.
 */
#include "starter/after.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define GONE " (deleted)" /* of the name, once its package was upgraded */

static pid_t read_pid(const char *text)
{
	char *end;
	long pid;

	errno = 0;
	pid = strtol(text, &end, 10);
	while (*end == '\n' || *end == ' ')
		end++;
	return errno || *end || pid <= 0 || pid > INT_MAX ? -1 : (pid_t)pid;
}

/* By its file, as the bridge does; a live update runs in the same process. */
static bool is_xenstored(pid_t pid)
{
	static const char *const names[] = { "xenstored", "oxenstored", "starter" };
	char link[32], exe[PATH_MAX + sizeof(GONE)];
	const char *name;
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	len = readlink(link, exe, sizeof(exe) - 1);
	if (len <= 0)
		return false;
	exe[len] = '\0';
	name = strrchr(exe, '/');
	name = name ? name + 1 : exe;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t n = strlen(names[i]);

		if (!strncmp(name, names[i], n) && (!name[n] || !strcmp(name + n, GONE)))
			return true;
	}
	return false;
}

static int wait_for_end(int pidfd)
{
	struct pollfd look = { .fd = pidfd, .events = POLLIN };

	while (poll(&look, 1, -1) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int after_end(const char *pid)
{
	pid_t number = read_pid(pid);
	int pidfd, r = 0;

	if (number < 0)
		return -EINVAL;
	if (number == getpid())
		return 0;
	pidfd = (int)syscall(SYS_pidfd_open, number, 0);
	if (pidfd < 0)
		return errno == ESRCH ? 0 : -errno;
	/* Asked of what is held: the number may have another process by now. */
	if (is_xenstored(number))
		r = wait_for_end(pidfd);
	close(pidfd);
	return r;
}
