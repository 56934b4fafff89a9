// SPDX-License-Identifier: MIT
/*
 * talk - see talk.h.
 */
#include "starter/talk.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "starter/memfd.h"
#include "starter/say.h"

#define AGAIN_MS 100 /* between two attempts to connect */

static void pause_ms(long ms)
{
	const struct timespec time = { .tv_nsec = ms * 1000000 };

	nanosleep(&time, NULL);
}

/* Whoever may write there could pass for xsproxyd. */
static bool has_dir(const struct talk *talk)
{
	struct stat st;

	return !lstat(talk->dir, &st) && link_dir_is_ours(&st);
}

bool talk_is_needed(const struct talk *talk)
{
	char path[PATH_MAX];

	if (talk->role != START_DAEMON || talk->needed)
		return talk->role == START_UPDATE || talk->needed;
	snprintf(path, sizeof(path), "%s/%s", talk->dir, LINK_SERVED);
	return has_dir(talk) && !access(path, F_OK);
}

static void say_waiting(struct talk *talk, int err)
{
	if (talk->waiting)
		return;
	talk->waiting = true;
	starter_say("xenstored waits for xsproxyd at %s/%s, which has what this host's Xenstore "
		    "was: %s; start it",
		    talk->dir, LINK_STARTER, strerror(-err));
}

static int connect_once(const struct talk *talk)
{
	return has_dir(talk) ? link_connect(talk->dir, LINK_STARTER) : -ENOENT;
}

int talk_open(struct talk *talk)
{
	const struct link_msg come = { .type = START_COME,
				       .domid = talk->role,
				       .value = START_VERSION };

	int tries = talk->role == START_NATIVE ? LINK_TIMEOUT_MS / AGAIN_MS : 1;

	if (talk->again)
		pause_ms(AGAIN_MS);
	for (;;) {
		int r = connect_once(talk);

		if (r >= 0) {
			talk->sock = r;
			r = talk_say(talk, &come, NULL, 0);
			if (!r)
				return 0;
			talk_close(talk);
		}
		if (talk_is_needed(talk))
			say_waiting(talk, r);
		else if (!--tries)
			return r;
		pause_ms(AGAIN_MS);
	}
}

void talk_close(struct talk *talk)
{
	close(talk->sock);
	talk->sock = -1;
	talk->again = true;
}

/* Return: whether it came to pass in time. */
static bool wait_for(int sock, short events, int timeout_ms)
{
	struct pollfd look = { .fd = sock, .events = events };

	return poll(&look, 1, timeout_ms);
}

int talk_next(const struct talk *talk, struct link_msg *msg, int fds[LINK_FDS_MAX], int timeout_ms)
{
	int r;

	while ((r = link_recv(talk->sock, msg, fds)) == -EAGAIN)
		if (!wait_for(talk->sock, POLLIN, timeout_ms))
			return -ETIMEDOUT;
	return r;
}

int talk_say(const struct talk *talk, const struct link_msg *msg, const int *fds, int count)
{
	int r;

	while ((r = link_send(talk->sock, msg, fds, count)) == -EAGAIN)
		if (!wait_for(talk->sock, POLLOUT, LINK_TIMEOUT_MS))
			return -ETIMEDOUT;
	return r;
}

int talk_fail(const struct talk *talk, int err, const struct reason *reason)
{
	const struct link_msg msg = { .type = START_FAILED, .value = err };
	int fd = memfd_text(reason->text), r;

	starter_say("%s", reason->text);
	if (fd < 0)
		return fd;
	r = talk_say(talk, &msg, &fd, 1);
	close(fd);
	return r;
}
