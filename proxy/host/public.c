// SPDX-License-Identifier: MIT
#include "proxy/host/public.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "proxy/local.h"
#include "proxy/log.h"

#define LISTEN_BACKLOG 128 /* clients are many and short-lived */

/* Nobody would find out otherwise why there is nothing at @path. */
static void compare_names(int fd, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNSPEC };
	socklen_t len = sizeof(addr) - 1; /* so that its path ends */

	if (getsockname(fd, (struct sockaddr *)&addr, &len) || addr.sun_family != AF_UNIX ||
	    !strcmp(addr.sun_path, path))
		return;
	log_line(LOG_WARNING,
		 "systemd holds the toolstack's socket, %s; [xsproxy] socket = %s is of no effect, "
		 "ListenStream= of xsproxy.socket is",
		 addr.sun_path, path);
}

/* As systemd makes them. What fails shows when the socket is made. */
static void make_parents(const char *path)
{
	mode_t mask = umask(022);
	char dir[PATH_MAX];

	for (const char *end = strchr(path + 1, '/'); end; end = strchr(end + 1, '/')) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(end - path), path);
		mkdir(dir, 0755);
	}
	umask(mask);
}

int public_listen(const char *path, bool *inherited)
{
	int fd;

	*inherited = sd_listen_fds(0) == 1;
	if (*inherited) {
		compare_names(SD_LISTEN_FDS_START, path);
		return SD_LISTEN_FDS_START;
	}
	make_parents(path);
	fd = local_listen(path, LISTEN_BACKLOG);
	if (fd < 0)
		log_line(LOG_ERR,
			 "cannot listen for toolstacks on %s: %s; correct [xsproxy] socket or "
			 "--socket",
			 path, strerror(-fd));
	return fd;
}
