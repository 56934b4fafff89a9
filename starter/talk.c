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

	if (talk->role == START_UPDATE || talk->needed)
		return true;
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

	if (talk->again)
		pause_ms(AGAIN_MS);
	for (;;) {
		int r = connect_once(talk);

		if (r >= 0) {
			talk->sock = r;
			r = talk_say(talk, &come, -1);
			if (!r)
				return 0;
			talk_close(talk);
		}
		if (!talk_is_needed(talk))
			return r;
		say_waiting(talk, r);
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

int talk_say(const struct talk *talk, const struct link_msg *msg, int fd)
{
	int r;

	while ((r = link_send(talk->sock, msg, &fd, fd >= 0)) == -EAGAIN)
		wait_for(talk->sock, POLLOUT, -1);
	return r;
}
