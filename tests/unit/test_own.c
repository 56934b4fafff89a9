// SPDX-License-Identifier: MIT
/* A connection of xsproxyd's own to xenstored: whatever comes over it, in whatever pieces. */
#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "protocol/message.h"
#include "proxy/daemon.h"
#include "proxy/host/client.h"

static int far_end, dial_error;

static int fake_dial(const struct daemon *daemon)
{
	int fds[2];

	(void)daemon;
	if (dial_error)
		return dial_error;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	far_end = fds[1];
	return fds[0];
}

#define client_dial fake_dial
#include "proxy/host/own.c"

struct bed {
	struct daemon daemon;
	struct own *own;
	uint32_t replies, ends;
	bool closes;	    /* when it has a reply */
	uint32_t type, len; /* of the last one */
	char text[8];
};

static void replied(void *arg, const struct own_reply *reply)
{
	struct bed *bed = arg;

	if (!reply) {
		bed->ends++;
		bed->own = own_close(bed->own);
		return;
	}
	bed->replies++;
	bed->type = reply->type;
	bed->len = reply->len;
	memcpy(bed->text, reply->payload, reply->len < 8 ? reply->len : 8);
	if (bed->closes)
		bed->own = own_close(bed->own);
}

static int setup(void **state)
{
	static struct bed bed;

	memset(&bed, 0, sizeof(bed));
	bed.daemon.base = event_base_new();
	assert_int_equal(own_open(&bed.own, &bed.daemon, replied, &bed), 0);
	*state = &bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	bed->own = own_close(bed->own);
	event_base_free(bed->daemon.base);
	if (far_end >= 0)
		close(far_end);
	return 0;
}

static void run(struct bed *bed)
{
	for (int i = 0; i < 20; i++)
		event_base_loop(bed->daemon.base, EVLOOP_NONBLOCK);
}

static void says(struct bed *bed, uint32_t type, uint32_t len, uint32_t piece)
{
	static uint8_t octets[OWN_REPLY_MAX + 20000];
	struct xsd_sockmsg hdr = { .type = type, .len = len };
	uint32_t size = (uint32_t)sizeof(hdr) + len, n;

	memset(octets, 'x', sizeof(octets));
	memcpy(octets, &hdr, sizeof(hdr));
	for (uint32_t at = 0; at < size; at += n) {
		n = piece < size - at ? piece : size - at;
		assert_int_equal(send(far_end, octets + at, n, MSG_NOSIGNAL), n);
		run(bed);
	}
}

static void what_is_asked_arrives(void **state)
{
	struct bed *bed = *state;
	struct message msg;

	assert_int_equal(own_ask(bed->own, XS_DIRECTORY, "/local", 7), 0);
	assert_int_equal(recv(far_end, &msg, sizeof(msg), 0), MESSAGE_HEADER + 7);
	assert_int_equal(msg.hdr.type, XS_DIRECTORY);
	assert_int_equal(msg.hdr.len, 7);
	assert_memory_equal(msg.payload, "/local", 7);
}

static void replies_in_pieces(void **state)
{
	static const uint32_t pieces[] = { 1, 7, MESSAGE_HEADER, 100, 20000 };
	static const uint32_t lens[] = { 0, 1, 300, XENSTORE_PAYLOAD_MAX };
	struct bed *bed = *state;
	uint32_t n = 0;

	for (uint32_t i = 0; i < 5; i++) {
		for (uint32_t j = 0; j < 4; j++) {
			says(bed, XS_DIRECTORY, lens[j], pieces[i]);
			assert_int_equal(bed->replies, ++n);
			assert_int_equal(bed->len, lens[j]);
		}
	}
	assert_int_equal(bed->ends, 0);
}

/* oxenstored has no limit of its own. */
static void a_long_reply(void **state)
{
	struct bed *bed = *state;

	says(bed, XS_DIRECTORY, 10000, 3000);
	assert_int_equal(bed->replies, 1);
	assert_int_equal(bed->type, XS_DIRECTORY);
	assert_int_equal(bed->len, 10000);
	says(bed, XS_DIRECTORY, OWN_REPLY_MAX, 20000);
	assert_int_equal(bed->len, OWN_REPLY_MAX);
}

/* What comes behind is understood. */
static void a_reply_that_is_too_long(void **state)
{
	static const uint32_t pieces[] = { 1000, 5000, 20000 };
	struct bed *bed = *state;

	for (uint32_t i = 0; i < 3; i++) {
		says(bed, XS_DIRECTORY, OWN_REPLY_MAX + 1000, pieces[i]);
		assert_int_equal(bed->replies, 2 * i + 1);
		assert_int_equal(bed->type, XS_ERROR);
		assert_string_equal(bed->text, "E2BIG");
		says(bed, XS_CONTROL, 3, 4);
		assert_int_equal(bed->replies, 2 * i + 2);
		assert_int_equal(bed->type, XS_CONTROL);
	}
	assert_int_equal(bed->ends, 0);
}

static void its_end(void **state)
{
	struct bed *bed = *state;

	says(bed, XS_DIRECTORY, 5, 12);
	assert_int_equal(send(far_end, "abc", 3, MSG_NOSIGNAL), 3);
	run(bed);
	close(far_end);
	far_end = -1;
	run(bed);
	assert_int_equal(bed->replies, 1);
	assert_int_equal(bed->ends, 1);
	assert_null(bed->own);
}

static void closed_by_whoever_is_told(void **state)
{
	struct bed *bed = *state;

	bed->closes = true;
	says(bed, XS_DIRECTORY, 5, 21);
	assert_int_equal(bed->replies, 1);
	assert_null(bed->own);
}

static void nobody_listens(void **state)
{
	struct bed *bed = *state;
	struct own *own = NULL;

	dial_error = -EAGAIN;
	assert_int_equal(own_open(&own, &bed->daemon, replied, bed), -EAGAIN);
	assert_null(own);
	dial_error = 0;
	close(far_end);
	far_end = -1;
	assert_true(own_ask(bed->own, XS_CONTROL, "x", 2) < 0);
}

#define OWN_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		OWN_TEST(what_is_asked_arrives),
		OWN_TEST(replies_in_pieces),
		OWN_TEST(a_long_reply),
		OWN_TEST(a_reply_that_is_too_long),
		OWN_TEST(its_end),
		OWN_TEST(closed_by_whoever_is_told),
		OWN_TEST(nobody_listens),
	};

	return cmocka_run_group_tests_name("own", tests, NULL, NULL);
}
