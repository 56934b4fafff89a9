// SPDX-License-Identifier: MIT
/*
 * When a session may be made to stand still: nothing is owed to the guest, and nothing is taken
 * from it in part; but events may wait for a guest that does not read, and it gets them afterwards,
 * each of them, in order, whoever died meanwhile.
 */
#include <stdio.h>

#include "tests/unit/session_holding.h"

#define EVENT_LEN 200 /* of the payload: the ring holds four whole ones and a part of the fifth */
#define MANY	  30

/* Events with numbers; what there is no room for waits. */
static void events(struct rig *rig, uint32_t first, uint32_t n)
{
	char payload[EVENT_LEN] = { 0 };

	for (uint32_t i = first; i < first + n; i++) {
		snprintf(payload, sizeof(payload), "path/%u", i);
		stored_sends(rig, XS_WATCH_EVENT, 0, 0, payload, sizeof(payload));
		rig_run(rig);
	}
}

/* The guest gets events, and replies to READ; returns the number of events. */
static uint32_t guest_reads_all(struct rig *rig, uint32_t first, uint32_t *replies)
{
	struct message msg;
	uint32_t n = first;
	char path[32];

	while (queue_used(&rig->guest_in)) {
		drain(rig, &rig->guest_in, &msg.hdr, MESSAGE_HEADER, MESSAGE_HEADER);
		drain(rig, &rig->guest_in, msg.payload, msg.hdr.len, 4096);
		if (msg.hdr.type == XS_READ) {
			++*replies;
			continue;
		}
		assert_int_equal(msg.hdr.type, XS_WATCH_EVENT);
		snprintf(path, sizeof(path), "path/%u", n++);
		assert_string_equal((char *)msg.payload, path);
	}
	return n - first;
}

static void assert_reads(struct rig *rig, uint32_t first, uint32_t expected)
{
	uint32_t replies = 0;

	assert_int_equal(guest_reads_all(rig, first, &replies), expected);
	assert_int_equal(replies, 0);
	assert_int_equal(rig->s->fifo.waiting.events, 0);
	assert_int_equal(fifo_used(&rig->s->fifo), 0);
}

static void events_may_wait(void **state)
{
	for (int deaths = 0; deaths < 2; deaths++) {
		struct rig *rig = *state;
		xs_page before;

		events(rig, 0, MANY);
		assert_int_not_equal(word_get(&rig->s->ledger->fifo_left), 0);
		assert_true(session_drained(rig->s));
		if (deaths)
			rig_restart(rig);
		assert_true(session_drained(rig->s));
		assert_int_equal(rig->s->fifo.waiting.events, MANY - 4);
		session_quiet(rig->s);
		memcpy(&before, rig->guest, sizeof(before));
		events(rig, MANY, 3);
		if (deaths)
			rig_restart(rig);
		events(rig, MANY + 3, 3);
		assert_int_equal(session_state(rig->s), LEDGER_QUIET);
		assert_memory_equal(rig->guest, &before, sizeof(before));
		assert_int_equal(rig->s->fifo.waiting.events, MANY + 6 - 4);
		session_resume(rig->s);
		rig_run(rig);
		assert_reads(rig, 0, MANY + 6);
		rig_exchange(rig, XS_READ, 0, "x", 2, XS_READ, "y");
	}
}

/* One that xenstored has sent only a part of so far is no obstacle either. */
static void half_an_event_from_upstream(void **state)
{
	static uint8_t payload[3000];
	struct rig *rig = *state;
	struct message event = make_message(XS_WATCH_EVENT, 0, 0, payload, sizeof(payload)), got;
	uint32_t n = queue_put(&rig->stored_out, &event, 1000);

	rig_run(rig);
	assert_int_not_equal(word_get(&rig->s->ledger->fifo_fill), 0);
	assert_true(session_drained(rig->s));
	session_quiet(rig->s);
	rig_restart(rig);
	while (n < message_size(&event.hdr)) {
		n += queue_put(&rig->stored_out, (uint8_t *)&event + n,
			       message_size(&event.hdr) - n);
		rig_run(rig);
	}
	assert_guest_idle(rig);
	session_resume(rig->s);
	rig_run(rig);
	drain(rig, &rig->guest_in, &got, message_size(&event.hdr), 1024);
	assert_message(&got, XS_WATCH_EVENT, 0, payload, sizeof(payload));
}

/* Replies are owed, wherever they are: at upstream, behind events, in part in the ring. */
static void replies_may_not_wait(void **state)
{
	for (int deaths = 0; deaths < 2; deaths++) {
		struct rig *rig = *state;
		uint32_t replies = 0, id;

		GUEST_SENDS(rig, XS_READ, 1, 0, "x");
		events(rig, 0, MANY);
		id = STORED_GETS(rig, XS_READ, 0, "x");
		assert_false(session_drained(rig->s));
		STORED_SENDS(rig, XS_READ, id, 0, "y");
		rig_run(rig);
		assert_false(session_drained(rig->s));
		events(rig, MANY, MANY);
		if (deaths)
			rig_restart(rig);
		assert_false(session_drained(rig->s));
		assert_int_equal(rig->s->fifo.waiting.replies, 1);
		assert_int_equal(guest_reads_all(rig, 0, &replies), 2 * MANY);
		assert_int_equal(replies, 1);
		assert_true(session_drained(rig->s));
	}
}

static void a_reply_in_part_may_not_wait(void **state)
{
	static uint8_t payload[2000];
	struct rig *rig = *state;
	struct message reply;
	uint32_t n = 0, replies = 0, id;

	GUEST_SENDS(rig, XS_READ, 1, 0, "x");
	rig_run(rig);
	id = STORED_GETS(rig, XS_READ, 0, "x");
	reply = make_message(XS_READ, id, 0, payload, sizeof(payload));
	while (n < message_size(&reply.hdr)) {
		n += queue_put(&rig->stored_out, (uint8_t *)&reply + n,
			       message_size(&reply.hdr) - n);
		rig_run(rig);
	}
	assert_int_not_equal(word_get(&rig->s->ledger->fifo_left), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(word_get(&rig->s->ledger->pending_mask), 0);
		assert_false(session_drained(rig->s));
		rig_restart(rig);
	}
	guest_reads_all(rig, 0, &replies);
	assert_int_equal(replies, 1);
	assert_true(session_drained(rig->s));
}

/* Then no further event is begun, so the next time that the guest reads it is at a boundary. */
static void a_guest_that_reads_comes_to_a_boundary(void **state)
{
	struct rig *rig = *state;
	uint8_t octets[XENSTORE_RING_SIZE];
	struct message msg;
	uint32_t n = 0;

	events(rig, 0, MANY);
	rig->s->drain.quiesce++;
	queue_get(&rig->guest_in, octets, sizeof(octets));
	rig_run(rig);
	assert_int_equal(word_get(&rig->s->ledger->fifo_left), 0);
	assert_true(fifo_used(&rig->s->fifo) > 0);
	assert_true(session_drained(rig->s));
	/* The rest of the fifth is all that it got. */
	n = 5 * (MESSAGE_HEADER + EVENT_LEN) - XENSTORE_RING_SIZE;
	assert_int_equal(queue_get(&rig->guest_in, octets, sizeof(octets)), n);
	rig_run(rig);
	assert_guest_idle(rig);
	rig->s->drain.quiesce--;
	rig_run(rig);
	queue_get_message(&rig->guest_in, &msg);
	assert_string_equal((char *)msg.payload, "path/5");
	assert_reads(rig, 6, MANY - 6);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)
	static const struct CMUnitTest tests[] = {
		TEST(events_may_wait),
		TEST(half_an_event_from_upstream),
		TEST(replies_may_not_wait),
		TEST(a_reply_in_part_may_not_wait),
		TEST(a_guest_that_reads_comes_to_a_boundary),
	};

	return cmocka_run_group_tests_name("session, at rest", tests, NULL, NULL);
}
