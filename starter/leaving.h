/* SPDX-License-Identifier: MIT */
/*
 * leaving - what START_LEAVE brings (link/start.h), and what comes after it: all that a daemon
 * without the bridge goes on with.
 *
 * Called by main.c; what is done with it is restore.c's. Must never judge it: whatever has come,
 * the last message has to have been read before xsproxyd is told anything.
 */
#ifndef XSPROXY_STARTER_LEAVING_H
#define XSPROXY_STARTER_LEAVING_H

#include <stddef.h>

#include "starter/talk.h"

/* Which of the descriptors it is */
enum leaving_fd { LEAVING_EVTCHN, LEAVING_LISTENER, LEAVING_SOCKETS };

struct leaving {
	int state, conns; /* memfds */
	int *fds;	  /* that the daemon gets: of event channels, to listen, of clients */
	size_t nr;	  /* how many there are */
	size_t wanted;	  /* how many there are to be */
};

/**
 * leaving_take() - receive all of it.
 * @out: filled in; leaving_close() it, whatever comes of this
 * @msg, @fds: START_LEAVE; gets what it wants out of @fds
 *
 * Return: 0, also where descriptors were lost because we may have no more of them: then there are
 * fewer than are wanted. Or a negative errno, with which the connection has to end.
 */
int leaving_take(struct leaving *out, const struct talk *talk, const struct link_msg *msg,
		 int fds[LINK_FDS_MAX]);

/** leaving_close() - close it all, and free what leaving_take() has made. */
void leaving_close(struct leaving *leaving);

#endif
