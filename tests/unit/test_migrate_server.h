/* SPDX-License-Identifier: MIT */
/*
 * test_migrate_server - the other side of a wire, played by a thread as a test tells it. For tests
 * of migration/ alone; a server that cannot go on ends the program.
 */
#ifndef XSPROXY_TESTS_TEST_MIGRATE_SERVER_H
#define XSPROXY_TESTS_TEST_MIGRATE_SERVER_H

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#include <cmocka.h> /* needs the above */

#include "migration/wire.h"

#define SERVER_PATIENCE_MS 10000 /* nothing takes that long */

/* Plays the server until it returns or the client is gone. */
typedef void (*server_fn)(int fd, void *arg);

struct server {
	pthread_t thread;
	int fd;
	server_fn fn;
	void *arg;
};

struct request {
	struct xsd_sockmsg hdr;
	char payload[XENSTORE_PAYLOAD_MAX + 1]; /* a NUL follows */
};

static inline void *server_run(void *arg)
{
	struct server *server = arg;

	server->fn(server->fd, server->arg);
	close(server->fd);
	return NULL;
}

/* A connection to a server that plays @fn. */
static inline struct wire *server_start(struct server *server, server_fn fn, void *arg)
{
	struct wire *wire = NULL;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*server = (struct server){ .fd = pair[1], .fn = fn, .arg = arg };
	assert_int_equal(wire_adopt(&wire, pair[0]), 0);
	wire_set_patience(wire, NULL, SERVER_PATIENCE_MS);
	assert_int_equal(pthread_create(&server->thread, NULL, server_run, server), 0);
	return wire;
}

static inline void server_stop(struct server *server, struct wire *wire)
{
	wire_free(wire);
	assert_int_equal(pthread_join(server->thread, NULL), 0);
}

static inline bool server_read(int fd, void *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = read(fd, (char *)data + done, len - done);

		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

/* The next request; false when the client is gone. */
static inline bool server_get(int fd, struct request *req)
{
	if (!server_read(fd, &req->hdr, sizeof(req->hdr)))
		return false;
	if (req->hdr.len > XENSTORE_PAYLOAD_MAX)
		abort();
	if (!server_read(fd, req->payload, req->hdr.len))
		return false;
	req->payload[req->hdr.len] = '\0';
	return true;
}

static inline void server_write(int fd, const void *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = send(fd, (const char *)data + done, len - done, MSG_NOSIGNAL);

		if (n <= 0)
			return; /* the client is gone */
		done += (size_t)n;
	}
}

static inline void server_put(int fd, uint32_t type, uint32_t req_id, const void *payload,
			      size_t len)
{
	struct xsd_sockmsg hdr = { .type = type, .req_id = req_id, .len = (uint32_t)len };

	server_write(fd, &hdr, sizeof(hdr));
	server_write(fd, payload, len);
}

/* Answer a request; @text with its NUL, as the literals of C have it: "a\0b" has two strings. */
#define server_answer(fd, req, text) \
	server_put(fd, (req)->hdr.type, (req)->hdr.req_id, text, sizeof(text))

static inline void server_fail(int fd, const struct request *req, const char *name)
{
	server_put(fd, XS_ERROR, req->hdr.req_id, name, strlen(name) + 1);
}

static inline void server_event(int fd, const char *path)
{
	char payload[XENSTORE_PAYLOAD_MAX];
	int len = snprintf(payload, sizeof(payload), "%s%ctoken", path, 0) + 1;

	server_put(fd, XS_WATCH_EVENT, 0, payload, (size_t)len);
}

#endif
