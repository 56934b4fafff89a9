/* SPDX-License-Identifier: MIT */
/*
 * link - the messages between the bridge (in xenstored) and xsproxyd, and between xsproxyd and the
 * keeper (keep.h).
 *
 * A SOCK_SEQPACKET unix socket; the bridge listens, xsproxyd connects, one owner at a time. One
 * struct link_msg a packet. The bridge opens with LINK_HELLO, which carries three descriptors: the
 * rings' memfd (rings.h), the eventfd that wakes xsproxyd and the one that wakes xenstored. Then
 * the bridge tells what xenstored does to its mappings and ports, after it has written it to the
 * domain's struct rings_attach, and waits (LINK_TIMEOUT_MS at most) for a LINK_ACK with the same
 * `seq`: an error in the answer to LINK_MAP and LINK_BIND becomes xenstored's.
 *
 * The bridge also keeps one descriptor for whichever xsproxyd comes next: LINK_KEEP gives it one,
 * LINK_FETCH asks for it, at any time. It holds it and looks at nothing behind it.
 *
 * Version 1 (xsproxy 0.1) had neither; its HELLO carries the one memfd of that time
 * (proxy/host/memory.h).
 *
 * Used by all three; must never block: the waiting is the bridge's and the keeper's.
 */
#ifndef XSPROXY_LINK_LINK_H
#define XSPROXY_LINK_LINK_H

#include <stdbool.h>
#include <stdint.h>

#define LINK_VERSION	 2
#define LINK_VERSION_OLD 1
#define LINK_HELLO_FDS	 3
#define LINK_FDS_MAX	 LINK_HELLO_FDS
#define LINK_PUT_FDS	 2
#define LINK_TIMEOUT_MS	 3000

/* Names of the sockets below the run directory (XSPROXY_DIR, /run/xsproxy) */
#define LINK_RUN_DIR  "/run/xsproxy"
#define LINK_SOCKET   "bridge"	 /* the bridge listens here */
#define LINK_UPSTREAM "upstream" /* xenstored's own socket, moved here */
#define LINK_KEEPER   "keeper"	 /* the keeper listens here (keep.h) */

enum link_type {
	LINK_HELLO = 1, /* value: LINK_VERSION */
	LINK_BUSY,	/* there is an owner already; the bridge closes */
	LINK_MAP,	/* xenstored maps the domain's page */
	LINK_BIND,	/* it binds `value`, the domain's port */
	LINK_UNBIND,
	LINK_UNMAP,
	LINK_ACK,   /* value: 0 or a negative errno */
	LINK_FETCH, /* xsproxyd asks for what is kept */
	LINK_KEPT,  /* the answer; with the descriptor, if there is one */
	LINK_KEEP,  /* xsproxyd gives one to keep, in place of the one before */

	/* xsproxyd and the keeper (keep.h); `domid` is the key */
	LINK_PUT = 64, /* keep these one or two under this key, in place of what was */
	LINK_DROP,     /* close what is under this key */
	LINK_CLEAR,    /* close all */
	LINK_GIVE,     /* send all there is */
	LINK_HAS,      /* the answer, once for each key that has something, */
	LINK_END,      /* then this */
};

struct stat;

struct link_msg {
	uint32_t type; /* enum link_type */
	uint32_t seq;
	uint32_t domid;
	int32_t value;
};

/**
 * link_send() - send one message.
 * @sock: the connection
 * @fds: descriptors that go with it (they stay the caller's), @count of them
 *
 * Return: 0, or a negative errno of sendmsg (-EAGAIN when the peer does not read).
 */
int link_send(int sock, const struct link_msg *msg, const int *fds, int count);

/**
 * link_recv() - receive one message without waiting.
 * @fds: set to -1 where none came; what came is the caller's
 *
 * Return: 0; -EAGAIN when there is none; -ECONNRESET at the end of the connection; -EMFILE when its
 * descriptors did not fit here and are lost, but *@msg came; -EPROTO for a packet of the wrong size
 * or with descriptors that do not belong there; or another errno.
 */
int link_recv(int sock, struct link_msg *msg, int fds[LINK_FDS_MAX]);

/** link_move_fds() - take what LINK_PUT or LINK_HAS brought out of @fds. Return: how many. */
int link_move_fds(int fds[LINK_FDS_MAX], int to[LINK_PUT_FDS]);

/**
 * link_dir_is_ours() - whether the run directory is as it must be: a directory that belongs to us
 * and that nobody else may enter, for whoever reaches the sockets in it has dom0's rights.
 * @st: of it
 */
bool link_dir_is_ours(const struct stat *st);

/** link_close_fds() - close what a message brought that nobody wants. */
void link_close_fds(int fds[LINK_FDS_MAX]);

/**
 * link_listen() - listen below a directory, in place of whoever did before.
 * @name: LINK_SOCKET or LINK_KEEPER
 *
 * Return: a non-blocking descriptor, or a negative errno.
 */
int link_listen(const char *dir, const char *name);

/** link_connect() - connect to who listens there. Return: as link_listen(). */
int link_connect(const char *dir, const char *name);

#endif
