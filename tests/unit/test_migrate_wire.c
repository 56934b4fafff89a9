// SPDX-License-Identifier: MIT
/*
 * test_migrate_wire - the client of the wire protocol: replies in any order and in any pieces,
 * events between them, names of errors, and what ends a connection.
 */
#include "tests/unit/test_migrate_server.h"

#define BIG 300000

/* What replies came to, in the order in which they came. */
struct got {
	uint64_t tags[WIRE_WINDOW];
	int errs[WIRE_WINDOW];
	size_t lens[WIRE_WINDOW];
	int nr;
	int result; /* of the function */
};

static int on_reply(void *arg, uint64_t tag, const struct wire_reply *reply)
{
	struct got *got = arg;

	got->tags[got->nr] = tag;
	got->errs[got->nr] = reply->err;
	got->lens[got->nr] = reply->len;
	got->nr++;
	return got->result;
}

static int call(struct wire *wire, const char *path, struct wire_reply *reply)
{
	struct iovec part = wire_string(path);

	return wire_call(wire, XS_READ, 0, &part, 1, reply);
}

static int send_read(struct wire *wire, const char *path, struct got *got, uint64_t tag)
{
	struct iovec part = wire_string(path);

	return wire_send(wire, XS_READ, 0, &part, 1, on_reply, got, tag);
}

/* --- one request */

/* Answers with the request's own payload. */
static void echo(int fd, void *arg)
{
	struct request req;

	(void)arg;
	while (server_get(fd, &req))
		server_put(fd, req.hdr.type, req.hdr.req_id, req.payload, req.hdr.len);
}

static void test_call(void **state)
{
	struct iovec parts[] = { wire_string("a"), { "bc", 2 }, { NULL, 0 } };
	struct wire_reply reply;
	struct server server;
	struct wire *wire = server_start(&server, echo, NULL);

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(wire_call(wire, XS_WRITE, 3, parts, 3, &reply), 0);
		assert_int_equal(reply.len, 4);
		assert_memory_equal(reply.data, "a\0bc", 4);
	}
	assert_int_equal(wire_call(wire, XS_WRITE, 0, NULL, 0, NULL), 0);
	server_stop(&server, wire);
}

static void fail_by_path(int fd, void *arg)
{
	struct request req;

	(void)arg;
	while (server_get(fd, &req))
		server_fail(fd, &req, req.payload);
}

static void test_errors(void **state)
{
	struct server server;
	struct wire *wire = server_start(&server, fail_by_path, NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
		assert_int_equal(call(wire, xsd_errors[i].errstring, NULL), -xsd_errors[i].errnum);
	assert_int_equal(call(wire, "EQUOTA", NULL), -EDQUOT);
	assert_int_equal(call(wire, "ENOEN", NULL), -EIO);
	assert_int_equal(call(wire, "ENOENTX", NULL), -EIO);
	assert_int_equal(call(wire, "", NULL), -EIO);
	server_stop(&server, wire);
}

static void test_too_long(void **state)
{
	static char payload[XENSTORE_PAYLOAD_MAX + 1];
	struct iovec part = { payload, sizeof(payload) };
	struct server server;
	struct wire *wire = server_start(&server, echo, NULL);

	(void)state;
	assert_int_equal(wire_call(wire, XS_WRITE, 0, &part, 1, NULL), -E2BIG);
	part.iov_len--;
	assert_int_equal(wire_call(wire, XS_WRITE, 0, &part, 1, NULL), 0);
	server_stop(&server, wire);
}

/* --- events */

static void play_events(int fd, void *arg)
{
	struct request req;

	(void)arg;
	server_event(fd, "/before");
	if (!server_get(fd, &req))
		return;
	server_event(fd, "/between");
	server_put(fd, XS_WATCH_EVENT, 0, "unterminated", 12);
	server_put(fd, XS_WATCH_EVENT, 0, "", 0);
	server_answer(fd, &req, "value");
	server_event(fd, "/after");
	server_get(fd, &req);
}

static void test_events_are_skipped(void **state)
{
	struct wire_reply reply;
	struct server server;
	struct wire *wire = server_start(&server, play_events, NULL);

	(void)state;
	assert_int_equal(call(wire, "/a", &reply), 0);
	assert_string_equal(reply.data, "value");
	server_stop(&server, wire);
}

static int on_event(void *arg, const char *path)
{
	strcat(arg, path);
	return strcmp(path, "/after") ? 0 : -ENOTSUP;
}

static void test_events_are_told(void **state)
{
	char paths[64] = "";
	struct server server;
	struct wire *wire = server_start(&server, play_events, NULL);

	(void)state;
	wire_set_event(wire, on_event, paths);
	assert_int_equal(call(wire, "/a", NULL), 0);
	assert_string_equal(paths, "/before/between");
	assert_int_equal(wire_wait(wire), -ENOTSUP);
	server_stop(&server, wire);
}

/* --- many requests */

/* Answers each window in the reverse order, with replies nobody asked for in between. */
static void play_reverse(int fd, void *arg)
{
	static struct request reqs[WIRE_WINDOW];

	(void)arg;
	for (;;) {
		for (size_t i = 0; i < WIRE_WINDOW; i++)
			if (!server_get(fd, &reqs[i]))
				return;
		for (size_t i = WIRE_WINDOW; i--;) {
			server_put(fd, XS_ERROR, 0, "E2BIG", 6);
			server_put(fd, XS_READ, reqs[i].hdr.req_id ^ (1u << 20), "", 1);
			server_put(fd, XS_READ, reqs[i].hdr.req_id, reqs[i].payload, i);
		}
	}
}

static void test_window(void **state)
{
	struct server server;
	struct wire *wire = server_start(&server, play_reverse, NULL);

	(void)state;
	for (int round = 0; round < 3; round++) {
		struct got got = { 0 };

		assert_int_equal(wire_room(wire), WIRE_WINDOW);
		for (uint64_t i = 0; i < WIRE_WINDOW; i++)
			assert_int_equal(send_read(wire, "/a", &got, i), 0);
		assert_int_equal(wire_room(wire), 0);
		assert_int_equal(send_read(wire, "/a", &got, 0), -EAGAIN);
		assert_int_equal(wire_drain(wire), 0);
		assert_int_equal(got.nr, WIRE_WINDOW);
		for (int i = 0; i < WIRE_WINDOW; i++) {
			assert_int_equal(got.tags[i], WIRE_WINDOW - 1 - i);
			assert_int_equal(got.lens[i], got.tags[i]);
		}
	}
	server_stop(&server, wire);
}

/* Reads nothing while it writes, as xenstored does: who does not read meanwhile is stuck. */
static void play_big(int fd, void *arg)
{
	static char big[BIG];
	struct request req;

	(void)arg;
	while (server_get(fd, &req))
		server_put(fd, req.hdr.type, req.hdr.req_id, big, sizeof(big));
}

static void test_both_ways_full(void **state)
{
	static char payload[XENSTORE_PAYLOAD_MAX];
	struct iovec part = { payload, sizeof(payload) };
	struct got got = { 0 };
	struct server server;
	struct wire *wire = server_start(&server, play_big, NULL);

	(void)state;
	for (uint64_t i = 0; i < WIRE_WINDOW; i++)
		assert_int_equal(wire_send(wire, XS_WRITE, 0, &part, 1, on_reply, &got, i), 0);
	assert_int_equal(wire_drain(wire), 0);
	assert_int_equal(got.nr, WIRE_WINDOW);
	assert_int_equal(got.lens[WIRE_WINDOW - 1], BIG);
	server_stop(&server, wire);
}

/* Octet by octet. */
static void play_slowly(int fd, void *arg)
{
	struct request req;

	(void)arg;
	while (server_get(fd, &req)) {
		struct xsd_sockmsg hdr = { req.hdr.type, req.hdr.req_id, 0, 6 };
		char octets[sizeof(hdr) + 6];

		memcpy(octets, &hdr, sizeof(hdr));
		memcpy(octets + sizeof(hdr), "value", 6);
		for (size_t i = 0; i < sizeof(octets); i++)
			server_write(fd, octets + i, 1);
	}
}

static void test_pieces(void **state)
{
	struct wire_reply reply;
	struct server server;
	struct wire *wire = server_start(&server, play_slowly, NULL);

	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(call(wire, "/a", &reply), 0);
		assert_string_equal(reply.data, "value");
	}
	server_stop(&server, wire);
}

static void test_function_ends_wait(void **state)
{
	struct got got = { .result = -ENOTSUP };
	struct wire_reply reply;
	struct server server;
	struct wire *wire = server_start(&server, echo, NULL);

	(void)state;
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(send_read(wire, "/a", &got, i), 0);
	assert_int_equal(wire_drain(wire), -ENOTSUP);
	assert_int_equal(got.nr, 1);
	/* The other replies still come, but nobody is called. */
	wire_forget(wire);
	assert_int_equal(call(wire, "/b", &reply), 0);
	assert_string_equal(reply.data, "/b");
	assert_int_equal(got.nr, 1);
	assert_int_equal(wire_room(wire), WIRE_WINDOW);
	server_stop(&server, wire);
}

/* --- what ends a connection, and what does not */

static void play_silence(int fd, void *arg)
{
	struct request req;

	(void)arg;
	server_get(fd, &req);
	/* The second one comes when the client has given up. */
	server_get(fd, &req);
	server_answer(fd, &req, "late");
	server_get(fd, &req);
}

static void test_timeout(void **state)
{
	struct wire_reply reply;
	struct server server;
	struct wire *wire = server_start(&server, play_silence, NULL);

	(void)state;
	wire_set_patience(wire, NULL, 1);
	assert_int_equal(call(wire, "/a", NULL), -ETIMEDOUT);
	wire_set_patience(wire, NULL, SERVER_PATIENCE_MS);
	assert_int_equal(call(wire, "/b", &reply), 0);
	assert_string_equal(reply.data, "late");
	server_stop(&server, wire);
}

static void play_end(int fd, void *arg)
{
	struct request req;

	(void)arg;
	server_get(fd, &req);
}

static void test_end(void **state)
{
	struct server server;
	struct wire *wire = server_start(&server, play_end, NULL);

	(void)state;
	assert_int_equal(call(wire, "/a", NULL), -ECONNRESET);
	assert_int_equal(call(wire, "/a", NULL), -ECONNRESET);
	assert_int_equal(wire_wait(wire), -ECONNRESET);
	server_stop(&server, wire);
}

static void play_wrong_type(int fd, void *arg)
{
	struct request req;

	(void)arg;
	while (server_get(fd, &req))
		server_put(fd, XS_WRITE, req.hdr.req_id, "OK", 3);
}

static void play_too_long(int fd, void *arg)
{
	struct xsd_sockmsg hdr = { .type = XS_WATCH_EVENT, .len = WIRE_REPLY_MAX + 1 };
	struct request req;

	(void)arg;
	server_write(fd, &hdr, sizeof(hdr));
	while (server_get(fd, &req))
		server_answer(fd, &req, "value");
}

static void test_nonsense(void **state)
{
	static const server_fn plays[] = { play_wrong_type, play_too_long };

	(void)state;
	for (size_t i = 0; i < sizeof(plays) / sizeof(plays[0]); i++) {
		struct server server;
		struct wire *wire = server_start(&server, plays[i], NULL);

		assert_int_equal(call(wire, "/a", NULL), -EPROTO);
		assert_int_equal(call(wire, "/a", NULL), -EPROTO);
		server_stop(&server, wire);
	}
}

static void test_answered(void **state)
{
	(void)state;
	assert_true(wire_answered(-EAGAIN));
	assert_true(wire_answered(-EIO));
	assert_false(wire_answered(-EINTR));
	assert_false(wire_answered(-ECONNRESET));
	assert_false(wire_answered(-EPIPE));
	assert_false(wire_answered(-ETIMEDOUT));
}

/* --- where to connect */

static void test_default_path(void **state)
{
	char long_path[WIRE_PATH_MAX + 1], path[WIRE_PATH_MAX];

	(void)state;
	memset(long_path, 'a', WIRE_PATH_MAX);
	long_path[WIRE_PATH_MAX] = '\0';
	unsetenv("XENSTORED_PATH");
	unsetenv("XENSTORED_RUNDIR");
	assert_int_equal(wire_default_path(path), 0);
	assert_string_equal(path, "/var/run/xenstored/socket");
	setenv("XENSTORED_RUNDIR", "/dir", 1);
	assert_int_equal(wire_default_path(path), 0);
	assert_string_equal(path, "/dir/socket");
	setenv("XENSTORED_PATH", "/path", 1);
	assert_int_equal(wire_default_path(path), 0);
	assert_string_equal(path, "/path");
	setenv("XENSTORED_PATH", long_path, 1);
	assert_int_equal(wire_default_path(path), -ENAMETOOLONG);
}

static void test_open(void **state)
{
	char long_path[WIRE_PATH_MAX + 1];
	struct wire *wire = NULL;

	(void)state;
	memset(long_path, 'a', WIRE_PATH_MAX);
	long_path[WIRE_PATH_MAX] = '\0';
	assert_int_equal(wire_open(&wire, "/nonexistent/socket"), -ENOENT);
	assert_int_equal(wire_open(&wire, long_path), -ENAMETOOLONG);
	assert_null(wire);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_events_are_skipped),
		cmocka_unit_test(test_events_are_told),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_both_ways_full),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_function_ends_wait),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_answered),
		cmocka_unit_test(test_default_path),
		cmocka_unit_test(test_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
