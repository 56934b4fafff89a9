/* SPDX-License-Identifier: MIT */
/*
 * top - the live table on a terminal.
 *
 * top.c asks xsproxyd and takes keys, also while an answer is on its way, so that it never hangs
 * with xsproxyd; top_screen.c draws. Used by ctl/cmd_top.
 */
#ifndef XSPROXY_CTL_TOP_H
#define XSPROXY_CTL_TOP_H

#include <stdbool.h>
#include <stdio.h>

#include "ctl/load.h"
#include "ctl/options.h"
#include "migration/report.h"

#define TOP_SAID 256

/**
 * top_run() - until q is pressed. An xsproxyd that is not there, or goes away, is waited for.
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int top_run(const struct options *options, const struct report *report);

/* --- between top.c and top_screen.c */

/* What the screen shows. */
struct top_view {
	struct load rates; /* sorted */
	bool sampled;	   /* there has been an answer; until then nothing is known */
	enum option_sort sort;
	char said[TOP_SAID]; /* what went wrong; "" for nothing */

	int64_t chosen; /* a domain; if it is not there, the first one is marked */
	size_t first;	/* row, or line of the details, at the top */
	char *details;	/* of the chosen domain, lines; NULL: the table is shown */
};

enum top_key {
	TOP_NOTHING, /* done, or of no meaning */
	TOP_QUIT,
	TOP_LOOK, /* into the chosen domain */
	TOP_BACK,
};

/**
 * top_screen_open() - take the terminal.
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int top_screen_open(const struct report *report);

/** top_screen_close() - give it back. */
void top_screen_close(void);

/** top_screen_draw() - show @view, as much as there is room for. */
void top_screen_draw(struct top_view *view);

/**
 * top_screen_choose() - the chosen domain is from now on the one that is marked.
 *
 * Return: false when there is none.
 */
bool top_screen_choose(struct top_view *view);

/**
 * top_screen_key() - carry out what a key asks for, as far as it is about the view, or hand it on.
 * Never waits.
 *
 * Return: false when no key has been pressed.
 */
bool top_screen_key(struct top_view *view, enum top_key *key);

#endif
