/* SPDX-License-Identifier: MIT */
/*
 * sock - a socket as a session's endpoint: two queues in memory, and the moving of their octets
 * from and to the kernel.
 *
 * Used by client.c. The session produces and consumes in its turn; kick and libevent move octets in
 * between, never while a turn uses the same queue's other end.
 */
#ifndef XSPROXY_PROXY_HOST_SOCK_H
#define XSPROXY_PROXY_HOST_SOCK_H

#include <event2/event.h>
#include <stdbool.h>

#include "proxy/session/endpoint.h"

/* Every message that the protocol allows fits, so none goes in pieces. */
#define SOCK_QUEUE 8192

struct sock {
	int fd;	     /* -1: closed */
	bool eof;    /* nothing more will come */
	bool broken; /* nothing more can be sent */
	struct event *read_event, *write_event;
	void (*moved)(void *owner); /* octets came, room was made, or the connection ended */
	void *owner;
	ledger_word in_prod, in_cons, out_prod, out_cons;
	uint8_t in[SOCK_QUEUE], out[SOCK_QUEUE];
};

/**
 * sock_open() - begin to move octets.
 * @fd: non-blocking; taken over on success
 *
 * Return: 0 or -ENOMEM.
 */
int sock_open(struct sock *sock, struct event_base *base, int fd, void (*moved)(void *owner),
	      void *owner);

/** sock_close() - also when it was never opened (fd -1, zeroed). */
void sock_close(struct sock *sock);

/** sock_endpoint() - the endpoint that a session works on; valid as long as @sock is. */
struct endpoint sock_endpoint(struct sock *sock);

/** sock_flushed() - whether all that the session produced is with the kernel. */
bool sock_flushed(const struct sock *sock);

#endif
