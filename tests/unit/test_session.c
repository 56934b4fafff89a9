// SPDX-License-Identifier: MIT
/*
 * A session relays: requests whole and under ids of ours, replies with the guest's own, both in
 * pieces where they are larger than a ring.
 */
#include "tests/unit/session_rig.h"

static void a_request_and_its_reply(void **state)
{
	struct rig *rig = *state;
	uint32_t id;

	GUEST_SENDS(rig, XS_READ, 0x12345678, 0, "name");
	rig_run(rig);
	id = STORED_GETS(rig, XS_READ, 0, "name");
	assert_true(rig->back_kicks > 0);
	assert_guest_idle(rig);
	assert_int_equal(queue_used(&rig->guest_out), 0);

	rig->front_kicks = 0;
	STORED_SENDS(rig, XS_READ, id, 0, "value");
	rig_run(rig);
	GUEST_GETS(rig, XS_READ, 0x12345678, 0, "value");
	assert_int_equal(rig->front_kicks, 1);
	assert_true(session_drained(rig->s));
}

static void every_type_is_relayed(void **state)
{
	static const uint32_t types[] = { XS_CONTROL,
					  XS_WRITE,
					  XS_SET_PERMS,
					  XS_IS_DOMAIN_INTRODUCED,
					  XS_INTRODUCE,
					  XS_RELEASE,
					  XS_RESUME,
					  XS_SET_TARGET,
					  XS_DIRECTORY_PART,
					  XS_WATCH_EVENT,
					  XS_ERROR,
					  0xff,
					  0xffff,
					  UINT32_MAX };
	static const uint32_t strings[] = { XS_READ,  XS_DIRECTORY, XS_GET_PERMS,
					    XS_MKDIR, XS_RM,	    XS_GET_DOMAIN_PATH };
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		rig_exchange(rig, types[i], 0, "a\0b", 4,
			     i % 2 || types[i] == XS_WATCH_EVENT ? XS_ERROR : types[i], "EINVAL");
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		rig_exchange(rig, strings[i], 0, "ab", 3, i % 2 ? XS_ERROR : strings[i], "EINVAL");
	rig_exchange(rig, XS_WRITE, 0, "", 0, XS_WRITE, "");
}

static void ids_are_ours_and_unique(void **state)
{
	struct rig *rig = *state;
	uint32_t id[8];

	/* All with the same id, one of them with one that we may use ourselves. */
	for (uint32_t i = 0; i < 8; i++)
		GUEST_SENDS(rig, XS_READ, 33, 0, "x");
	rig_run(rig);
	for (uint32_t i = 0; i < 8; i++) {
		id[i] = STORED_GETS(rig, XS_READ, 0, "x");
		for (uint32_t j = 0; j < i; j++)
			assert_int_not_equal(id[i], id[j]);
	}
	/* Replies find their request in whatever order they come. */
	for (uint32_t i = 8; i-- > 0;) {
		char text[2] = { (char)('a' + i), 0 };

		stored_sends(rig, XS_READ, id[i], 0, text, 2);
	}
	rig_run(rig);
	for (uint32_t i = 8; i-- > 0;) {
		char text[2] = { (char)('a' + i), 0 };

		guest_gets(rig, XS_READ, 33, 0, text, 2);
	}
	assert_true(session_drained(rig->s));
}

/* Octet by octet: upstream sees nothing before the last one, then all. */
static void half_a_request_goes_nowhere(void **state)
{
	struct rig *rig = *state;

	for (uint32_t len = 0; len < 40; len += 13) {
		uint8_t payload[40];
		struct message msg;

		fill(payload, len, len);
		msg = make_message(XS_WRITE, 5, 0, payload, len);
		for (uint32_t i = 0; i < message_size(&msg.hdr); i++) {
			assert_stored_idle(rig);
			queue_put(&rig->guest_out, (uint8_t *)&msg + i, 1);
			rig_run(rig);
			/* Linux rings for the next octet only if all before it were taken. */
			assert_int_equal(queue_used(&rig->guest_out), 0);
		}
		stored_sends(rig, XS_WRITE, stored_gets(rig, XS_WRITE, 0, payload, len), 0, "OK",
			     3);
		rig_run(rig);
		GUEST_GETS(rig, XS_WRITE, 5, 0, "OK");
	}
	assert_true(session_drained(rig->s));
}

/* Every way to cut two requests in two. */
static void requests_cut_anywhere(void **state)
{
	struct rig *rig = *state;
	uint8_t octets[64], payload[16];
	struct message msg;

	fill(payload, sizeof(payload), 1);
	msg = make_message(XS_WRITE, 1, 0, payload, sizeof(payload));
	memcpy(octets, &msg, 32);
	msg.hdr.req_id = 2;
	memcpy(octets + 32, &msg, 32);
	for (uint32_t cut = 1; cut < 64; cut++) {
		uint32_t id[2];

		queue_put(&rig->guest_out, octets, cut);
		rig_run(rig);
		queue_put(&rig->guest_out, octets + cut, 64 - cut);
		rig_run(rig);
		for (int i = 0; i < 2; i++)
			id[i] = stored_gets(rig, XS_WRITE, 0, payload, sizeof(payload));
		for (uint32_t i = 0; i < 2; i++)
			STORED_SENDS(rig, XS_WRITE, id[i], 0, "OK");
		rig_run(rig);
		for (uint32_t i = 0; i < 2; i++)
			GUEST_GETS(rig, XS_WRITE, i + 1, 0, "OK");
	}
}

static void a_request_larger_than_the_ring(void **state)
{
	struct rig *rig = *state;

	for (uint32_t len = 1000; len <= XENSTORE_PAYLOAD_MAX; len += 172) {
		static uint8_t payload[XENSTORE_PAYLOAD_MAX];
		struct message msg, got;

		fill(payload, len, len);
		msg = make_message(XS_WRITE, len, 0, payload, len);
		for (uint32_t n = 0; n < message_size(&msg.hdr);) {
			/* It begins its way up when it is whole: xenstored never waits for a guest.
			 */
			assert_stored_idle(rig);
			n += queue_put(&rig->guest_out, (uint8_t *)&msg + n,
				       message_size(&msg.hdr) - n);
			rig_run(rig);
		}
		drain(rig, &rig->stored_in, &got, message_size(&msg.hdr), 300);
		assert_message(&got, XS_WRITE, 0, payload, len);
		assert_stored_idle(rig);
		STORED_SENDS(rig, XS_WRITE, got.hdr.req_id, 0, "OK");
		rig_run(rig);
		GUEST_GETS(rig, XS_WRITE, len, 0, "OK");
		assert_true(session_drained(rig->s));
	}
}

static void requests_do_not_overtake_a_large_one(void **state)
{
	static uint8_t payload[2000];
	struct rig *rig = *state;
	struct message msg = make_message(XS_WRITE, 1, 0, payload, sizeof(payload)), got;

	for (uint32_t n = 0; n < message_size(&msg.hdr); rig_run(rig))
		n += queue_put(&rig->guest_out, (uint8_t *)&msg + n, message_size(&msg.hdr) - n);
	GUEST_SENDS(rig, XS_READ, 2, 0, "x");
	rig_run(rig);
	drain(rig, &rig->stored_in, &got, message_size(&msg.hdr), 5000);
	assert_int_equal(got.hdr.type, XS_WRITE);
	STORED_GETS(rig, XS_READ, 0, "x");
}

static void a_reply_larger_than_the_ring(void **state)
{
	struct rig *rig = *state;

	for (uint32_t len = 900; len <= XENSTORE_PAYLOAD_MAX; len += 188) {
		static uint8_t payload[XENSTORE_PAYLOAD_MAX];
		struct message msg, got;
		uint32_t n = 0;

		GUEST_SENDS(rig, XS_READ, len, 0, "x");
		rig_run(rig);
		fill(payload, len, len);
		msg = make_message(XS_READ, STORED_GETS(rig, XS_READ, 0, "x"), 0, payload, len);
		while (n < message_size(&msg.hdr)) {
			uint32_t put = queue_put(&rig->stored_out, (uint8_t *)&msg + n,
						 message_size(&msg.hdr) - n);

			assert_int_not_equal(put, 0); /* upstream is always drained */
			n += put;
			rig_run(rig);
		}
		drain(rig, &rig->guest_in, &got, message_size(&msg.hdr), 333);
		assert_message(&got, XS_READ, 0, payload, len);
		assert_int_equal(got.hdr.req_id, len);
		assert_guest_idle(rig);
		assert_true(session_drained(rig->s));
	}
}

/* Upstream writes in pieces; the guest sees messages, whole, also events in between. */
static void pieces_from_upstream(void **state)
{
	struct rig *rig = *state;
	struct message event = make_message(XS_WATCH_EVENT, 0, 0, "path\0token", 11), reply;

	GUEST_SENDS(rig, XS_READ, 9, 0, "x");
	rig_run(rig);
	reply = make_message(XS_READ, STORED_GETS(rig, XS_READ, 0, "x"), 0, "value", 5);
	for (uint32_t i = 0; i < message_size(&event.hdr); i++) {
		assert_guest_idle(rig);
		queue_put(&rig->stored_out, (uint8_t *)&event + i, 1);
		rig_run(rig);
	}
	GUEST_GETS(rig, XS_WATCH_EVENT, 0, 0, "path\0token");
	for (uint32_t i = 0; i < message_size(&reply.hdr); i++) {
		assert_guest_idle(rig);
		queue_put(&rig->stored_out, (uint8_t *)&reply + i, 1);
		rig_run(rig);
	}
	guest_gets(rig, XS_READ, 9, 0, "value", 5);
}

/* A reply of ours takes its turn like any other message. */
static void an_error_of_ours_keeps_the_order(void **state)
{
	static char payload[MESSAGE_WATCH_MAX + 1] = "a";
	struct rig *rig = *state;
	struct message big;
	uint32_t id;

	memset(payload + 2, 't', sizeof(payload) - 3);
	big = make_message(XS_WATCH, 2, 0, payload, sizeof(payload));
	GUEST_SENDS(rig, XS_READ, 1, 0, "x");
	for (uint32_t n = 0; n < message_size(&big.hdr); rig_run(rig))
		n += queue_put(&rig->guest_out, (uint8_t *)&big + n, message_size(&big.hdr) - n);
	GUEST_SENDS(rig, XS_READ, 3, 0, "y");
	rig_run(rig);
	id = STORED_GETS(rig, XS_READ, 0, "x");
	assert_stored_idle(rig);
	assert_guest_idle(rig);
	STORED_SENDS(rig, XS_READ, id, 0, "1");
	rig_run(rig);
	GUEST_GETS(rig, XS_READ, 1, 0, "1");
	GUEST_GETS(rig, XS_ERROR, 2, 0, "E2BIG");
	STORED_GETS(rig, XS_READ, 0, "y");
	assert_int_equal(rig->s->watches.count + rig->s->watches.intents, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	static const struct CMUnitTest tests[] = {
		TEST(a_request_and_its_reply),
		TEST(every_type_is_relayed),
		TEST(ids_are_ours_and_unique),
		TEST(half_a_request_goes_nowhere),
		TEST(requests_cut_anywhere),
		TEST(a_request_larger_than_the_ring),
		TEST(requests_do_not_overtake_a_large_one),
		TEST(a_reply_larger_than_the_ring),
		TEST(pieces_from_upstream),
		TEST(an_error_of_ours_keeps_the_order),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
