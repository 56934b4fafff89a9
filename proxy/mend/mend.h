/* SPDX-License-Identifier: MIT */
/*
 * mend - has the mirror of the store (mirror/mirror.h): finds the one that an xsproxyd before us
 * had, or reads the store to make one, reads again what is unsure, and looks whether it is true.
 *
 * The store is read over a connection of our own, so many nodes a second that nobody feels it.
 * Until all was read once the mirror is of no use (`whole`). From then on each change is followed;
 * all is compared once, and later on some nodes chosen by chance ([mirror] audit), for ever: what
 * differs is mended, logged and counted.
 *
 * Made by main.c; told by exchange/ when xenstored comes and goes, asked by it for what the store
 * holds; asked by control/ and metrics/. Must never change the store.
 */
#ifndef XSPROXY_PROXY_MEND_MEND_H
#define XSPROXY_PROXY_MEND_MEND_H

#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct mend;
struct mirror;

/* Who wants to know whether all of it is true. */
struct mend_waiter {
	/** differs() - a node. @what: a line about it */
	void (*differs)(void *arg, const char *what);
	/** done() - once, later: so many nodes were compared. @why: NULL; or why not all were */
	void (*done)(void *arg, uint32_t nodes, uint32_t differences, const char *why);
};

struct mend_status {
	const char *state; /* "off", "waits", "none", "reads", "whole" or "broken" */
	uint32_t nodes;
	uint32_t unsure;	     /* paths that are to be read again */
	uint64_t octets;	     /* of memory */
	uint64_t compared, differed; /* nodes, since the start */
};

/** mend_new() - Return: 0 or -ENOMEM. */
int mend_new(struct mend **out, struct daemon *daemon);

/** mend_free() - the mirror stays with the keeper. NULL is fine; returns NULL. */
struct mend *mend_free(struct mend *mend);

/** mend_up() - xenstored is there, and all that was connected to it was taken up. NULL is fine. */
void mend_up(struct mend *mend);

/** mend_down() - it is there no more. NULL is fine. */
void mend_down(struct mend *mend);

/**
 * mend_take() - at the start, where there is no xenstored: the mirror that an xsproxyd before us
 * had, of these rings. @mend: NULL is fine. Return: whether there is one that is whole.
 */
bool mend_take(struct mend *mend);

/** mend_mirror() - as it is after all that was answered; NULL: there is none that is whole.
 * @mend: NULL is fine */
struct mirror *mend_mirror(const struct mend *mend);

/** mend_flavour() - enum rings_flavour of the xenstored that the mirror was last of; 0: there is no
 * mirror. */
uint32_t mend_flavour(const struct mend *mend);

/** mend_is_broken() - whether there is none, for want of memory. @mend: NULL is fine */
bool mend_is_broken(const struct mend *mend);

/** mend_look() - compare all, also what [mirror] audit would not. @mend: NULL is fine */
void mend_look(struct mend *mend, const struct mend_waiter *waiter, void *arg);

/** mend_forget() - nobody waits for it any more. */
void mend_forget(struct mend *mend, const void *arg);

/** mend_status() - how it is. @mend: NULL is fine */
void mend_status(const struct mend *mend, struct mend_status *status);

#endif
