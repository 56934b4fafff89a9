// SPDX-License-Identifier: MIT
/*
 * While xenstored is exchanged no front is read and nothing is delivered; sessions come to rest.
 * One that stands still, has ended or is to reconnect is made anew, or not, as it was.
 */
#include "tests/unit/session_anew.h"

static void fill_guest(struct rig *rig, uint32_t events)
{
	char text[200] = "data/x";

	for (uint32_t i = 0; i < events; i++) {
		sprintf(text, "data/%u", i);
		stored_sends(rig, XS_WATCH_EVENT, 0, 0, text, sizeof(text));
		rig_run(rig);
	}
}

/* --- nobody is served */

static void nothing_is_taken_and_nothing_delivered(void **state)
{
	struct rig *rig = *state;
	xs_page page;
	uint32_t id;

	GUEST_SENDS(rig, XS_READ, 1, 0, "x");
	rig_run(rig);
	rig->daemon.paused = true;
	id = STORED_GETS(rig, XS_READ, 0, "x");
	GUEST_SENDS(rig, XS_READ, 2, 0, "y");
	memcpy(&page, rig->guest, sizeof(page));
	rig_run(rig);
	assert_false(renew_rests(rig->s));
	assert_stored_idle(rig);
	STORED_SENDS(rig, XS_READ, id, 0, "value");
	assert_false(renew_rests(rig->s));
	/* More than a front that does not read is kept otherwise. */
	fill_guest(rig, 2 * FIFO_RUNNING / 216);
	assert_true(renew_rests(rig->s));
	assert_int_equal(rig->s->fifo.waiting.replies, 1);
	assert_true(fifo_used(&rig->s->fifo) > FIFO_RUNNING);
	assert_stored_idle(rig);
	assert_memory_equal(rig->guest, &page, sizeof(page));
	/* Nor by another process. */
	rig_restart(rig);
	rig_run(rig);
	assert_memory_equal(rig->guest, &page, sizeof(page));
	assert_stored_idle(rig);

	rig->daemon.paused = false;
	rig_run(rig);
	GUEST_GETS(rig, XS_READ, 1, 0, "value");
	for (uint32_t i = 0; i < 2 * FIFO_RUNNING / 216; i++) {
		uint8_t octets[216];

		drain(rig, &rig->guest_in, octets, sizeof(octets), sizeof(octets));
	}
	assert_guest_idle(rig);
	STORED_GETS(rig, XS_READ, 0, "y");
}

/* What has begun to go up goes on: there is no other way to rest. */
static void a_large_request_goes_up_to_its_end(void **state)
{
	struct rig *rig = *state;
	struct message msg = make_message(XS_WRITE, 3, 0, "", 0), got;
	uint32_t n = 0, m = 0;

	msg.hdr.len = 3000;
	fill(msg.payload, 3000, 1);
	while (n < message_size(&msg.hdr)) {
		n += queue_put(&rig->guest_out, (uint8_t *)&msg + n, message_size(&msg.hdr) - n);
		rig_run(rig);
	}
	rig->daemon.paused = true;
	rig_run(rig);
	assert_false(renew_rests(rig->s));
	while (m < message_size(&msg.hdr)) {
		m += queue_get(&rig->stored_in, (uint8_t *)&got + m, message_size(&msg.hdr) - m);
		rig_run(rig);
	}
	assert_false(renew_rests(rig->s));
	STORED_SENDS(rig, XS_WRITE, got.hdr.req_id, 0, "OK");
	rig_run(rig);
	assert_true(renew_rests(rig->s));
	assert_guest_idle(rig);
	rig->daemon.paused = false;
	rig_run(rig);
	GUEST_GETS(rig, XS_WRITE, 3, 0, "OK");
}

/* One that is whole, but has found no slot, waits with the others. */
static void a_request_that_waits_for_a_slot_waits(void **state)
{
	struct rig *rig = *state;
	uint32_t ids[LEDGER_PENDING];

	for (uint32_t i = 0; i <= LEDGER_PENDING; i++) {
		GUEST_SENDS(rig, XS_READ, i, 0, "x");
		rig_run(rig);
		if (i < LEDGER_PENDING)
			ids[i] = STORED_GETS(rig, XS_READ, 0, "x");
	}
	rig->daemon.paused = true;
	for (uint32_t i = 0; i < LEDGER_PENDING; i++) {
		STORED_SENDS(rig, XS_READ, ids[i], 0, "y");
		rig_run(rig);
	}
	assert_true(renew_rests(rig->s));
	assert_stored_idle(rig);
	rig->daemon.paused = false;
	rig_run(rig);
	STORED_SENDS(rig, XS_READ, STORED_GETS(rig, XS_READ, 0, "x"), 0, "y");
	rig_run(rig);
	for (uint32_t i = 0; i <= LEDGER_PENDING; i++)
		GUEST_GETS(rig, XS_READ, i, 0, "y");
}

/* --- as it was */

static void renew_twice(struct rig *rig, uint32_t watches)
{
	static struct anew after, third;

	rig->daemon.paused = true;
	rig_run(rig);
	assert_true(renew_rests(rig->s));
	renew_forget(rig->s);
	anew_begins(&after, rig);
	renew_begin(rig->s, true);
	anew_lives(&after);
	assert_int_equal(after.watches, watches);
	renew_forget(rig->s);
	rig_restart(rig);
	anew_begins(&third, rig);
	renew_begin(rig->s, true);
	anew_lives(&third);
	assert_false(renew_busy(rig->s));
	assert_int_equal(third.watches, watches);
	assert_true(renew_rests(rig->s));
	rig->daemon.paused = false;
}

static void one_that_stands_still(void **state)
{
	struct rig *rig = *state;
	xs_page page;

	register_texts(rig);
	session_quiet(rig->s);
	memcpy(&page, rig->guest, sizeof(page));
	STORED_SENDS(rig, XS_WATCH_EVENT, 0, 0, "data/1\0rel");
	rig_run(rig);
	renew_twice(rig, ANEW_TEXTS);
	assert_int_equal(session_state(rig->s), LEDGER_QUIET);
	/* What was dropped is not taken for what waits. */
	for (int i = 0; i < 2; i++) {
		STORED_SENDS(rig, XS_WATCH_EVENT, 0, 0, "data\0rel");
		rig_run(rig);
	}
	assert_int_equal(rig->s->fifo.waiting.events, 2);
	assert_memory_equal(rig->guest, &page, sizeof(page));
	session_resume(rig->s);
	rig_run(rig);
	GUEST_GETS(rig, XS_WATCH_EVENT, 0, 0, "data/1\0rel");
	GUEST_GETS(rig, XS_WATCH_EVENT, 0, 0, "data\0rel");
	assert_guest_idle(rig);
}

static void one_that_is_quiesced_and_resumed_meanwhile(void **state)
{
	static struct anew after;
	struct rig *rig = *state;

	watch(rig, "a\0t", 4);
	rig->daemon.paused = true;
	renew_forget(rig->s);
	anew_begins(&after, rig);
	renew_begin(rig->s, true);
	rig_run(rig);
	assert_false(session_drained(rig->s)); /* so it cannot be quiesced now */
	anew_lives(&after);
	assert_true(session_drained(rig->s));
	session_quiet(rig->s);
	anew_lives(&after);
	session_resume(rig->s);
	anew_lives(&after);
	serve_again(rig);
}

static void one_that_has_ended(void **state)
{
	struct rig *rig = *state;

	register_texts(rig);
	open_as(rig, "5");
	session_fail(rig->s, XENSTORE_ERROR_PROTO, "for a test");
	rig_run(rig);
	rig->daemon.paused = true;
	rig_run(rig);
	assert_false(renew_rests(rig->s));
	answer_reset(rig);
	renew_twice(rig, 0);
	rig_run(rig);
	assert_stored_idle(rig);
	assert_int_equal(session_state(rig->s), LEDGER_ENDED);
}

/* To whom would an xsproxyd that follows say so? What one has said is said to nobody any more. */
static void one_that_has_ended_between_two_daemons(void **state)
{
	struct rig *rig = *state;

	session_fail(rig->s, XENSTORE_ERROR_PROTO, "for a test");
	rig_run(rig);
	answer_reset(rig);
	rig->daemon.paused = rig->daemon.parted = true;
	rig_restart(rig);
	rig_run(rig);
	assert_stored_idle(rig);
	rig->daemon.parted = false;
	rig_restart(rig);
	rig_run(rig);
	assert_false(renew_rests(rig->s));
	rig->daemon.parted = true;
	renew_forget(rig->s);
	rig_run(rig);
	assert_true(renew_rests(rig->s));
	rig->daemon.paused = rig->daemon.parted = false;
	rig_run(rig);
	assert_true(renew_rests(rig->s));
}

/* It ends while it is made anew, which no daemon should bring about. */
static void one_that_ends_meanwhile(void **state)
{
	for (uint32_t steps = 0; steps < 30; steps++) {
		static struct anew after;
		struct rig *rig = *state;

		register_texts(rig);
		open_as(rig, "5");
		rig->daemon.paused = true;
		renew_forget(rig->s);
		anew_begins(&after, rig);
		renew_begin(rig->s, true);
		anew_lives_for(&after, steps);
		session_fail(rig->s, XENSTORE_ERROR_COMM, "for a test");
		anew_lives(&after);
		assert_false(renew_busy(rig->s));
		assert_true(renew_rests(rig->s));
		assert_int_equal(rig->s->watches.count, 0);
		assert_int_equal(after.watches, 0);
		rig_teardown(state);
		setup(state);
	}
}

/* As one that has ended, of which the C daemon has been told anew. */
static void one_that_is_introduced_meanwhile(void **state)
{
	static struct anew after;
	struct rig *rig = *state;
	char text[32];

	/* More than are asked for at once. */
	for (uint32_t i = 0; i < 2 * LEDGER_PENDING; i++)
		watch(rig, text, (uint32_t)sprintf(text, "data/%u%ct", i, 0) + 1);
	rig->daemon.paused = true;
	renew_forget(rig->s);
	anew_begins(&after, rig);
	renew_begin(rig->s, true);
	rig_run(rig);
	anew_reads(&after);
	session_upstream_reset(rig->s);
	rig->back->req_prod = rig->back->req_cons = 0;
	rig->back->rsp_prod = rig->back->rsp_cons = 0;
	rig->back->connection = XENSTORE_CONNECTED;
	anew_begins(&after, rig);
	anew_lives(&after);
	assert_false(renew_busy(rig->s));
	assert_int_equal(rig->s->watches.count + rig->s->watches.intents, 0);
	serve_again(rig);
}

/* Nobody waits for one that is not bound; it is served when all is as it was. */
static void one_that_is_bound_late(void **state)
{
	static struct anew after;
	struct rig *rig = *state;
	char text[200];

	memset(text, 't', sizeof(text));
	text[2] = text[sizeof(text) - 1] = 0;
	for (text[0] = 'a'; text[0] <= 'm'; text[0]++)
		watch(rig, text, sizeof(text));
	watch(rig, "z\0t", 4);
	rig->s->unbound = true;
	rig->daemon.paused = true;
	renew_forget(rig->s);
	anew_begins(&after, rig);
	renew_begin(rig->s, true);
	anew_lives(&after);
	assert_int_equal(after.watches, 0);
	rig->daemon.paused = false;
	/* It is short, so there is room for it when there is none for the next one of the others.
	 */
	GUEST_SENDS(rig, XS_UNWATCH, 1, 0, "z\0t");
	session_bound(rig->s, false);
	anew_lives(&after);
	assert_int_equal(after.watches, 14);
	GUEST_GETS(rig, XS_UNWATCH, 1, 0, "OK");
	assert_int_equal(rig->s->watches.count, 13);
	serve_again(rig);
}

static void one_that_reconnects_waits(void **state)
{
	struct rig *rig = *state;

	register_texts(rig);
	rig->daemon.paused = true;
	rig_run(rig);
	rig->guest->connection = XENSTORE_RECONNECT;
	renew_twice(rig, ANEW_TEXTS);
	assert_int_equal(rig->guest->connection, XENSTORE_RECONNECT);
	assert_int_equal(session_state(rig->s), LEDGER_RUN);
	rig_run(rig);
	answer_reset(rig);
	assert_int_equal(rig->guest->connection, XENSTORE_CONNECTED);
	assert_int_equal(rig->s->watches.count, 0);
	rig_exchange(rig, XS_READ, 0, "x", 2, XS_READ, "y");
}

static void one_that_is_reconnecting_comes_to_rest_first(void **state)
{
	struct rig *rig = *state;

	register_texts(rig);
	rig->guest->connection = XENSTORE_RECONNECT;
	rig_run(rig);
	rig->daemon.paused = true;
	rig_run(rig);
	assert_false(renew_rests(rig->s));
	answer_reset(rig);
	assert_int_equal(rig->guest->connection, XENSTORE_CONNECTED);
	renew_twice(rig, 0);
	rig_run(rig);
	rig_exchange(rig, XS_READ, 0, "x", 2, XS_READ, "y");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		RENEW_TEST(nothing_is_taken_and_nothing_delivered),
		RENEW_TEST(a_large_request_goes_up_to_its_end),
		RENEW_TEST(a_request_that_waits_for_a_slot_waits),
		RENEW_TEST(one_that_stands_still),
		RENEW_TEST(one_that_is_quiesced_and_resumed_meanwhile),
		RENEW_TEST(one_that_has_ended),
		RENEW_TEST(one_that_has_ended_between_two_daemons),
		RENEW_TEST(one_that_ends_meanwhile),
		RENEW_TEST(one_that_is_introduced_meanwhile),
		RENEW_TEST(one_that_is_bound_late),
		RENEW_TEST(one_that_reconnects_waits),
		RENEW_TEST(one_that_is_reconnecting_comes_to_rest_first),
	};

	return cmocka_run_group_tests_name("session, anew, in all states", tests, NULL, NULL);
}
