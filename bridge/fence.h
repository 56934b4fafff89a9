/* SPDX-License-Identifier: MIT */
/*
 * fence - see that an xsproxyd which the bridge gave up writes to no ring any more.
 *
 * It has them mapped, and whether it stands still for good nobody knows. Its successor finds all it
 * needs (proxy/session/ledger.h), so it is killed, and systemd starts another one. Called by
 * owner.c. Must never signal a process by its number, which may be another's by now.
 */
#ifndef XSPROXY_BRIDGE_FENCE_H
#define XSPROXY_BRIDGE_FENCE_H

#include <stdbool.h>

/**
 * fence_open() - a handle on the process at the other end of a connection.
 * @sock: the connection, open at both ends
 *
 * Return: a descriptor (pidfd), the caller's; or -1 where there is none to be had.
 */
int fence_open(int sock);

/**
 * fence_kill() - kill it, and wait until it runs no more (FENCE_MS at most: then it is stuck in the
 * kernel, whence it never returns to its own code).
 * @pidfd: as fence_open() returned it; stays open
 *
 * Return: whether it will touch nothing any more.
 */
bool fence_kill(int pidfd);

#endif
