/* SPDX-License-Identifier: MIT */
/*
 * left - the files by which one daemon hands its state to another: what the last one has left, and
 * what the next one is given.
 *
 * The C daemon has it in state_dump, which it removes when it has read it; oxenstored in db, which
 * it leaves there; both below /run/xenstored. So what is found may be no longer true, or cut off:
 *
 * - a file that was given has the modification time 0; a daemon that writes it anew changes that;
 * - all others are removed before a daemon is started, so what is there later is its own;
 * - oxenstored also writes db when it turns its access log over, without the number of its socket;
 *   that is nothing that it leaves;
 * - a daemon may have been killed while it wrote. The C daemon's file has an end to be found.
 *   oxenstored's has none; but what is written when a process is killed ends with a page, so a
 *   file that does is taken for cut off.
 *
 * XENSTORED_RUNDIR moves the C daemon's, as it does for that daemon; XSPROXY_STORED_DIR both, for
 * tests. db is also where oxenstored keeps its store from start to start if it is configured so
 * (persistent); that is no dump, and is left alone.
 */
#ifndef XSPROXY_STARTER_LEFT_H
#define XSPROXY_STARTER_LEFT_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

#include "link/rings.h"
#include "starter/reason.h"

/**
 * left_take() - the state that the last daemon has left.
 * @ended: it may have been killed while it wrote; not so, if it has executed us
 * @age: gets how many seconds ago it was written
 * @reason: gets why not
 *
 * Return: a memfd that nobody can change; -ENOENT when there is none; -EBADMSG when it is not
 * whole; or another negative errno.
 */
int left_take(bool ended, uint32_t *age, struct reason *reason);

/* The state of a daemon that has executed us, which it may get back. */
struct left_held {
	int memfd;    /* as of left_take(); ours */
	uint32_t age; /* likewise */
	/* of its file: */
	char name[PATH_MAX];
	mode_t mode;
	struct timespec written;
};

/**
 * left_hold() - the state that the daemon of @flavour has written which has executed us.
 * @held: filled in; close its memfd
 *
 * Return: 0 or a negative errno, with @reason.
 */
int left_hold(struct left_held *held, enum rings_flavour flavour, struct reason *reason);

/**
 * left_put_back() - see to it that the daemon finds its state as it was; it is not touched if it
 * is.
 *
 * Return: 0 or a negative errno, with @reason.
 */
int left_put_back(const struct left_held *held, struct reason *reason);

/** left_clear() - remove what daemons have left and what was given to them. */
void left_clear(void);

struct left_gift;

/**
 * left_gift_new() - a file for the next daemon, which does not find it yet.
 * @out: gets it; left_gift_free() it
 *
 * Return: 0 or a negative errno.
 */
int left_gift_new(struct left_gift **out, enum rings_flavour flavour, struct reason *reason);

/** left_gift_file() - where to write the state; the gift's. */
FILE *left_gift_file(const struct left_gift *gift);

/** left_gift_put() - all is written: now the daemon finds it. Return: 0 or a negative errno. */
int left_gift_put(struct left_gift *gift, struct reason *reason);

/** left_gift_free() - free @gift, which may be NULL; also remove it, wherever it is. */
void left_gift_free(struct left_gift *gift);

#endif
