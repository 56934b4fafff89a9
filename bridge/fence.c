// SPDX-License-Identifier: MIT
/*
 * fence - killing an xsproxyd that was given up. See fence.h.
 *
 * A generation that each commit names would not do: between looking at it and the stores anything
 * can happen, and a mapping of another process cannot be taken back.
 */
#include "bridge/fence.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FENCE_MS 1000

int fence_open(int sock)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.pid <= 0)
		return -1;
	/* By the number: as long as the connection is open at its end, nobody else has it. */
	return (int)syscall(SYS_pidfd_open, peer.pid, 0);
}

bool fence_kill(int pidfd)
{
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };

	if (pidfd < 0 || syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0)
		return false;
	poll(&pfd, 1, FENCE_MS);
	return true;
}
