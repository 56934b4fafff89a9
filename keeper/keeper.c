// SPDX-License-Identifier: MIT
/*
 * xsproxy-keeper - holds descriptors for xsproxyd, which may end at any time; they stay open here,
 * and whoever is at their other ends notices nothing.
 *
 * It looks at nothing behind them, knows no protocol but link.h's, and has no configuration, so
 * there is no reason to ever restart it. If it ends all the same, xsproxyd fills the next one.
 * Whoever holds the descriptors of dom0's clients has dom0's rights: it serves only its own user.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "link/keep.h"
#include "link/link.h"

struct kept {
	int count;
	int fds[LINK_PUT_FDS];
};

struct keeper {
	int listener;
	int peer; /* the xsproxyd that is connected */
	struct kept kept[KEEP_KEYS];
};

static void drop(struct kept *kept)
{
	for (int i = 0; i < kept->count; i++)
		close(kept->fds[i]);
	kept->count = 0;
}

static void clear(struct keeper *keeper)
{
	for (uint32_t key = 0; key < KEEP_KEYS; key++)
		drop(&keeper->kept[key]);
}

/* Takes over @fds, of which link_recv() has let through one or two. */
static void put(struct kept *kept, int fds[LINK_FDS_MAX])
{
	drop(kept);
	kept->count = link_move_fds(fds, kept->fds);
}

static void wait_for(int fd, short events)
{
	struct pollfd look = { .fd = fd, .events = events };

	while (poll(&look, 1, -1) < 0 && errno == EINTR)
		;
}

static int say(const struct keeper *keeper, const struct link_msg *msg, const struct kept *kept)
{
	int err;

	while ((err = link_send(keeper->peer, msg, kept ? kept->fds : NULL,
				kept ? kept->count : 0)) == -EAGAIN)
		wait_for(keeper->peer, POLLOUT);
	return err;
}

static int give(const struct keeper *keeper)
{
	const struct link_msg end = { .type = LINK_END };

	for (uint32_t key = 0; key < KEEP_KEYS; key++) {
		struct link_msg has = { .type = LINK_HAS, .domid = key };
		int err = keeper->kept[key].count ? say(keeper, &has, &keeper->kept[key]) : 0;

		if (err)
			return err;
	}
	return say(keeper, &end, NULL);
}

/* Takes over @fds. Return: 0, or a negative errno that ends the connection. */
static int carry_out(struct keeper *keeper, const struct link_msg *msg, int fds[LINK_FDS_MAX])
{
	if (msg->domid >= KEEP_KEYS)
		return -EPROTO;
	switch (msg->type) {
	case LINK_PUT:
		put(&keeper->kept[msg->domid], fds);
		return 0;
	case LINK_DROP:
		drop(&keeper->kept[msg->domid]);
		return 0;
	case LINK_CLEAR:
		clear(keeper);
		return 0;
	case LINK_GIVE:
		return give(keeper);
	default:
		return -EPROTO;
	}
}

/* What it was to have does not fit, so that one client is closed when xsproxyd ends. */
static void miss(struct keeper *keeper, const struct link_msg *msg, bool *told)
{
	if (msg->domid < KEEP_KEYS)
		drop(&keeper->kept[msg->domid]);
	if (!*told)
		fprintf(stderr, "xsproxy-keeper: too many descriptors; raise LimitNOFILE, or the "
				"next restart of xsproxyd closes connections\n");
	*told = true;
}

/* Until that xsproxyd ends. What it had sent by then is carried out before the next one comes. */
static void serve(struct keeper *keeper)
{
	int fds[LINK_FDS_MAX], err;
	struct link_msg msg;
	bool told = false;

	do {
		err = link_recv(keeper->peer, &msg, fds);
		if (err == -EAGAIN) {
			wait_for(keeper->peer, POLLIN);
			err = 0;
			continue;
		}
		if (err == -EMFILE) {
			miss(keeper, &msg, &told);
			err = 0;
		} else if (!err) {
			err = carry_out(keeper, &msg, fds);
		}
		link_close_fds(fds);
	} while (!err);
	if (err != -ECONNRESET)
		fprintf(stderr, "xsproxy-keeper: ends the connection of xsproxyd: %s\n",
			strerror(-err));
}

static bool is_own_user(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) && cred.uid == geteuid();
}

static void next_peer(struct keeper *keeper)
{
	wait_for(keeper->listener, POLLIN);
	keeper->peer = accept4(keeper->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (keeper->peer < 0)
		return;
	if (is_own_user(keeper->peer))
		serve(keeper);
	close(keeper->peer);
}

static int listen_below(const char *dir)
{
	struct stat st;
	int fd;

	if (mkdir(dir, 0700) && errno != EEXIST) {
		fprintf(stderr, "xsproxy-keeper: cannot create %s: %s\n", dir, strerror(errno));
		return -1;
	}
	if (lstat(dir, &st) || !link_dir_is_ours(&st)) {
		fprintf(stderr,
			"xsproxy-keeper: cannot use %s: it must belong to us and have mode 0700, "
			"for whoever reaches its sockets has dom0's rights\n",
			dir);
		return -1;
	}
	fd = link_connect(dir, LINK_KEEPER);
	/* Whoever cannot be reached for another reason than that nobody is there is there. */
	if (fd != -ENOENT && fd != -ECONNREFUSED && fd != -ENAMETOOLONG && fd != -ENOTDIR) {
		if (fd >= 0)
			close(fd);
		fprintf(stderr, "xsproxy-keeper: there is one for %s already\n", dir);
		return -1;
	}
	fd = link_listen(dir, LINK_KEEPER);
	if (fd < 0)
		fprintf(stderr, "xsproxy-keeper: cannot listen on %s/%s: %s\n", dir, LINK_KEEPER,
			strerror(-fd));
	return fd;
}

/* As many as we may have; what it is by default is not enough for many clients. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	static struct keeper keeper; /* not on the stack: 400 KiB */

	if (argc > 2 || (argc == 2 && argv[1][0] != '/')) {
		fprintf(stderr, "Usage: xsproxy-keeper [RUN-DIR]\n"
				"Hold xsproxyd's descriptors while it restarts.\n");
		return 2;
	}
	keeper.listener = listen_below(argc == 2 ? argv[1] : LINK_RUN_DIR);
	if (keeper.listener < 0)
		return 1;
	raise_limit();
	sd_notify(0, "READY=1");
	for (;;)
		next_peer(&keeper);
}
