/* SPDX-License-Identifier: MIT */
/*
 * sock - a socket as a session's endpoint: two queues in memory, and the moving of their octets
 * from and to the kernel.
 *
 * The queues and their indexes lie with the session's ledger. While a socket is *kept*, whoever
 * takes it up after a kill finds out how far the kernel had come, for each octet: what was written
 * by outlet.h; what was read by the socket's own SO_PEEK_OFF, which it counts down by what is
 * consumed, and which outlives us. (It is never peeked.) What is read lands in the queue before it
 * counts, and in_prod follows.
 *
 * Opened and closed by client.c, placed and recovered by slots.c. The session produces and consumes
 * in its turn; kick and libevent move octets in between, never while a turn uses the same queue's
 * other end.
 */
#ifndef XSPROXY_PROXY_HOST_SOCK_H
#define XSPROXY_PROXY_HOST_SOCK_H

#include <event2/event.h>
#include <stdbool.h>

#include "proxy/host/outlet.h"
#include "proxy/session/endpoint.h"

/* A page each. A longer message goes in pieces, as a guest's does. */
#define SOCK_QUEUE ARENA_PAGE

enum sock_halt {
	SOCK_MOVES,
	SOCK_UNREAD, /* nothing is read */
	SOCK_HALTED, /* nor written */
};

struct sock {
	int fd; /* -1: closed */
	enum sock_halt halt;
	bool eof;    /* nothing more will come */
	bool broken; /* nothing more can be sent */
	bool kept;
	uint32_t number; /* for the outlet */
	struct outlet *outlet;
	struct event *read_event, *write_event;
	void (*moved)(void *owner); /* octets came, room was made, or the connection ended */
	void *owner;
	struct ledger_sock *words;
	uint8_t *in, *out; /* SOCK_QUEUE octets each */
};

/**
 * sock_open() - begin to move octets.
 * @sock: outlet, number, words, in, out, moved and owner are set
 * @fd: non-blocking; taken over on success
 *
 * Return: 0 or -ENOMEM.
 */
int sock_open(struct sock *sock, struct event_base *base, int fd);

/** sock_deafen() - read nothing any more, as if its end had come. */
void sock_deafen(struct sock *sock);

/**
 * sock_halt() - move octets no more in one direction, or in both, or again. What the queues hold
 * stays as it is; what is not read waits with the kernel, the end of the connection, too.
 * @sock: open; a session that waits for what it holds back is to be woken by whoever ends that
 */
void sock_halt(struct sock *sock, enum sock_halt halt);

/** sock_close() - also when it was never opened (fd -1, zeroed). */
void sock_close(struct sock *sock);

/**
 * sock_recover() - before sock_open(): bring @words up to what the kernel has done with @fd, which
 * was kept.
 *
 * Return: 0, or -EINVAL when they cannot be what a predecessor left.
 */
int sock_recover(struct ledger_sock *words, int fd);

/**
 * sock_keep() - from now on all octets are counted. It counts only once the ledger says so.
 *
 * Return: whether the kernel can.
 */
bool sock_keep(struct sock *sock);

/** sock_untouched() - whether no session has read from a socket yet. */
bool sock_untouched(int fd);

/** sock_endpoint() - the endpoint that a session works on; valid as long as @sock is. */
struct endpoint sock_endpoint(struct sock *sock);

/** sock_flushed() - whether all that the session produced is with the kernel. */
bool sock_flushed(const struct sock *sock);

#endif
