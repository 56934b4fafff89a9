/* SPDX-License-Identifier: MIT */
/*
 * outlet - how octets are written to a socket so that whoever comes after a kill knows how many of
 * them went.
 *
 * The kernel does not tell how much was written to a socket. So what is written to one goes through
 * a pipe, one for all, that outlives us: it is filled, the ledgers say whose octets these are, and
 * they are spliced on to the socket. What is not in the pipe any more has gone. Each step leaves
 * the pipe empty.
 *
 *	left by a kill			what the next one does
 *	draining 0, anything in the pipe	none of it went: empties the pipe
 *	draining N, P octets in the pipe	N - P of them went: out_cons = base + N - P, then
 *						empties the pipe
 *
 * `draining` is one word, so there is nothing between the two; out_cons is set to the same value by
 * us, before it becomes 0, and by the next one.
 *
 * Opened and recovered by slots.c, written to by sock.c. Must never leave octets of two sockets in
 * the pipe, nor wait.
 */
#ifndef XSPROXY_PROXY_HOST_OUTLET_H
#define XSPROXY_PROXY_HOST_OUTLET_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "proxy/session/ledger.h"

struct outlet {
	int fds[2];		      /* the pipe: to read from, to write to; -1: none */
	struct ledgers_outlet *words; /* written by us only */
};

/* Whose octets are in the pipe: `draining` as found after a kill. */
struct outlet_left {
	uint32_t socket; /* as outlet_write() was told */
	uint32_t cons;	 /* what out_cons must be */
};

/**
 * outlet_open() - with the pipe that a predecessor had, or a new one.
 * @outlet: has no pipe yet
 * @words: lie in the ledgers, and outlive the outlet
 * @fds: what the keeper had, -1 where there is none; taken over, whatever it returns
 *
 * Return: 0, or a negative errno of pipe2(); outlet_close() is fine then, too.
 */
int outlet_open(struct outlet *outlet, struct ledgers_outlet *words, const int fds[2]);

/** outlet_close() - close the pipe; the keeper may have it still. -1 each is fine. */
void outlet_close(struct outlet *outlet);

/**
 * outlet_recover() - see what a predecessor left.
 *
 * Return: whether there was anything that counts; then *@left says it. outlet_settle() must follow,
 * after it has been noted.
 */
bool outlet_recover(const struct outlet *outlet, struct outlet_left *left);

/** outlet_settle() - what the pipe holds counts no more. */
void outlet_settle(struct outlet *outlet);

/**
 * outlet_write() - write to a socket, without waiting, and move @cons by what went.
 * @fd: the socket, non-blocking
 * @socket: its number, for outlet_left
 * @iov: @count pieces, with no more octets than a pipe takes, SOCK_QUEUE
 * @cons: the socket's out_cons
 *
 * Return: how many octets went, or a negative errno: none did.
 */
ssize_t outlet_write(struct outlet *outlet, int fd, uint32_t socket, const struct iovec *iov,
		     int count, ledger_word *cons);

#endif
