// SPDX-License-Identifier: MIT
#include "proxy/host/mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

const char *mark_path(const struct config *config, char path[MARK_PATH_MAX], const char *name)
{
	snprintf(path, MARK_PATH_MAX, "%s/%s", config->run_dir, name);
	return path;
}

int mark_set(const struct config *config, const char *name)
{
	char path[MARK_PATH_MAX];
	int fd = open(mark_path(config, path, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

bool mark_is_set(const struct config *config, const char *name)
{
	char path[MARK_PATH_MAX];

	return !access(mark_path(config, path, name), F_OK);
}

void mark_clear(const struct config *config, const char *name)
{
	char path[MARK_PATH_MAX];

	unlink(mark_path(config, path, name));
}
