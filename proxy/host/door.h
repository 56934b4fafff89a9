/* SPDX-License-Identifier: MIT */
/*
 * door - accepts toolstack clients on the public socket and hands on those that may come in.
 *
 * Made by clients.c, which is told of each (`came`). A socket that systemd did not pass outlives us
 * with the keeper. Must never hand on anybody whom public.c does not let in.
 */
#ifndef XSPROXY_PROXY_HOST_DOOR_H
#define XSPROXY_PROXY_HOST_DOOR_H

#include <stdbool.h>

struct daemon;
struct door;
struct who;

/**
 * door_new() - listen where public_listen() says, on the keeper's socket if it has one for that.
 * @came: takes over @fd, which is non-blocking; @who is whose it is
 *
 * Return: 0, or a negative errno; the reason has been logged, but for -ENOMEM.
 */
int door_new(struct door **out, struct daemon *daemon,
	     void (*came)(void *owner, int fd, const struct who *who), void *owner);

/** door_free() - a socket that nobody keeps is gone, with its path. NULL is fine; returns NULL. */
struct door *door_free(struct door *door);

/** door_keep() - give a keeper that is new the socket, unless systemd has it. */
void door_keep(const struct door *door);

/**
 * door_lend() - @fd is where clients will be accepted, of a native daemon that may go on with it:
 * the keeper has it.
 */
void door_lend(const struct door *door, int fd);

/**
 * door_take() - accept clients there from now on, and nowhere else.
 * @fd: as of door_lend(), which has been called; taken over
 *
 * Return: 0, or -ENOMEM: the next xsproxyd does.
 */
int door_take(struct door *door, int fd);

/** door_rest() - accept nobody for now, or again: who comes waits there. @rest: which */
void door_rest(const struct door *door, bool rest);

/** door_fd() - where clients are accepted; the door's. */
int door_fd(const struct door *door);

/** door_close() - nobody else comes in; who has connected to a socket that goes with us still does.
 */
void door_close(struct door *door);

#endif
