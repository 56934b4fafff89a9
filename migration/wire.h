/* SPDX-License-Identifier: MIT */
/*
 * wire - a client of the Xenstore wire protocol over xsproxyd's public socket.
 *
 * libxenstore offers neither our request types (docs/protocol.md) nor more than one request
 * under way; this does both, and nothing else. Requests go out with a function to be called with
 * the reply; up to WIRE_WINDOW of them, or fewer, are under way, and nothing is sent or received
 * but inside wire_wait(), wire_drain() and wire_call(). So it blocks only there. Functions that are
 * called with a reply may send again, but not wait.
 *
 * Called by migration/ and ctl/. Must never print, retry a request, or change what it carries.
 */
#ifndef XSPROXY_MIGRATION_WIRE_H
#define XSPROXY_MIGRATION_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "migration/interrupt.h"

#define WIRE_WINDOW    128	  /* requests under way */
#define WIRE_REPLY_MAX (16 << 20) /* oxenstored answers DIRECTORY with all there is */
#define WIRE_PATH_MAX  108	  /* of a socket, NUL included */
#define WIRE_SLOW_MS   6000	  /* longer than a QUIESCE takes by default */

struct wire;

struct wire_reply {
	int err;	  /* 0, or the negative errno that an XS_ERROR names */
	const char *data; /* the payload */
	size_t len;
};

/*
 * Called with a reply, which is valid until the function returns.
 *
 * @arg, @tag: as given to wire_send()
 *
 * Return: 0, or a negative errno that ends the wait.
 */
typedef int (*wire_fn)(void *arg, uint64_t tag, const struct wire_reply *reply);

/* Called with the path of a watch event. Return: 0, or a negative errno that ends the wait. */
typedef int (*wire_event_fn)(void *arg, const char *path);

/* Called when an answer is long in coming. */
typedef void (*wire_slow_fn)(const void *arg);

/**
 * wire_default_path() - where xsproxyd listens: XENSTORED_PATH, else XENSTORED_RUNDIR/socket, else
 * /var/run/xenstored/socket, as for libxenstore.
 *
 * Return: 0, or -ENAMETOOLONG.
 */
int wire_default_path(char path[WIRE_PATH_MAX]);

/**
 * wire_open() - connect.
 * @out: gets the connection; wire_free() it
 * @path: of the socket
 *
 * Return: 0; -ENAMETOOLONG; -ENOMEM; or what connecting failed with. There is no other way to a
 * store: where libxenstore would turn to /dev/xen/xenbus, this fails.
 */
int wire_open(struct wire **out, const char *path);

/**
 * wire_adopt() - a connection over @fd, a connected stream socket, which is taken over if it
 * succeeds.
 *
 * Return: 0, -ENOMEM, or what fcntl() failed with.
 */
int wire_adopt(struct wire **out, int fd);

/**
 * wire_free() - close the connection and free @wire, which may be NULL; forgets what is under
 * way.
 */
void wire_free(struct wire *wire);

/**
 * wire_set_patience() - what ends a wait early.
 * @interrupt: see interrupt_poll(); outlives @wire; NULL, as it is at first: nothing
 * @timeout_ms: how long nothing may happen; -1, as it is at first: for ever
 */
void wire_set_patience(struct wire *wire, const struct interrupt *interrupt, int timeout_ms);

/**
 * wire_set_slow() - have @fn called with @arg once nothing has come for WIRE_SLOW_MS, which is no
 * part of the patience; it is called for the first such wait only. NULL, as it is at first: nobody
 * is.
 */
void wire_set_slow(struct wire *wire, wire_slow_fn fn, const void *arg);

/**
 * wire_set_firm() - while @firm, no signal ends a wait: for requests whose outcome must be known.
 * They are answered soon.
 */
void wire_set_firm(struct wire *wire, bool firm);

/**
 * wire_set_event() - have @fn called for watch events; NULL, as it is at first: they are skipped.
 */
void wire_set_event(struct wire *wire, wire_event_fn fn, void *arg);

/**
 * wire_set_window() - let no more than @window requests be under way, 3 (which nodes.h needs) to
 * WIRE_WINDOW, as it is at first: so that others who ask xenstored are served in between.
 */
void wire_set_window(struct wire *wire, unsigned int window);

/** wire_room() - how many more requests can be sent now. */
unsigned int wire_room(const struct wire *wire);

/**
 * wire_send() - have a request sent by the next wait.
 * @tx_id: of a transaction, or 0
 * @parts, @nr_parts: the payload, copied
 * @fn: called with the reply; @arg and @tag are for it
 *
 * Return: 0; -E2BIG for a payload above XENSTORE_PAYLOAD_MAX; -EAGAIN without wire_room(); -ENOMEM.
 */
int wire_send(struct wire *wire, uint32_t type, uint32_t tx_id, const struct iovec *parts,
	      int nr_parts, wire_fn fn, void *arg, uint64_t tag);

/**
 * wire_wait() - wait until a reply or an event has come, and call its function.
 *
 * Return: 0; what the function returned; -EINTR and -ETIMEDOUT as wire_set_patience() has it, after
 * which the connection can still be used; -ENOMEM; or, now and for ever, -ECONNRESET when the other
 * side has closed it, -EPROTO for what is no Xenstore message, or what read() or write() failed
 * with.
 */
int wire_wait(struct wire *wire);

/**
 * wire_drain() - wire_wait() until no request is under way.
 *
 * Return: 0, or what wire_wait() failed with.
 */
int wire_drain(struct wire *wire);

/**
 * wire_call() - send one request and wait for its reply.
 * @reply: gets the reply if it is no XS_ERROR, valid until the next call on @wire; may be NULL
 *
 * Return: 0; the negative errno that an XS_ERROR names (-EDQUOT for EQUOTA, -EIO for an unknown
 * name); or as wire_send() and wire_wait().
 */
int wire_call(struct wire *wire, uint32_t type, uint32_t tx_id, const struct iovec *parts,
	      int nr_parts, struct wire_reply *reply);

/**
 * wire_answered() - whether a negative errno is one that the other side answered with; otherwise
 * nobody knows whether the request was carried out.
 */
bool wire_answered(int err);

/**
 * wire_is_limit() - whether a negative errno is how a daemon says that something is beyond a limit
 * or a quota of its, or none that it takes (EINVAL): limits differ from host to host.
 */
bool wire_is_limit(int err);

/** wire_forget() - call nobody for what is under way: its replies will be skipped. */
void wire_forget(struct wire *wire);

/** wire_string() - a part of a payload: @text with its NUL. */
struct iovec wire_string(const char *text);

#endif
