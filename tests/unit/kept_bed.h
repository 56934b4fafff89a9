/* SPDX-License-Identifier: MIT */
/*
 * kept_bed - a keeper that is a struct, and the two sockets of a client whose far ends are ours.
 *
 * Whoever serves the sockets may be killed: their near ends, the memory and the pipe stay here, and
 * the next one finds them as it would find them at the keeper.
 */
#ifndef XSPROXY_TESTS_UNIT_KEPT_BED_H
#define XSPROXY_TESTS_UNIT_KEPT_BED_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/host/keeper.h"
#include "proxy/host/slots.h"
#include "proxy/session/pool.h"

struct keeper {
	int memory, pipe[2]; /* -1: none */
	bool left;	     /* as it is, for another version */
	int *sockets;	     /* a client's, where any may be put: numbers, in shared memory */
	int *domains;	     /* the memory of domains, where it may be put; -1: none */
};

#define KEEPER_NULL                               \
	{                                         \
		-1, { -1, -1 }, false, NULL, NULL \
	}

static inline void fake_keeper_end(struct keeper *keeper)
{
	const int fds[] = { keeper->memory, keeper->pipe[0], keeper->pipe[1] };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*keeper = (struct keeper)KEEPER_NULL;
}

/* In place of keeper.c's */
int keeper_take(struct keeper *keeper, uint32_t key, int fds[LINK_PUT_FDS])
{
	fds[0] = fds[1] = -1;
	if (keeper->left)
		return 0;
	if (key == KEEP_MEMORY && keeper->memory >= 0)
		fds[0] = dup(keeper->memory);
	for (int i = 0; key == KEEP_PIPE && keeper->pipe[0] >= 0 && i < 2; i++)
		fds[i] = dup(keeper->pipe[i]);
	for (int i = 0; key == KEEP_DOMAINS && keeper->domains && i < 2; i++)
		fds[i] = keeper->domains[i] < 0 ? -1 : dup(keeper->domains[i]);
	return (fds[0] >= 0) + (fds[1] >= 0);
}

bool keeper_put(struct keeper *keeper, uint32_t key, const int *fds, int count)
{
	if (keeper->sockets && key < KEEP_SOCKETS) {
		for (int i = 0; i < count; i++)
			keeper->sockets[i] = fds[i];
		return true;
	}
	if (keeper->domains && key == KEEP_DOMAINS) {
		for (int i = 0; i < count; i++) {
			close(keeper->domains[i]);
			keeper->domains[i] = dup(fds[i]);
		}
		return true;
	}
	assert_int_equal(count, key == KEEP_PIPE ? 2 : 1);
	if (keeper->left)
		return false;
	if (key == KEEP_MEMORY && keeper->memory < 0)
		keeper->memory = dup(fds[0]);
	for (int i = 0; key == KEEP_PIPE && i < 2; i++)
		if (keeper->pipe[i] < 0)
			keeper->pipe[i] = dup(fds[i]);
	return true;
}

bool keeper_there(const struct keeper *keeper)
{
	return keeper->memory >= 0 && !keeper->left;
}

void keeper_leave(struct keeper *keeper)
{
	keeper->left = true;
}

bool keeper_foreign(const struct keeper *keeper)
{
	return keeper->left;
}

/* What nobody calls here is here, too, or keeper.c would come with the rest. */
int keeper_new(struct keeper **out, struct daemon *daemon)
{
	(void)daemon;
	*out = NULL;
	return -ENOMEM;
}

struct keeper *keeper_free(struct keeper *keeper)
{
	(void)keeper;
	return NULL;
}

void keeper_flush(struct keeper *keeper)
{
	(void)keeper;
}

void keeper_drop(struct keeper *keeper, uint32_t key)
{
	(void)keeper;
	(void)key;
}

/* A client's sockets: the ends that xsproxyd has, and the others. */
struct ends {
	int near[SLOT_SIDES], far[SLOT_SIDES];
};

static inline void ends_open(struct ends *ends)
{
	for (int side = 0; side < SLOT_SIDES; side++) {
		int fds[2];

		assert_int_equal(
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
		ends->near[side] = fds[0];
		ends->far[side] = fds[1];
	}
}

static inline void ends_close(struct ends *ends)
{
	for (int side = 0; side < SLOT_SIDES; side++) {
		close(ends->near[side]);
		if (ends->far[side] >= 0)
			close(ends->far[side]);
	}
}

#endif
