/* SPDX-License-Identifier: MIT */
/*
 * own - a privileged connection to xenstored that is ours, for what is asked in nobody's name.
 *
 * Used by exchange/, for a few short requests at a time, and by mend/, which reads the store. Must
 * never carry what a guest has asked for.
 */
#ifndef XSPROXY_PROXY_HOST_OWN_H
#define XSPROXY_PROXY_HOST_OWN_H

#include <stdint.h>

struct daemon;
struct own;

/* oxenstored sends more than the protocol's limit. */
#define OWN_REPLY_MAX (1024u * 1024)

struct own_reply {
	uint32_t type;
	const uint8_t *payload; /* valid until the callee returns; a NUL is behind it */
	uint32_t len;
};

/**
 * own_open() - connect.
 * @reply: called with each reply, which is "in" no request: they come in order, and one beyond
 * OWN_REPLY_MAX as E2BIG; with NULL at the end of the connection, once, and then the connection may
 * be closed
 *
 * Return: 0, -ENOMEM, or as client_dial().
 */
int own_open(struct own **out, struct daemon *daemon,
	     void (*reply)(void *arg, const struct own_reply *reply), void *arg);

/**
 * own_over() - the same over a connection that there is.
 * @fd: taken over; or a negative errno, which is returned
 */
int own_over(struct own **out, struct daemon *daemon, int fd,
	     void (*reply)(void *arg, const struct own_reply *reply), void *arg);

/** own_close() - NULL is fine; returns NULL. */
struct own *own_close(struct own *own);

/**
 * own_ask() - send a request.
 * @type: enum xsd_sockmsg_type
 * @payload: @len octets, not 0
 *
 * Return: 0, or a negative errno: it has not gone.
 */
int own_ask(struct own *own, uint32_t type, const char *payload, uint32_t len);

#endif
