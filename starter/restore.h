/* SPDX-License-Identifier: MIT */
/*
 * restore - START_RESTORE and START_LEAVE: become a daemon that reads a state which we make for it.
 *
 * Called by main.c. Must never leave anything behind when it fails, but for what a daemon had left
 * before, which it removes: xsproxyd has the state.
 */
#ifndef XSPROXY_STARTER_RESTORE_H
#define XSPROXY_STARTER_RESTORE_H

#include "link/rings.h"
#include "starter/leaving.h"
#include "starter/reason.h"

struct restore {
	const char *dir;	    /* the run directory */
	char *daemon;		    /* what is configured; NULL: nothing */
	char **words;		    /* its arguments, with a NULL behind them */
	enum rings_flavour flavour; /* for which kind of daemon they are */
	/* all of these stay the caller's */
	int state;
	const struct leaving *leaving; /* of START_LEAVE; NULL: it is START_RESTORE, which has */
	int plan;
	int rings;
};

/**
 * restore_exec() - become the daemon.
 * @reason: gets why not
 *
 * Return: a negative errno.
 */
int restore_exec(const struct restore *restore, struct reason *reason);

#endif
