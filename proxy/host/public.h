/* SPDX-License-Identifier: MIT */
/*
 * public - the socket that toolstacks connect to: systemd's, if it passes one, or one that we make;
 * and whom it lets in.
 *
 * Called by clients.c, which accepts. Must never remove a socket that systemd holds.
 */
#ifndef XSPROXY_PROXY_HOST_PUBLIC_H
#define XSPROXY_PROXY_HOST_PUBLIC_H

#include <stdbool.h>

struct config;
struct daemon;
struct log_source;
struct who;

/**
 * public_listen() - listen for toolstacks where [socket] and [xsproxy] socket say, if systemd
 * passes no socket. Directories that are missing are made. What goes wrong has been logged; a mode
 * and group that it cannot have are said in the status, and it stays root's.
 * @kept: the socket of an xsproxyd before us, used if it is where ours is to be, or -1
 * @inherited: set to whether it is one that systemd passes. The one that it has for entering a
 *	running host (link/start.h, LINK_ENTERING) counts only until we have. Once we have left, it
 *	is there that we listen, too.
 *
 * Return: a descriptor that the caller owns, maybe @kept, or a negative errno.
 */
int public_listen(struct daemon *daemon, int kept, bool *inherited);

/** public_unlink() - nobody listens there any more; if @fd is there. */
void public_unlink(const struct config *config, int fd);

/** public_lists() - whether somebody is root, or listed in [socket] users now. */
bool public_lists(const struct config *config, const struct who *who);

/**
 * public_admits() - whether a client that has connected is root, or listed in [socket] users.
 * @log: where it is said who is turned away, now and then
 * @who: filled in
 */
bool public_admits(const struct config *config, struct log_source *log, int fd, struct who *who);

#endif
