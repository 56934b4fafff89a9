/* SPDX-License-Identifier: MIT */
/*
 * local - unix sockets that only root may reach.
 *
 * Whoever can connect to a socket of ours is dom0, so they are LOCAL_MODE from birth and peers are
 * checked. Used by public.c, which may let in others, client.c, control.c and metrics.c.
 */
#ifndef XSPROXY_PROXY_LOCAL_H
#define XSPROXY_PROXY_LOCAL_H

#include <stdbool.h>
#include <stdint.h>

#define LOCAL_MODE 0600

/**
 * local_listen() - listen at @path, replacing whatever socket lies there.
 *
 * Return: a non-blocking descriptor that the caller owns, or a negative errno.
 */
int local_listen(const char *path, int backlog);

/** local_is_root() - whether a user is root, or the one we run as. */
bool local_is_root(uint32_t uid);

/** local_peer_allowed() - whether the peer of @fd is root, as local_is_root() has it. */
bool local_peer_allowed(int fd);

/** local_peer_pidfd() - of the process at the other end, to be closed; or a negative errno. */
int local_peer_pidfd(int fd);

/** local_kill() - end a process at once, whatever it does. Return: 0 or a negative errno. */
int local_kill(int pidfd);

/**
 * local_is_reserve() - whether @fd, which was just opened, is one of the last: these are for the
 * bridge, for Xen and for the control socket, however many clients there are.
 */
bool local_is_reserve(int fd);

#endif
