/* SPDX-License-Identifier: MIT */
/*
 * environment - what a daemon without the bridge gets of our environment.
 *
 * All of it but what has to do with xsproxy: XSPROXY_*, except for where it is, for it may come
 * back, XENSTORED_PATH, which we had set, and in LD_PRELOAD the bridge. That is what comes first in
 * XSPROXY_PRELOAD, and whatever is called so.
 *
 * Called by daemon.c. Must never change our own, which is needed if the daemon cannot be started.
 */
#ifndef XSPROXY_STARTER_ENVIRONMENT_H
#define XSPROXY_STARTER_ENVIRONMENT_H

struct environment {
	char **words;  /* NAME=VALUE, with a NULL behind them; but for one of them they are others'
			*/
	char *preload; /* that one, or NULL */
};

/** environment_make() - fill in @out; environment_clear() it. Return: 0 or -ENOMEM. */
int environment_make(struct environment *out);

/** environment_clear() - free what environment_make() has made. */
void environment_clear(struct environment *environment);

#endif
