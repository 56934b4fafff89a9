/* SPDX-License-Identifier: MIT */
/*
 * client - one toolstack client: its socket, xenstored's for it, and the session between the two.
 *
 * The session sees two queues of octets; sock.c moves them from and to the kernel. A client that
 * goes away takes its upstream connection with it, once upstream has answered what it was sent.
 *
 *	waits		accepted; there is no connection to xenstored yet
 *	left		an xsproxyd before us had its session; waits to be taken up
 *	has a session
 *
 * Made, listed and freed by clients.c, which is told (`ended`) when a session has come to its end:
 * after the round, never within a turn. Must never look at what the octets say: the session does.
 */
#ifndef XSPROXY_PROXY_HOST_CLIENT_H
#define XSPROXY_PROXY_HOST_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proxy/host/slots.h"
#include "proxy/loop.h"
#include "proxy/session/session.h"

struct daemon;
struct event;
struct keeper;

struct client {
	TAILQ_ENTRY(client) list;
	struct daemon *daemon;
	struct slots *slots;  /* clients.c's */
	uint32_t slot;	      /* it is ours until client_free() */
	int fds[SLOT_SIDES];  /* -1: none, or its sock has it */
	bool left;	      /* see above */
	bool held;	      /* the keeper has what there is of it */
	bool opened;	      /* it has a ledger */
	bool parting;	      /* we part from it: it gets its answers, and is asked no more */
	bool parted;	      /* its xenstored is no more; client_again() */
	bool lent;	      /* it may be a native daemon's still; client_take() */
	uint64_t back_ended;  /* ns of CLOCK_MONOTONIC; xenstored's end of it; 0: it has not */
	struct event *hangup; /* as long as it has no session */
	uint64_t since;	      /* seconds of CLOCK_MONOTONIC */
	struct who who;
	struct sock socks[SLOT_SIDES];
	struct session *session;
	struct deferred end;
	bool ending;
	void (*ended)(struct client *client); /* nothing is owed any more; free it */
};

/**
 * client_dial() - a connection to xenstored.
 *
 * Return: a non-blocking descriptor that the caller owns; -EAGAIN when its backlog is full; -EMFILE
 * when the last descriptors are needed for else; or another negative errno.
 */
int client_dial(const struct daemon *daemon);

/** client_connect_to() - likewise, to the daemon that listens at @path. Return: as client_dial().
 */
int client_connect_to(const char *path);

/**
 * client_start() - begin its session, with xenstored's socket for it.
 * @upstream: taken over, whatever it returns
 *
 * Return: 0 or -ENOMEM: the client is to be freed.
 */
int client_start(struct client *client, int upstream);

/**
 * client_resume() - go on with the session that an xsproxyd before us left.
 *
 * Return: 0; -ENOMEM: maybe the next xsproxyd can (slots_starve()); or another negative errno: it
 * cannot be, and the client is to be freed.
 */
int client_resume(struct client *client);

/**
 * client_again() - go on with a connection to another xenstored, with nothing under way; what it
 * has there is made anew by renew.h.
 *
 * Return: 0, or as client_dial(): it is to be tried again; or -ENOMEM.
 */
int client_again(struct client *client, struct keeper *keeper);

/** client_take() - it was lent, and is ours from now on; of any other one nothing is changed. */
void client_take(struct client *client);

/** client_keep() - have the keeper hold it from now on, all octets counted. */
void client_keep(struct client *client, struct keeper *keeper);

/** client_unkept() - there is no keeper any more. */
void client_unkept(struct client *client);

/** client_part() - it may send no more; once it has its answers, it has ended. */
void client_part(struct client *client);

/**
 * client_free() - with all it has: its session, sockets, ledger and number. Not from its session's
 * turn; clients.c has taken it from its list.
 * @leave: the next xsproxyd goes on with it; the keeper has what it needs
 */
void client_free(struct client *client, bool leave);

#endif
