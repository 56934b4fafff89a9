// SPDX-License-Identifier: MIT
/*
 * wire_connect - the part of wire.h that knows where xsproxyd is.
 */
#include "migration/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int wire_default_path(char path[WIRE_PATH_MAX])
{
	const char *env = getenv("XENSTORED_PATH");
	const char *dir = getenv("XENSTORED_RUNDIR");
	int n;

	if (env)
		n = snprintf(path, WIRE_PATH_MAX, "%s", env);
	else
		n = snprintf(path, WIRE_PATH_MAX, "%s/socket", dir ? dir : "/var/run/xenstored");
	return n < WIRE_PATH_MAX ? 0 : -ENAMETOOLONG;
}

int wire_open(struct wire **out, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, r;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
	if (!r)
		r = wire_adopt(out, fd);
	if (r)
		close(fd);
	return r;
}
