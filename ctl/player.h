/* SPDX-License-Identifier: MIT */
/*
 * player - plays the requests of a capture to a xenstored that nobody uses, and compares what it
 * answers.
 *
 * Each session of the capture is a connection of its own to the socket, where transactions have
 * other ids. All of them, and all nodes, are dom0's, for the domains of the capture are not there:
 * a guest's relative paths are made absolute, SET_PERMS makes dom0 the owner, and what a guest was
 * refused for its rights or quotas is left out. So is what is about another machine, what is in
 * the capture only in part, and what belongs to a transaction that began before it.
 *
 * Called by ctl/cmd_replay. Must never play a request twice.
 */
#ifndef XSPROXY_CTL_PLAYER_H
#define XSPROXY_CTL_PLAYER_H

#include "migration/interrupt.h"
#include "trace/flow.h"

struct player;

/* Why a request was left out */
enum player_left {
	PLAYER_OTHER,	    /* about domains, quotas, xsproxy or nothing that is known */
	PLAYER_REFUSED,	    /* for a guest's rights or quotas */
	PLAYER_TRANSACTION, /* in a transaction that is not here */
	PLAYER_CUT,	    /* not there in full, or too long with an absolute path */
	PLAYER_UNANSWERED,  /* nobody knows whether it was carried out */
	PLAYER_LEFT,	    /* how many there are of these */
};

struct player_count {
	uint64_t played;
	uint64_t different;
	uint64_t left[PLAYER_LEFT];
	uint64_t lost; /* frames that are not in the capture */
};

/*
 * Told of an exchange that was answered otherwise. @here: the reply, as a view; took is how long it
 * took. Both are valid until the function returns.
 */
typedef void (*player_differs_fn)(void *arg, const struct exchange *exchange,
				  const struct view *here);

/**
 * player_new() - nothing is played yet.
 * @socket: of the xenstored; outlives it
 * @interrupt: ends a wait; outlives it
 *
 * Return: NULL when memory ran out.
 */
struct player *player_new(const char *socket, const struct interrupt *interrupt,
			  player_differs_fn differs, void *arg);

/** player_free() - closes all connections. NULL is fine. */
void player_free(struct player *player);

/**
 * player_see() - first all frames of the capture are shown to it, in order: so it knows when a
 * session has ended, and its connection can be closed.
 *
 * Return: 0 or -ENOMEM.
 */
int player_see(struct player *player, const struct view *view);

/**
 * player_take() - then each comes again, and is played once its reply has come.
 *
 * Return: 0; or what ends it all: -ENOMEM, what connecting failed with, or as wire_call() without
 * an answer.
 */
int player_take(struct player *player, const struct view *view);

/** player_end() - no more frames come. Return: as player_take(). */
int player_end(struct player *player);

/** player_count() - what was played so far. */
const struct player_count *player_count(const struct player *player);

#endif
