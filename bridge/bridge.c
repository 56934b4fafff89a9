// SPDX-License-Identifier: MIT
/*
 * bridge - the context of libxsproxy-bridge.so and its wake-up. See bridge.h.
 *
 * Called by the interposers. Decides whether the library does anything at all in this process; when
 * in doubt it does not, because a xenstored without xsproxy serves its guests, and one that failed
 * half-way serves nobody.
 */
#include "bridge/bridge.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "bridge/adopt.h"
#include "bridge/doorbell.h"
#include "bridge/real.h"
#include "bridge/redirect.h"
#include "link/link.h"

/*
 * One for the process: the functions that we stand in for have no argument to hang a context on
 * (bind, munmap, open), and the daemon has one event channel handle and one socket.
 */
static struct bridge the_bridge = {
	.rings = RINGS_NULL,
	.epoll = -1,
	.wake_stored = -1,
	.wake_proxy = -1,
	.listener = -1,
	.owner = -1,
	.owner_pidfd = -1,
	.kept = -1,
	.adopt = { .fd = -1 },
	.say = { .log = SAY_LOG, .err = STDERR_FILENO },
};

void bridge_log(int priority, const char *fmt, ...)
{
	int saved = errno;
	char line[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	say_line(&the_bridge.say, priority, line);
	errno = saved;
}

/* Which daemon this process runs, or 0. The file counts: a script can call itself anything. */
static enum rings_flavour bridge_flavour(void)
{
	char exe[PATH_MAX];
	const char *name;
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (len <= 0)
		return 0;
	exe[len] = '\0';
	name = strrchr(exe, '/');
	name = name ? name + 1 : exe;
	if (!strcmp(name, "xenstored"))
		return RINGS_FLAVOUR_C;
	if (!strcmp(name, "oxenstored"))
		return RINGS_FLAVOUR_OCAML;
	return 0;
}

static const char *bridge_env(const char *name, const char *fallback)
{
	const char *value = getenv(name);

	return value && *value ? value : fallback;
}

static void bridge_configure(struct bridge *b)
{
	const char *own = bridge_env("XSPROXY_STORED_SOCKET", NULL);

	snprintf(b->dir, sizeof(b->dir), "%s", bridge_env("XSPROXY_DIR", LINK_RUN_DIR));
	b->publics[0] = own ? own : "/run/xenstored/socket";
	b->publics[1] = own ? NULL : "/var/run/xenstored/socket";
	b->xsd_kva = bridge_env("XSPROXY_XSD_KVA", "/proc/xen/xsd_kva");
	b->relay_dom0 = strcmp(bridge_env("XSPROXY_DOM0", "1"), "0") != 0;
	adopt_ask(b);
	say_prepare();
}

struct bridge *bridge_get(void)
{
	struct bridge *b = &the_bridge;
	int saved = errno;

	if (b->state != BRIDGE_NEW)
		return b;
	b->flavour = bridge_flavour();
	b->state = b->flavour ? BRIDGE_READY : BRIDGE_INERT;
	if (b->state == BRIDGE_READY)
		bridge_configure(b);
	errno = saved;
	return b;
}

/* Return: NULL when the run directory is as it must be, or what is wrong with it. */
static const char *bridge_check_dir(struct bridge *b)
{
	struct stat st;
	int len;

	len = snprintf(b->upstream, sizeof(b->upstream), "%s/%s", b->dir, LINK_UPSTREAM);
	if (b->dir[0] != '/')
		return "is not an absolute path";
	if (len < 0 || (size_t)len >= sizeof(b->upstream))
		return "is too long for a socket's name";
	if (lstat(b->dir, &st) < 0)
		return strerror(errno);
	if (!S_ISDIR(st.st_mode))
		return "is not a directory";
	if (!link_dir_is_ours(&st))
		return "must be ours, with mode 0700";
	return NULL;
}

bool bridge_usable(struct bridge *b)
{
	const char *reason;

	if (b->state != BRIDGE_READY)
		return b->state == BRIDGE_USABLE || b->state == BRIDGE_AWAKE;
	reason = bridge_check_dir(b);
	if (!reason) {
		b->state = BRIDGE_USABLE;
		return true;
	}
	b->state = BRIDGE_INERT;
	bridge_log(LOG_ERR,
		   "%s: %s; running xenstored WITHOUT xsproxy; fix XSPROXY_DIR and reboot dom0",
		   b->dir, reason);
	return false;
}

static int bridge_watch(struct bridge *b, int fd, enum doorbell_source source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u32 = source };

	return epoll_ctl(b->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int bridge_open_fds(struct bridge *b)
{
	b->wake_stored = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (b->wake_stored < 0)
		return -errno;
	b->wake_proxy = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (b->wake_proxy < 0)
		return -errno;
	b->epoll = epoll_create1(EPOLL_CLOEXEC);
	return b->epoll < 0 ? -errno : 0;
}

static int bridge_watch_all(struct bridge *b, xenevtchn_handle *xce)
{
	int rc, fd = real_evtchn_fd(xce);

	if (fd < 0)
		return -errno;
	rc = bridge_watch(b, fd, SOURCE_EVTCHN, EPOLLIN);
	if (rc == 0)
		rc = bridge_watch(b, b->wake_stored, SOURCE_BELLS, EPOLLIN);
	/*
	 * Edge-triggered, because accept() can fail for want of descriptors, and then the daemon
	 * would spin; the next one who connects is the next edge.
	 */
	if (rc == 0)
		rc = bridge_watch(b, b->listener, SOURCE_LISTENER, EPOLLIN | EPOLLET);
	return rc;
}

static void bridge_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static bool bridge_begin(struct bridge *b, xenevtchn_handle *xce)
{
	const char *what;
	int rc;

	what = "shared memory";
	rc = adopt_open(b) ? 0 : rings_create(&b->rings, b->flavour);
	if (rc < 0)
		goto fail;
	what = "descriptors";
	rc = bridge_open_fds(b);
	if (rc < 0)
		goto fail;
	what = "socket " LINK_SOCKET;
	rc = link_listen(b->dir, LINK_SOCKET);
	if (rc < 0)
		goto fail;
	b->listener = rc;
	what = "epoll";
	rc = bridge_watch_all(b, xce);
	if (rc < 0)
		goto fail;
	b->xce = xce;
	b->state = BRIDGE_AWAKE;
	/* Its words are about another eventfd; and the first look is not to wait. */
	if (b->adopt.underway)
		doorbell_wake_stored(b);
	return true;
fail:
	b->state = BRIDGE_INERT;
	rings_close(&b->rings);
	bridge_close_fd(&b->epoll);
	bridge_close_fd(&b->wake_stored);
	bridge_close_fd(&b->wake_proxy);
	bridge_close_fd(&b->listener);
	bridge_log(LOG_ERR,
		   "%s: %s: %s; running xenstored WITHOUT xsproxy; free resources and reboot dom0",
		   b->dir, what, strerror(-rc));
	redirect_give_back(b);
	return false;
}

bool bridge_wake(struct bridge *b, xenevtchn_handle *xce)
{
	if (b->state == BRIDGE_AWAKE || (bridge_usable(b) && bridge_begin(b, xce)))
		return true;
	if (!b->adopt.asked)
		return true;
	bridge_log(LOG_ERR, "%s: it has the state of a xenstored with xsproxy, so it ends instead",
		   b->dir);
	return false;
}
