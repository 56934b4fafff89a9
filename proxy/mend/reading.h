/* SPDX-License-Identifier: MIT */
/*
 * reading - what nodes of the store are, read over a connection of our own.
 *
 * A node is read by three requests, its children's names, its value and its permissions, and more
 * where there are many children. Several nodes are read at a time; each says whether anything that
 * has to do with it was under way meanwhile (claim.h).
 *
 * Made by mend.c. Must never decide what comes of what it has read.
 */
#ifndef XSPROXY_PROXY_MEND_READING_H
#define XSPROXY_PROXY_MEND_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/mirror/claim.h"
#include "proxy/mirror/tree.h"

struct daemon;
struct readings;

#define READINGS_MAX 16u /* at a time */

/* What a node is; valid until the callee returns. */
struct reading {
	const char *path;
	uint32_t len;
	int err;	/* a negative errno: -ENOENT: there is none; others: it cannot be said */
	bool disturbed; /* what was read may be of before or after something */
	struct tree_content content;
	const char *children; /* names, each with its NUL */
	size_t children_len;
	void *arg; /* the reader's */
};

/**
 * readings_open() - connect.
 * @done: a node was read; @lost: there is no connection any more, nor will any be read: close it
 *
 * Return: 0, or as own_open().
 */
int readings_open(struct readings **out, struct daemon *daemon,
		  void (*done)(void *owner, const struct reading *reading),
		  void (*lost)(void *owner), void *owner);

/** readings_close() - those under way are not told. NULL is fine; returns NULL. */
struct readings *readings_close(struct readings *readings);

/** readings_busy() - how many are under way. */
uint32_t readings_busy(const struct readings *readings);

/** readings_go_on() - something is not under way any more that one may have waited for. */
void readings_go_on(struct readings *readings);

/** readings_held() - how many wait for that. */
uint32_t readings_held(const struct readings *readings);

/**
 * readings_read() - begin with one; READINGS_MAX are under way at most.
 * @holds: what has to do with it waits until it was read, and it waits for what is under way
 * @arg: of struct reading
 *
 * Return: 0, -EAGAIN, or another negative errno: it was not begun.
 */
int readings_read(struct readings *readings, const char *path, uint32_t len, bool holds, void *arg);

#endif
