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
#include <unistd.h>

#include "link/start.h"
#include "proxy/daemon.h"
#include "proxy/host/mark.h"
#include "proxy/local.h"
#include "proxy/log.h"
#include "proxy/session/who.h"

#define LISTEN_BACKLOG SOMAXCONN /* clients are many and short-lived; systemd does the same */

static void log_no_effect(const char *held, const char *option, const char *value,
			  const char *instead)
{
	log_line(LOG_WARNING,
		 "systemd holds the toolstack's socket, %s; %s = %s is of no effect, %s of "
		 "xsproxy.socket is",
		 held, option, value, instead);
}

/*
 * Nobody would find out otherwise why it is not as the file says. What says nothing asks nothing.
 */
static void compare(int fd, const struct config *config)
{
	struct sockaddr_un addr = { .sun_family = AF_UNSPEC };
	socklen_t len = sizeof(addr) - 1; /* so that its path ends */
	struct stat st;
	char mode[8];

	if (getsockname(fd, (struct sockaddr *)&addr, &len) || addr.sun_family != AF_UNIX)
		return;
	if (strcmp(addr.sun_path, config->socket))
		log_no_effect(addr.sun_path, "[xsproxy] socket", config->socket, "ListenStream=");
	if (stat(addr.sun_path, &st))
		return;
	snprintf(mode, sizeof(mode), "%04o", config->socket_mode);
	if (config->socket_mode != LOCAL_MODE && config->socket_mode != (st.st_mode & 0777))
		log_no_effect(addr.sun_path, "[socket] mode", mode, "SocketMode=");
	if (config->socket_group.id[0] && config->socket_group.id[0] != st.st_gid)
		log_no_effect(addr.sun_path, "[socket] group", config->socket_group.text,
			      "SocketGroup=");
}

/* The group first: a mode for one group is not for another. */
static void let_in(struct daemon *daemon)
{
	const struct config *config = &daemon->config;
	gid_t group = config->socket_group.id[0];
	char text[NOTIFY_TEXT_MAX];

	if ((!group || !lchown(config->socket, (uid_t)-1, group)) &&
	    (config->socket_mode == LOCAL_MODE || !chmod(config->socket, config->socket_mode)))
		return;
	snprintf(text, sizeof(text),
		 "cannot give %s the group %s and mode %04o: %s; only root can connect; correct "
		 "[socket] group and mode",
		 config->socket, config->socket_group.text, config->socket_mode, strerror(errno));
	log_line(LOG_ERR, "%s", text);
	notify_wrong(&daemon->notify, NOTIFY_SOCKET, text);
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

/* /var/run and /run, for one */
static bool is_same(const char *path, const char *other)
{
	struct stat st, also;

	return !stat(path, &st) && S_ISSOCK(st.st_mode) && !stat(other, &also) &&
	       st.st_dev == also.st_dev && st.st_ino == also.st_ino;
}

/* Whether clients that look for us where we are to be find this one. */
static bool is_at(int fd, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNSPEC };
	socklen_t len = sizeof(addr) - 1;

	return fd >= 0 && !getsockname(fd, (struct sockaddr *)&addr, &len) &&
	       addr.sun_family == AF_UNIX && is_same(path, addr.sun_path);
}

static bool is_entering(const struct config *config, int fd)
{
	char path[MARK_PATH_MAX];

	return is_at(fd, mark_path(config, path, LINK_ENTERING));
}

/*
 * Once we are before a daemon that was native, systemd's is where nobody looks for us. Until then
 * it is all there is, for what toolstacks connect to is that daemon's.
 */
static bool is_void(const struct config *config, int fd, int kept)
{
	return is_entering(config, fd) &&
	       (is_at(kept, config->socket) || mark_is_set(config, LINK_SERVED));
}

static int listen_there(struct daemon *daemon, int kept)
{
	const char *path = daemon->config.socket;
	int fd;

	make_parents(path);
	fd = is_at(kept, path) ? kept : local_listen(path, LISTEN_BACKLOG);
	if (fd < 0)
		log_line(LOG_ERR,
			 "cannot listen for toolstacks on %s: %s; correct [xsproxy] socket or "
			 "--socket",
			 path, strerror(-fd));
	else
		let_in(daemon);
	return fd;
}

/* The other place is that of the daemon to which we have left all. */
static int listen_aside(const struct config *config)
{
	char path[MARK_PATH_MAX];
	int fd = local_listen(mark_path(config, path, LINK_ENTERING), LISTEN_BACKLOG);

	if (fd < 0)
		log_line(LOG_ERR, "cannot listen on %s: %s", path, strerror(-fd));
	return fd;
}

int public_listen(struct daemon *daemon, int kept, bool *inherited)
{
	const struct config *config = &daemon->config;

	*inherited = sd_listen_fds(0) == 1;
	if (*inherited && is_void(config, SD_LISTEN_FDS_START, kept)) {
		close(SD_LISTEN_FDS_START);
		*inherited = false;
	}
	if (*inherited) {
		if (!is_entering(config, SD_LISTEN_FDS_START))
			compare(SD_LISTEN_FDS_START, config);
		return SD_LISTEN_FDS_START;
	}
	return mark_is_set(config, LINK_LEFT) ? listen_aside(config) : listen_there(daemon, kept);
}

void public_unlink(const struct config *config, int fd)
{
	if (is_at(fd, config->socket))
		unlink(config->socket);
}

bool public_lists(const struct config *config, const struct who *who)
{
	return local_is_root(who->uid) || ids_has(&config->socket_users, who->uid);
}

bool public_admits(const struct config *config, struct log_source *log, int fd, struct who *who)
{
	char text[WHO_TEXT_MAX];

	if (who_peer(fd, who) && public_lists(config, who))
		return true;
	log_limited(log, LOG_WARNING,
		    "refused %s on the Xenstore socket; list the user in [socket] users if it may "
		    "do what dom0 may",
		    who_text(who, text));
	return false;
}
