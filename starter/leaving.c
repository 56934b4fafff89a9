// SPDX-License-Identifier: MIT
/*
 * leaving - see leaving.h.
 */
#include "starter/leaving.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { MORE, LAST }; /* beside errnos */

static int take_fd(int fds[LINK_FDS_MAX], int which)
{
	int fd = fds[which];

	fds[which] = -1;
	return fd;
}

static int add(struct leaving *leaving, int fds[LINK_FDS_MAX])
{
	for (int i = 0; i < LINK_FDS_MAX && fds[i] >= 0; i++) {
		if (leaving->nr == leaving->wanted)
			return -EPROTO;
		leaving->fds[leaving->nr++] = take_fd(fds, i);
	}
	return MORE;
}

/* Return: MORE, LAST, or a negative errno. */
static int take_next(struct leaving *leaving, const struct talk *talk)
{
	int fds[LINK_FDS_MAX], r;
	struct link_msg msg;

	r = talk_next(talk, &msg, fds, -1);
	if (r && r != -EMFILE)
		return r;
	if (msg.type == START_LISTENER) {
		leaving->fds[LEAVING_LISTENER] = take_fd(fds, 0);
		r = LAST;
	} else {
		r = msg.type == START_SOCKETS ? add(leaving, fds) : -EPROTO;
	}
	link_close_fds(fds);
	return r;
}

int leaving_take(struct leaving *out, const struct talk *talk, const struct link_msg *msg,
		 int fds[LINK_FDS_MAX])
{
	int r;

	*out = (struct leaving){ .state = -1, .conns = -1 };
	if (msg->value < 0)
		return -EPROTO;
	out->wanted = LEAVING_SOCKETS + (size_t)msg->value;
	out->fds = malloc(out->wanted * sizeof(*out->fds));
	if (!out->fds)
		return -ENOMEM;
	out->state = take_fd(fds, 0);
	out->conns = take_fd(fds, 1);
	out->fds[LEAVING_EVTCHN] = take_fd(fds, 2);
	out->fds[LEAVING_LISTENER] = -1;
	out->nr = LEAVING_SOCKETS;
	do {
		r = take_next(out, talk);
	} while (r == MORE);
	return r == LAST ? 0 : r;
}

void leaving_close(struct leaving *leaving)
{
	if (leaving->state >= 0)
		close(leaving->state);
	if (leaving->conns >= 0)
		close(leaving->conns);
	for (size_t i = 0; i < leaving->nr; i++)
		if (leaving->fds[i] >= 0)
			close(leaving->fds[i]);
	free(leaving->fds);
}
