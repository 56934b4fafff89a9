/* SPDX-License-Identifier: MIT */
/*
 * upstream_parts - xsproxyd's end of the bridge, for upstream.c, which talks to it, and
 * upstream_take.c, which takes up what lies in its memory.
 */
#ifndef XSPROXY_PROXY_HOST_UPSTREAM_PARTS_H
#define XSPROXY_PROXY_HOST_UPSTREAM_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "link/keep.h"
#include "link/link.h"
#include "proxy/host/memory.h"

struct daemon;
struct event;
struct pool;
struct upstream_watcher;

struct upstream {
	struct daemon *daemon;
	int sock;		 /* -1: none */
	int to_proxy, to_stored; /* eventfds */
	int left[LINK_PUT_FDS];	 /* ledgers and rings that the keeper had, or -1 */
	int state, pidfd;	 /* upstream_keep_state(); negative: none */
	int mirror;		 /* upstream_keep_mirror(); the same */
	struct memory memory;
	struct pool *pool;
	uint32_t cursor;
	bool ready;	       /* the memory is here */
	bool waits;	       /* it is, and a bridge that goes on with these rings is to come */
	bool fetching;	       /* the rings are, and the bridge was asked for the ledgers */
	bool told;	       /* that we wait */
	bool refused;	       /* the reason has been logged */
	char foreign[256];     /* what of another version there is, so that we stand by; or "" */
	struct link_msg asked; /* while fetching: what xenstored waits for; type 0: nothing */
	struct event *sock_event, *bell_event, *timer;
	const struct upstream_watcher *watcher;
	void *watcher_arg;
};

static inline struct rings_header *upstream_header(const struct upstream *up)
{
	return rings_header(&up->memory.rings);
}

/* --- upstream_take.c */

/** upstream_hello() - HELLO has come. @fds: what it brought; taken over as far as it is used */
void upstream_hello(struct upstream *up, const struct link_msg *msg, int fds[LINK_FDS_MAX]);

/** upstream_kept() - KEPT has come, with @fd or -1; taken over (and set to -1) as far as it is
 * used. */
void upstream_kept(struct upstream *up, int *fd);

/** upstream_close() - the connection, not what it brought. */
void upstream_close(struct upstream *up);

/** upstream_forget() - the connection, and what it brought; domains are detached. */
void upstream_forget(struct upstream *up);

/** upstream_drop_left() - what the keeper had is of no more use. */
void upstream_drop_left(struct upstream *up);

/* --- upstream.c */

/** upstream_change() - carry out what xenstored did, and answer. */
void upstream_change(struct upstream *up, const struct link_msg *msg);

/** upstream_refuse() - the bridge cannot be used: once in the log, for it is tried again. */
void upstream_refuse(struct upstream *up, const char *why);

/** upstream_lost() - xenstored has gone, talks nonsense, or has given us up. */
void upstream_lost(struct upstream *up, const char *why);

/** upstream_let_go() - domains' pages stay as they are, and so do their ledgers. */
void upstream_let_go(struct upstream *up);

/** upstream_ready_all() - run every ring session once, and ring every bell. */
void upstream_ready_all(struct upstream *up);

#endif
