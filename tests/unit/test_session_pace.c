// SPDX-License-Identifier: MIT
/*
 * A session's pace: so many requests at once, so many messages a turn, and a guest that does not
 * read: what is for it waits in order, then its requests wait, then upstream does.
 */
#include "tests/unit/session_rig.h"

static void no_more_than_the_slots(void **state)
{
	struct rig *rig = *state;
	uint32_t id;

	for (uint32_t i = 0; i < LEDGER_PENDING + 1; i++)
		GUEST_SENDS(rig, XS_READ, i, 0, "x");
	rig_run(rig);
	id = STORED_GETS(rig, XS_READ, 0, "x");
	for (uint32_t i = 1; i < LEDGER_PENDING; i++)
		STORED_GETS(rig, XS_READ, 0, "x");
	assert_stored_idle(rig);
	/* The last one waits in its ring, whole, for an answer to any other. */
	assert_int_equal(queue_used(&rig->guest_out), MESSAGE_HEADER + 2);
	STORED_SENDS(rig, XS_READ, id, 0, "y");
	rig_run(rig);
	STORED_GETS(rig, XS_READ, 0, "x");
	GUEST_GETS(rig, XS_READ, 0, 0, "y");
}

static void a_turn_is_bounded(void **state)
{
	struct rig *rig = *state;
	uint32_t n;

	for (uint32_t i = 0; i < 24; i++)
		GUEST_SENDS(rig, XS_READ, i, 0, "x");
	rig_turn(rig);
	n = queue_used(&rig->stored_in) / (MESSAGE_HEADER + 2);
	assert_in_range(n, 1, 23);
	assert_true(rig->s->task.queued);
	rig_run(rig);
	assert_int_equal(queue_used(&rig->stored_in), 24 * (MESSAGE_HEADER + 2));

	/* The other way as well. */
	for (uint32_t i = 0; i < 24; i++)
		STORED_SENDS(rig, XS_WATCH_EVENT, 0, 0, "a\0b");
	rig_turn(rig);
	assert_true(queue_used(&rig->guest_in) < 24 * (MESSAGE_HEADER + 4));
	assert_true(rig->s->task.queued);
	rig_run(rig);
	assert_int_equal(queue_used(&rig->guest_in), 24 * (MESSAGE_HEADER + 4));
}

/* --- a guest that does not read */

static uint32_t flood(struct rig *rig, uint32_t max)
{
	uint8_t payload[300];
	uint32_t n = 0;

	while (n < max) {
		struct message msg;

		fill(payload, 200 + n % 100, n);
		msg = make_message(XS_WATCH_EVENT, 0, 0, payload, 200 + n % 100);
		if (XENSTORE_RING_SIZE - queue_used(&rig->stored_out) < message_size(&msg.hdr))
			break;
		queue_put_message(&rig->stored_out, &msg);
		n++;
		rig_run(rig);
	}
	return n;
}

static void assert_flood(struct rig *rig, uint32_t n, uint32_t piece)
{
	for (uint32_t i = 0; i < n; i++) {
		uint8_t payload[300];
		struct message got;

		fill(payload, 200 + i % 100, i);
		drain(rig, &rig->guest_in, &got, MESSAGE_HEADER, piece);
		drain(rig, &rig->guest_in, got.payload, got.hdr.len, piece);
		assert_message(&got, XS_WATCH_EVENT, 0, payload, 200 + i % 100);
	}
	assert_guest_idle(rig);
}

static void what_does_not_fit_waits_in_order(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(flood(rig, 50), 50);
	/* To the brim, or a guest that sleeps until it is full would sleep for ever. */
	assert_int_equal(queue_used(&rig->guest_in), XENSTORE_RING_SIZE);
	assert_flood(rig, 50, 7);
	assert_true(session_drained(rig->s));

	assert_int_equal(flood(rig, 50), 50);
	assert_flood(rig, 50, 5000);
	assert_true(session_drained(rig->s));
}

static void the_guest_is_woken_for_what_waited(void **state)
{
	struct rig *rig = *state;
	uint8_t octets[XENSTORE_RING_SIZE];

	flood(rig, 20);
	rig->front_kicks = 0;
	rig_run(rig);
	assert_int_equal(rig->front_kicks, 0);
	queue_get(&rig->guest_in, octets, sizeof(octets));
	rig_run(rig);
	assert_int_equal(rig->front_kicks, 1);
	assert_int_equal(queue_used(&rig->guest_in), XENSTORE_RING_SIZE);
}

/* Then upstream's own limit is reached, as it would be without us; and it goes on from there. */
static void a_full_fifo_stops_upstream(void **state)
{
	struct rig *rig = *state;
	uint32_t n = flood(rig, 5000);

	assert_in_range(n, 250 * 1024 / 316, 4999);
	assert_true(queue_used(&rig->stored_out) > XENSTORE_RING_SIZE - 316);
	assert_flood(rig, n, 900);
	assert_int_equal(queue_used(&rig->stored_out), 0);
	assert_int_equal(flood(rig, 10), 10);
}

/* Whoever reads nothing gets nothing done, but a little of it, for simple guests write first. */
static void requests_wait_for_a_guest_that_does_not_read(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(flood(rig, 20), 20);
	GUEST_SENDS(rig, XS_READ, 1, 0, "x");
	rig_run(rig);
	stored_sends(rig, XS_READ, STORED_GETS(rig, XS_READ, 0, "x"), 0, "", 0);
	rig_run(rig);

	assert_int_equal(flood(rig, 200), 200);
	GUEST_SENDS(rig, XS_READ, 2, 0, "y");
	rig_run(rig);
	assert_stored_idle(rig);
	assert_int_equal(queue_used(&rig->guest_out), MESSAGE_HEADER + 2);
	for (int i = 0; i < 100 && !queue_used(&rig->stored_in); i++) {
		uint8_t octets[XENSTORE_RING_SIZE];

		queue_get(&rig->guest_in, octets, sizeof(octets));
		rig_run(rig);
	}
	STORED_GETS(rig, XS_READ, 0, "y");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	static const struct CMUnitTest tests[] = {
		TEST(no_more_than_the_slots),
		TEST(a_turn_is_bounded),
		TEST(what_does_not_fit_waits_in_order),
		TEST(the_guest_is_woken_for_what_waited),
		TEST(a_full_fifo_stops_upstream),
		TEST(requests_wait_for_a_guest_that_does_not_read),
	};

	return cmocka_run_group_tests_name("session, pace", tests, NULL, NULL);
}
