/* SPDX-License-Identifier: MIT */
/*
 * talk - the starter's connection to xsproxyd (link/start.h).
 *
 * xsproxyd may be away for a while, or end in the middle: it is waited for without limit, and told
 * once more that we have come. But a host's first xenstored depends on nobody: as long as there is
 * no LINK_SERVED, no xsproxyd has anything that a daemon could need.
 *
 * Called by main.c. Must never decide what is done.
 */
#ifndef XSPROXY_STARTER_TALK_H
#define XSPROXY_STARTER_TALK_H

#include <stdbool.h>

#include "link/link.h"
#include "link/start.h"
#include "starter/reason.h"

struct talk {
	const char *dir; /* the run directory */
	enum start_role role;
	bool needed;  /* xsproxyd has spoken of a state, or has what a native daemon had */
	bool waiting; /* that was said already */
	bool again;   /* there was a connection before */
	int sock;
};

/** talk_is_needed() - whether an xsproxyd may have what this host's Xenstore was. */
bool talk_is_needed(const struct talk *talk);

/**
 * talk_open() - connect and say that we have come; wait for xsproxyd, if it is needed; for a native
 * daemon LINK_TIMEOUT_MS if it is not.
 *
 * Return: 0; or a negative errno, if it is not needed and not there.
 */
int talk_open(struct talk *talk);

/** talk_close() - end the connection. */
void talk_close(struct talk *talk);

/**
 * talk_next() - wait for what xsproxyd says.
 * @fds: as of link_recv()
 * @timeout_ms: -1: without limit
 *
 * Return: 0; -ETIMEDOUT; or another negative errno, with which the connection has to end.
 */
int talk_next(const struct talk *talk, struct link_msg *msg, int fds[LINK_FDS_MAX], int timeout_ms);

/**
 * talk_say() - send a message; wait until there is room for it, LINK_TIMEOUT_MS at most.
 * @fds: @count of them go with it, and stay the caller's
 *
 * Return: 0, or a negative errno, with which the connection has to end.
 */
int talk_say(const struct talk *talk, const struct link_msg *msg, const int *fds, int count);

/**
 * talk_fail() - START_FAILED, which is also said in the log.
 * @err: a negative errno
 *
 * Return: as of talk_say().
 */
int talk_fail(const struct talk *talk, int err, const struct reason *reason);

#endif
