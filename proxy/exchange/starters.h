/* SPDX-License-Identifier: MIT */
/*
 * starters - where the starters of xenstored come (link/start.h): the socket, and the one that is
 * there.
 *
 * There is one at a time; who comes is the one that counts, for the one before has become the
 * daemon, or nothing. Used by exchange.c, which decides what each is told.
 */
#ifndef XSPROXY_PROXY_EXCHANGE_STARTERS_H
#define XSPROXY_PROXY_EXCHANGE_STARTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "link/link.h"
#include "link/start.h"

struct daemon;
struct starters;

/* What a starter says; none may free the starters. */
struct starters_news {
	/** came() - one is there. */
	void (*came)(void *arg, enum start_role role);
	/**
	 * state() - what it has.
	 * @fd: of a state, the callee's; or a negative errno
	 * @age: seconds since it was written
	 */
	void (*state)(void *arg, int fd, uint32_t age);
	/** failed() - it could not do what it was told. @why: a line */
	void (*failed)(void *arg, const char *why);
	/**
	 * conns() - what a native daemon's connections have.
	 * @fd: of conns.h, the callee's, or -1
	 * @sockets: how many come
	 */
	void (*conns)(void *arg, int fd, uint32_t sockets);
	/** sockets() - some of them, up to the first -1; the callee's. */
	void (*sockets)(void *arg, const int fds[LINK_FDS_MAX]);
	/** listener() - that daemon's, the callee's, or -1: nothing follows. */
	void (*listener)(void *arg, int fd);
	/** gone() - the one that was there has ended, or become the daemon. */
	void (*gone)(void *arg);
};

/** starters_new() - listen. Return: 0 or a negative errno. */
int starters_new(struct starters **out, struct daemon *daemon, const struct starters_news *news,
		 void *arg);

/** starters_free() - NULL is fine; returns NULL. */
struct starters *starters_free(struct starters *starters);

/**
 * starters_tell() - the one that is there.
 * @fds: go along, and stay the caller's; @count of them
 *
 * Return: 0; -ENOTCONN when there is none; or a negative errno: it is there no more.
 */
int starters_tell(struct starters *starters, enum start_type type, const int *fds, int count);

/**
 * starters_tell_value() - the same, with a number. One that is to take many descriptors is waited
 * for, for a moment: nobody is served meanwhile anyhow.
 */
int starters_tell_value(struct starters *starters, enum start_type type, int32_t value,
			const int *fds, int count);

/** starters_there() - whether there is one. */
bool starters_there(const struct starters *starters);

/** starters_pidfd() - of the one that is there, to be closed; or a negative errno. */
int starters_pidfd(const struct starters *starters);

#endif
