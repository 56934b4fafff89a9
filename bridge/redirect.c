// SPDX-License-Identifier: MIT
/*
 * redirect - see redirect.h. Called by interpose_libc.c, and by the wake-up when it fails.
 *
 * Must never leave the daemon without a socket that clients can find.
 */
#include "bridge/redirect.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "bridge/bridge.h"
#include "bridge/real.h"
#include "link/link.h"

/* The public name that @path is, or NULL. */
static const char *redirect_public(const struct bridge *b, const char *path)
{
	int i;

	for (i = 0; i < BRIDGE_PUBLIC_PATHS; i++)
		if (b->publics[i] && !strcmp(path, b->publics[i]))
			return b->publics[i];
	return NULL;
}

/* Whether @path is `upstream` below the run directory, also when that directory is unusable. */
static bool redirect_is_upstream(const struct bridge *b, const char *path)
{
	size_t len = strlen(b->dir);

	return !strncmp(path, b->dir, len) && path[len] == '/' &&
	       !strcmp(path + len + 1, LINK_UPSTREAM);
}

const char *redirect_path(struct bridge *b, const char *path)
{
	if (!b->flavour || !path)
		return path;
	if (redirect_public(b, path))
		return bridge_usable(b) ? b->upstream : path;
	/*
	 * The wrapper named the upstream path to the C daemon. Without xsproxy nobody would look
	 * for the socket there.
	 */
	if (redirect_is_upstream(b, path))
		return bridge_usable(b) ? b->upstream : b->publics[0];
	return path;
}

int redirect_bind(struct bridge *b, int fd, const struct sockaddr *addr, socklen_t len)
{
	const size_t head = offsetof(struct sockaddr_un, sun_path);
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char path[BRIDGE_PATH_MAX + 1] = "";
	const char *target, *public;
	mode_t mask;
	int rc, saved;

	if (!b->flavour || !addr || len <= head || len > sizeof(un) || addr->sa_family != AF_UNIX)
		return real_bind(fd, addr, len);
	memcpy(path, (const char *)addr + head, len - head);
	target = redirect_path(b, path);
	if (target == path || strlen(target) >= sizeof(un.sun_path))
		return real_bind(fd, addr, len);

	memcpy(un.sun_path, target, strlen(target) + 1);
	if (target != b->upstream)
		return real_bind(fd, (struct sockaddr *)&un, sizeof(un));

	/* The C daemon runs with umask 0 and calls chmod() only afterwards. */
	mask = umask(0177);
	rc = real_bind(fd, (struct sockaddr *)&un, sizeof(un));
	saved = errno;
	umask(mask);
	if (rc == 0) {
		public = redirect_public(b, path);
		b->asked = public ? public : b->publics[0];
	}
	errno = saved;
	return rc;
}

void redirect_give_back(struct bridge *b)
{
	if (!b->asked || rename(b->upstream, b->asked) == 0)
		return;
	/* On another file system: a link to it serves clients as well. */
	if ((real_unlink(b->asked) < 0 && errno != ENOENT) || symlink(b->upstream, b->asked) < 0)
		bridge_log(LOG_ERR, "%s: %s; clients find xenstored at %s only", b->asked,
			   strerror(errno), b->upstream);
}

bool redirect_is_kva(const struct bridge *b, const char *path)
{
	return b->state == BRIDGE_AWAKE && b->relay_dom0 && path && !strcmp(path, b->xsd_kva);
}
