// SPDX-License-Identifier: MIT
/*
 * A session's states: reconnection of the guest's ring, standing still, a bound or unbound channel,
 * what is offered to the guest, events that wait, and the epoch.
 */
#include <stdio.h>

#include "tests/unit/session_holding.h"

/* --- reconnection */

static void assert_ring_is_new(struct rig *rig)
{
	xs_page *page = rig->guest;

	assert_int_equal(page->connection, XENSTORE_CONNECTED);
	assert_int_equal(page->req_prod | page->req_cons | page->rsp_prod | page->rsp_cons, 0);
	assert_int_equal(session_state(rig->s), LEDGER_RUN);
	assert_int_equal(holdings(rig), 0);
	assert_true(session_drained(rig->s));
	rig_exchange(rig, XS_READ, 0, "x", 2, XS_READ, "y");
}

static void reconnecting_resets_all(void **state)
{
	struct rig *rig = *state;

	watch(rig, "a\0t", 4);
	open_transaction(rig);
	rig->guest->connection = XENSTORE_RECONNECT;
	rig_run(rig);
	/* Not before upstream has forgotten the old connection. */
	assert_int_equal(rig->guest->connection, XENSTORE_RECONNECT);
	rig->front_kicks = 0;
	answer_reset(rig);
	assert_int_equal(rig->front_kicks, 1);
	assert_ring_is_new(rig);
}

/* What was under way each way, in whatever form, does not reach the new connection. */
static void reconnecting_in_the_middle_of_everything(void **state)
{
	static uint8_t payload[3000];
	struct rig *rig = *state;
	struct message big = make_message(XS_WRITE, 3, 0, payload, sizeof(payload)), got;
	uint32_t id[2], n = 0;

	GUEST_SENDS(rig, XS_READ, 1, 0, "a");
	GUEST_SENDS(rig, XS_READ, 2, 0, "b");
	rig_run(rig);
	id[0] = STORED_GETS(rig, XS_READ, 0, "a");
	id[1] = STORED_GETS(rig, XS_READ, 0, "b");
	/* A reply of which the ring holds a part, with more behind it. */
	for (int i = 0; i < 10; i++) {
		stored_sends(rig, XS_WATCH_EVENT, 0, 0, payload, 300);
		rig_run(rig);
	}
	/* A request of which upstream has a part. */
	while (n < message_size(&big.hdr)) {
		n += queue_put(&rig->guest_out, (uint8_t *)&big + n, message_size(&big.hdr) - n);
		rig_run(rig);
	}
	rig->guest->connection = XENSTORE_RECONNECT;
	rig_run(rig);
	STORED_SENDS(rig, XS_READ, id[0], 0, "A");
	STORED_SENDS(rig, XS_WATCH_EVENT, 0, 0, "a\0t");
	STORED_SENDS(rig, XS_READ, id[1], 0, "B");
	/* Upstream gets the rest of it, then our request. */
	for (n = 0; n < message_size(&big.hdr); rig_run(rig))
		n += queue_get(&rig->stored_in, (uint8_t *)&got + n, message_size(&big.hdr) - n);
	assert_message(&got, XS_WRITE, 0, payload, sizeof(payload));
	STORED_SENDS(rig, XS_WRITE, got.hdr.req_id, 0, "OK");
	answer_reset(rig);
	assert_ring_is_new(rig);
	assert_guest_idle(rig);
}

static void reconnecting_with_half_a_request(void **state)
{
	static uint8_t payload[2000];
	struct rig *rig = *state;
	struct message big = make_message(XS_WRITE, 3, 0, payload, sizeof(payload));

	queue_put(&rig->guest_out, &big, 900);
	rig_run(rig);
	rig->guest->connection = XENSTORE_RECONNECT;
	rig_run(rig);
	answer_reset(rig);
	assert_ring_is_new(rig);
	/* Another large one finds the place clean. */
	for (uint32_t n = 0; n < message_size(&big.hdr); rig_run(rig))
		n += queue_put(&rig->guest_out, (uint8_t *)&big + n, message_size(&big.hdr) - n);
	assert_int_equal(queue_used(&rig->stored_in), XENSTORE_RING_SIZE);
}

static void reconnecting_survives_restarts(void **state)
{
	struct rig *rig = *state;
	uint32_t id;

	watch(rig, "a\0t", 4);
	rig->guest->connection = XENSTORE_RECONNECT;
	rig_restart(rig);
	rig_run(rig);
	id = STORED_GETS(rig, XS_RESET_WATCHES, 0, "");
	rig_restart(rig);
	rig_run(rig);
	assert_stored_idle(rig); /* not a second time */
	STORED_SENDS(rig, XS_RESET_WATCHES, id, 0, "OK");
	rig_restart(rig);
	rig_run(rig);
	assert_ring_is_new(rig);
}

/* hvmloader sets the indexes to 0 without a word. */
static void zeroed_indexes_are_taken_as_they_are(void **state)
{
	struct rig *rig = *state;

	rig_exchange(rig, XS_READ, 0, "x", 2, XS_READ, "y");
	rig->guest->req_prod = rig->guest->req_cons = 0;
	rig->guest->rsp_prod = rig->guest->rsp_cons = 0;
	rig_exchange(rig, XS_READ, 0, "x", 2, XS_READ, "y");
}

/* --- standing still */

static void a_quiet_page_is_not_touched(void **state)
{
	struct rig *rig = *state;
	xs_page before;

	watch(rig, "a\0t", 4);
	session_quiet(rig->s);
	GUEST_SENDS(rig, XS_READ, 1, 0, "x");
	memcpy(&before, rig->guest, sizeof(before));
	rig->front_kicks = 0;
	for (int i = 0; i < 3; i++) {
		STORED_SENDS(rig, XS_WATCH_EVENT, 0, 0, "a/1\0t");
		STORED_SENDS(rig, XS_WATCH_EVENT, 0, 0, "a/2\0t");
		STORED_SENDS(rig, XS_WATCH_EVENT, 0, 0, "a/1\0t");
		rig_run(rig);
		rig_restart(rig);
		rig_run(rig);
	}
	assert_memory_equal(rig->guest, &before, sizeof(before));
	assert_int_equal(rig->front_kicks, 0);
	assert_stored_idle(rig);
	assert_int_equal(queue_used(&rig->stored_out), 0);

	/* What came in the meantime, once each; then its requests. */
	session_resume(rig->s);
	assert_true(rig->s->task.queued);
	rig_run(rig);
	GUEST_GETS(rig, XS_WATCH_EVENT, 0, 0, "a/1\0t");
	GUEST_GETS(rig, XS_WATCH_EVENT, 0, 0, "a/2\0t");
	assert_guest_idle(rig);
	STORED_GETS(rig, XS_READ, 0, "x");
	assert_true(rig->front_kicks > 0);

	/* From now on two identical ones are two again. */
	for (int i = 0; i < 2; i++)
		STORED_SENDS(rig, XS_WATCH_EVENT, 0, 0, "a/1\0t");
	rig_run(rig);
	for (int i = 0; i < 2; i++)
		GUEST_GETS(rig, XS_WATCH_EVENT, 0, 0, "a/1\0t");
}

static void draining_takes_no_new_request(void **state)
{
	static uint8_t payload[1500];
	struct rig *rig = *state;
	struct message big = make_message(XS_WRITE, 2, 0, payload, sizeof(payload)), got;
	uint32_t n;

	/* One that is begun is finished. */
	n = queue_put(&rig->guest_out, &big, 500);
	rig_run(rig);
	rig->s->drain.quiesce++;
	while (n < message_size(&big.hdr)) {
		n += queue_put(&rig->guest_out, (uint8_t *)&big + n, message_size(&big.hdr) - n);
		rig_run(rig);
	}
	GUEST_SENDS(rig, XS_READ, 3, 0, "x");
	for (n = 0; n < message_size(&big.hdr); rig_run(rig))
		n += queue_get(&rig->stored_in, (uint8_t *)&got + n, message_size(&big.hdr) - n);
	assert_false(session_drained(rig->s));
	STORED_SENDS(rig, XS_WRITE, got.hdr.req_id, 0, "OK");
	rig_run(rig);
	assert_true(session_drained(rig->s));
	assert_stored_idle(rig);
	rig->s->drain.quiesce--;
	rig_run(rig);
	STORED_GETS(rig, XS_READ, 0, "x");
}

/* --- channel and features */

static void nothing_moves_while_unbound(void **state)
{
	struct rig *rig = *state;

	rig->s->unbound = true;
	GUEST_SENDS(rig, XS_READ, 1, 0, "x");
	STORED_SENDS(rig, XS_WATCH_EVENT, 0, 0, "a\0t");
	rig_run(rig);
	assert_stored_idle(rig);
	assert_guest_idle(rig);
	rig->s->unbound = false;
	rig_run(rig);
	STORED_GETS(rig, XS_READ, 0, "x");
	GUEST_GETS(rig, XS_WATCH_EVENT, 0, 0, "a\0t");
}

static void features_are_what_both_can(void **state)
{
	struct rig *rig = *state;

	rig->guest->server_features = 0xffff; /* of the host that it comes from */
	rig_run(rig);
	assert_int_equal(rig->guest->server_features, 0);
	rig->back->server_features = 0xffffffff;
	rig_restart(rig);
	rig_run(rig);
	assert_int_equal(rig->guest->server_features, 15);
	assert_int_equal(rig->back->connection, 0);
}

/* oxenstored writes them after the bind; what the guest makes of its page is its own affair. */
static void features_may_come_late(void **state)
{
	struct rig *rig = *state;

	rig_run(rig);
	assert_int_equal(rig->guest->server_features, 0);
	rig->back->server_features = 1;
	rig_exchange(rig, XS_READ, 0, "x", 2, XS_READ, "1");
	assert_int_equal(rig->guest->server_features, 1);
	rig->guest->server_features = 5;
	rig_exchange(rig, XS_READ, 0, "x", 2, XS_READ, "1");
	assert_int_equal(rig->guest->server_features, 5);
}

/* --- events that wait while it stands still */

static void stored_fires(struct rig *rig, uint32_t number)
{
	char text[64];
	int len = sprintf(text, "%040u", number) + 1;

	memcpy(text + len, "t", 2);
	stored_sends(rig, XS_WATCH_EVENT, 0, 0, text, (uint32_t)len + 2);
}

/* The next process takes them up without a look at each, and knows them before one more comes. */
static void waiting_events_are_noted_when_it_matters(void **state)
{
	enum { EVENTS = 4000 };
	struct rig *rig = *state;
	uint32_t turns;

	session_quiet(rig->s);
	for (uint32_t i = 0; i < EVENTS; i++) {
		stored_fires(rig, i);
		rig_run(rig);
	}
	assert_int_equal(rig->s->fifo.waiting.events, EVENTS);
	rig_restart(rig);
	rig_run(rig);
	assert_null(rig->s->fifo.events);

	stored_fires(rig, EVENTS - 1);
	stored_fires(rig, EVENTS);
	for (turns = 0; queue_used(&rig->stored_out); turns++) {
		rig_turn(rig);
		assert_true(rig->s->task.queued || !queue_used(&rig->stored_out));
	}
	assert_in_range(turns, 5, 20);
	assert_int_equal(rig->s->fifo.waiting.events, EVENTS + 1);
}

/* --- the epoch */

static void reset(struct rig *rig)
{
	rig_exchange(rig, XS_RESET_WATCHES, 0, "", 1, XS_RESET_WATCHES, "OK");
}

/* As if there had been so many resets that the next one leads there. */
static void arrive(struct rig *rig, uint32_t epoch)
{
	if (word_get(&rig->s->ledger->epoch) == epoch)
		return;
	atomic_store(&rig->s->ledger->epoch, epoch == 1 ? UINT32_MAX : epoch - 1);
	reset(rig);
	assert_int_equal(word_get(&rig->s->ledger->epoch), epoch);
}

/* Nothing is held, nor would the next process find anything. */
static void assert_holds_nothing(struct rig *rig)
{
	assert_int_equal(holdings(rig), 0);
	rig_restart(rig);
	assert_int_equal(holdings(rig), 0);
}

/* 2^32 resets later the epoch has the value again by which something lived. */
static void the_dead_stay_dead_in_every_epoch(void **state)
{
	static const uint32_t lived[] = { 1,	      2,	  0x7ffffffe, 0x7fffffff,
					  0x80000000, 0x80000001, UINT32_MAX };
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(lived) / sizeof(lived[0]); i++) {
		bool late = lived[i] >= 0x80000000;

		arrive(rig, lived[i]);
		watch(rig, "a\0t", 4);
		open_transaction(rig);
		assert_int_equal(holdings(rig), 2);
		reset(rig);
		assert_holds_nothing(rig);
		/* Once around, by the two places where what is dead is made so for good. */
		arrive(rig, late ? 1 : 0x80000000);
		arrive(rig, late ? 0x80000000 : 1);
		arrive(rig, lived[i]);
		assert_holds_nothing(rig);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)
	static const struct CMUnitTest tests[] = {
		TEST(reconnecting_resets_all),
		TEST(reconnecting_in_the_middle_of_everything),
		TEST(reconnecting_with_half_a_request),
		TEST(reconnecting_survives_restarts),
		TEST(zeroed_indexes_are_taken_as_they_are),
		TEST(a_quiet_page_is_not_touched),
		TEST(draining_takes_no_new_request),
		TEST(nothing_moves_while_unbound),
		TEST(features_are_what_both_can),
		TEST(features_may_come_late),
		TEST(waiting_events_are_noted_when_it_matters),
		TEST(the_dead_stay_dead_in_every_epoch),
	};

	return cmocka_run_group_tests_name("session, states", tests, NULL, NULL);
}
