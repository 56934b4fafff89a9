// SPDX-License-Identifier: MIT
/*
 * What upstream and the machine do to a session: the C daemon's re-INTRODUCE, which forgets the
 * connection and zeroes the back ring; answers that no daemon gives; and memory that is short for a
 * while.
 */
#include <stdio.h>

#include "tests/unit/session_holding.h"

/* --- re-INTRODUCE at the C daemon */

/* The bridge marks the page, we hear of the bind, the daemon zeroes the indexes and says so. */
static void introduce(struct rig *rig)
{
	xs_page before;

	rig->back->connection = XENSTORE_RECONNECT;
	session_upstream_reset(rig->s);
	memcpy(&before, rig->back, sizeof(before));
	rig_run(rig);
	assert_memory_equal(rig->back, &before, sizeof(before));
	assert_true(rig->s->await_back);
	rig->back->req_prod = rig->back->req_cons = 0;
	rig->back->rsp_prod = rig->back->rsp_cons = 0;
	rig->back->connection = XENSTORE_CONNECTED;
	rig_run(rig);
	assert_false(rig->s->await_back);
}

static void introduce_forgets_the_connection(void **state)
{
	struct rig *rig = *state;
	uint32_t gen;

	watch(rig, "a\0t", 4);
	open_transaction(rig);
	gen = word_get(&rig->s->ledger->watch_gen);
	introduce(rig);
	assert_int_equal(rig->s->watches.count, 0);
	assert_int_equal(transaction_count(&rig->s->transactions), 0);
	assert_int_not_equal(word_get(&rig->s->ledger->watch_gen), gen);
	/* The guest notices nothing but that; its own ring is as it was. */
	rig_exchange(rig, XS_READ, 0, "x", 2, XS_READ, "y");
	watch(rig, "a\0t", 4);
	rig_restart(rig);
	assert_int_equal(rig->s->watches.count, 1);
}

static void requests_without_answer_get_eio(void **state)
{
	static uint8_t payload[2000];
	struct rig *rig = *state;
	struct message big = make_message(XS_WRITE, 3, 0, payload, sizeof(payload)), half;

	GUEST_SENDS(rig, XS_READ, 1, 0, "x");
	GUEST_SENDS(rig, XS_WATCH, 2, 9, "a\0t");
	rig_run(rig);
	STORED_GETS(rig, XS_READ, 0, "x");
	STORED_GETS(rig, XS_WATCH, 0xfffffffe, "a\0t");
	/* A request half on its way up, a reply half on its way down. */
	for (uint32_t n = 0; n < message_size(&big.hdr); rig_run(rig))
		n += queue_put(&rig->guest_out, (uint8_t *)&big + n, message_size(&big.hdr) - n);
	half = make_message(XS_WATCH_EVENT, 0, 0, payload, 1500);
	queue_put(&rig->stored_out, &half, 1000);
	rig_run(rig);
	GUEST_SENDS(rig, XS_READ, 4, 0, "y"); /* not taken yet: this one is served */
	introduce(rig);
	GUEST_GETS(rig, XS_ERROR, 1, 0, "EIO");
	GUEST_GETS(rig, XS_ERROR, 2, 9, "EIO");
	GUEST_GETS(rig, XS_ERROR, 3, 0, "EIO");
	STORED_SENDS(rig, XS_READ, STORED_GETS(rig, XS_READ, 0, "y"), 0, "z");
	rig_run(rig);
	GUEST_GETS(rig, XS_READ, 4, 0, "z");
	assert_true(session_drained(rig->s));
	assert_int_equal(rig->s->watches.intents, 0);
}

static void what_waited_for_the_guest_stays(void **state)
{
	struct rig *rig = *state;
	uint8_t octets[XENSTORE_RING_SIZE];

	memset(octets, 'e', sizeof(octets));
	for (int i = 0; i < 5; i++) {
		stored_sends(rig, XS_WATCH_EVENT, 0, 0, octets, 400);
		rig_run(rig);
	}
	introduce(rig);
	for (int i = 0; i < 5; i++) {
		rig_run(rig);
		guest_gets(rig, XS_WATCH_EVENT, 0, 0, octets, 400);
		/* The queue holds two and a half: let the rest come in. */
		rig_run(rig);
	}
	assert_guest_idle(rig);
}

/* The daemon forgot our RESET_WATCHES too, so it must be sent again, or the guest waits for ever.
 */
static void introduce_in_the_middle_of_a_reconnection(void **state)
{
	struct rig *rig = *state;

	GUEST_SENDS(rig, XS_READ, 1, 0, "x");
	rig_run(rig);
	rig->guest->connection = XENSTORE_RECONNECT;
	rig_run(rig);
	STORED_GETS(rig, XS_READ, 0, "x");
	STORED_GETS(rig, XS_RESET_WATCHES, 0, "");
	introduce(rig);
	STORED_SENDS(rig, XS_RESET_WATCHES, STORED_GETS(rig, XS_RESET_WATCHES, 0, ""), 0, "OK");
	rig_run(rig);
	assert_int_equal(rig->guest->connection, XENSTORE_CONNECTED);
	assert_guest_idle(rig);
	rig_exchange(rig, XS_READ, 0, "x", 2, XS_READ, "y");
}

/* It was taken up by a process that had missed the bind, and another one after that. */
static void introduce_across_restarts(void **state)
{
	struct rig *rig = *state;

	watch(rig, "a\0t", 4);
	GUEST_SENDS(rig, XS_READ, 1, 0, "x");
	rig_run(rig);
	STORED_GETS(rig, XS_READ, 0, "x");
	rig_restart(rig);
	introduce(rig);
	rig_restart(rig);
	rig_run(rig);
	GUEST_GETS(rig, XS_ERROR, 1, 0, "EIO");
	assert_int_equal(rig->s->watches.count, 0);
	rig_exchange(rig, XS_READ, 0, "x", 2, XS_READ, "y");
}

/* --- answers that no daemon gives */

static void a_watch_added_twice_is_one(void **state)
{
	struct rig *rig = *state;

	watch(rig, "a\0t", 4);
	watch(rig, "/local/domain/7/a\0t", 20);
	watch(rig, "b\0t", 4);
	watch(rig, "a\0t", 4);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(rig->s->watches.count, 2);
		assert_null(watches_from(&rig->s->watches, 2));
		rig_restart(rig);
		rig_run(rig);
	}
	rig_exchange(rig, XS_RESET_WATCHES, 0, "", 1, XS_RESET_WATCHES, "OK");
	assert_int_equal(rig->s->watches.count, 0);
	watch(rig, "a\0t", 4);
	assert_int_equal(rig->s->watches.count, 1);
}

/* --- memory */

static uint32_t hoarded[POOL_SHARED];

static uint32_t hoard(struct rig *rig)
{
	uint32_t n = 0;

	for (uint32_t page = 1; page < POOL_SHARED; page++)
		if (!pool_claim(rig->pool, page))
			hoarded[n++] = page;
	return n;
}

static void give_back(struct rig *rig, uint32_t n)
{
	while (n)
		pool_release(rig->pool, hoarded[--n]);
}

static int timers(struct rig *rig)
{
	return event_base_get_num_events(rig->daemon.base, EVENT_BASE_COUNT_ADDED);
}

static void replies_wait_for_memory(void **state)
{
	static uint8_t payload[3000];
	struct rig *rig = *state;
	struct message reply;
	uint32_t n, at, got = 0;
	int before;

	GUEST_SENDS(rig, XS_READ, 1, 0, "x");
	rig_run(rig);
	reply = make_message(XS_READ, STORED_GETS(rig, XS_READ, 0, "x"), 0, payload,
			     sizeof(payload));
	n = hoard(rig);
	before = timers(rig);
	at = queue_put(&rig->stored_out, &reply, message_size(&reply.hdr));
	rig_run(rig);
	/* Nobody would ring again, so the loop has to come back to it by itself. */
	assert_int_equal(timers(rig), before + 1);
	assert_guest_idle(rig);
	give_back(rig, n);
	for (rig_run(rig); at < message_size(&reply.hdr); rig_run(rig))
		at += queue_put(&rig->stored_out, (uint8_t *)&reply + at,
				message_size(&reply.hdr) - at);
	for (struct message msg; got < message_size(&reply.hdr); rig_run(rig))
		got += queue_get(&rig->guest_in, (uint8_t *)&msg + got, sizeof(msg) - got);
}

static void what_does_not_fit_the_front_waits_for_memory(void **state)
{
	struct rig *rig = *state;
	uint8_t octets[600] = { 0 };
	uint32_t n = hoard(rig);
	int before = timers(rig);

	stored_sends(rig, XS_WATCH_EVENT, 0, 0, octets, 600);
	rig_run(rig);
	assert_int_equal(timers(rig), before);
	stored_sends(rig, XS_WATCH_EVENT, 0, 0, octets, 600);
	rig_run(rig);
	assert_int_equal(queue_used(&rig->stored_out), 616);
	assert_int_equal(timers(rig), before + 1);
	guest_gets(rig, XS_WATCH_EVENT, 0, 0, octets, 600);
	rig_run(rig);
	guest_gets(rig, XS_WATCH_EVENT, 0, 0, octets, 600);
	give_back(rig, n);
}

static void large_requests_wait_for_memory(void **state)
{
	static uint8_t payload[2000];
	struct rig *rig = *state;
	struct message big = make_message(XS_WRITE, 3, 0, payload, sizeof(payload)), got;
	uint32_t at = queue_put(&rig->guest_out, &big, 1024), n = hoard(rig);
	int before = timers(rig);

	rig_run(rig);
	assert_int_equal(timers(rig), before + 1);
	give_back(rig, n);
	for (rig_run(rig); at < message_size(&big.hdr); rig_run(rig))
		at += queue_put(&rig->guest_out, (uint8_t *)&big + at, message_size(&big.hdr) - at);
	for (n = 0; n < message_size(&big.hdr); rig_run(rig))
		n += queue_get(&rig->stored_in, (uint8_t *)&got + n, message_size(&big.hdr) - n);
	assert_message(&got, XS_WRITE, 0, payload, sizeof(payload));
}

/* A watch or a transaction that cannot be noted is refused; the connection lives on. */
static void what_cannot_be_noted_is_refused(void **state)
{
	struct rig *rig = *state;
	char path[600] = { 0 };
	uint32_t n = hoard(rig), i;

	memset(path, 'p', 500);
	for (i = 0; i < 10; i++) {
		struct message msg;

		path[0] = (char)('a' + i);
		guest_sends(rig, XS_WATCH, i, 0, path, 502);
		rig_run(rig);
		if (queue_used(&rig->guest_in))
			break;
		queue_get_message(&rig->stored_in, &msg);
		STORED_SENDS(rig, XS_WATCH, msg.hdr.req_id, 0, "OK");
		rig_run(rig);
		GUEST_GETS(rig, XS_WATCH, i, 0, "OK");
	}
	assert_in_range(i, 1, 9);
	GUEST_GETS(rig, XS_ERROR, i, 0, "ENOMEM");
	assert_int_equal(rig->s->watches.count, i);
	for (i = 0; i < LEDGER_TX; i++) {
		sprintf(path, "%u", i + 1);
		rig_exchange(rig, XS_TRANSACTION_START, 0, "", 1, XS_TRANSACTION_START, path);
	}
	GUEST_SENDS(rig, XS_TRANSACTION_START, 6, 0, "");
	rig_run(rig);
	GUEST_GETS(rig, XS_ERROR, 6, 0, "ENOSPC");
	give_back(rig, n);
	rig_exchange(rig, XS_TRANSACTION_START, 0, "", 1, XS_TRANSACTION_START, "99");
	watch(rig, "z\0t", 4);
}

/* All that a session ever took goes back with it: rig_close() counts. */
static void all_pages_go_back(void **state)
{
	static uint8_t payload[4000];
	struct rig *rig = *state;
	struct message big = make_message(XS_WRITE, 3, 0, payload, sizeof(payload));

	memset(payload, 'x', sizeof(payload));
	payload[2000] = payload[3999] = 0;
	for (uint32_t i = 1; i <= 40; i++) {
		char text[16];

		sprintf(text, "%u", i);
		rig_exchange(rig, XS_TRANSACTION_START, 0, "", 1, XS_TRANSACTION_START, text);
	}
	for (int i = 0; i < 4; i++) {
		struct message msg = make_message(XS_WATCH, 1, 0, payload, sizeof(payload)), got;
		uint32_t n;

		msg.payload[0] = (uint8_t)('a' + i);
		for (n = 0; n < message_size(&msg.hdr); rig_run(rig))
			n += queue_put(&rig->guest_out, (uint8_t *)&msg + n,
				       message_size(&msg.hdr) - n);
		for (n = 0; n < message_size(&msg.hdr); rig_run(rig))
			n += queue_get(&rig->stored_in, (uint8_t *)&got + n,
				       message_size(&msg.hdr) - n);
		STORED_SENDS(rig, XS_WATCH, got.hdr.req_id, 0, "OK");
		rig_run(rig);
		GUEST_GETS(rig, XS_WATCH, 1, 0, "OK");
	}
	for (int i = 0; i < 30; i++) {
		stored_sends(rig, XS_WATCH_EVENT, 0, 0, payload, 500);
		rig_run(rig);
	}
	queue_put(&rig->guest_out, &big, 1000);
	rig_run(rig);
	assert_int_equal(rig->s->watches.count, 4);
	assert_int_not_equal(word_get(&rig->s->ledger->up_page), 0);
	assert_true(fifo_used(&rig->s->fifo) > 10000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)
	static const struct CMUnitTest tests[] = {
		TEST(introduce_forgets_the_connection),
		TEST(requests_without_answer_get_eio),
		TEST(what_waited_for_the_guest_stays),
		TEST(introduce_in_the_middle_of_a_reconnection),
		TEST(introduce_across_restarts),
		TEST(a_watch_added_twice_is_one),
		TEST(replies_wait_for_memory),
		TEST(what_does_not_fit_the_front_waits_for_memory),
		TEST(large_requests_wait_for_memory),
		TEST(what_cannot_be_noted_is_refused),
		TEST(all_pages_go_back),
	};

	return cmocka_run_group_tests_name("session, upstream and memory", tests, NULL, NULL);
}
