// SPDX-License-Identifier: MIT
/*
 * What becomes of an INTRODUCE or RELEASE when the domain that it is about does not settle in time:
 * never does a C daemon that has a part of a request reset the ring that it comes from. And what it
 * does not wait for: events that the guest does not read.
 */
#include "tests/unit/session_rig.h"

#include "proxy/toolstack/op.h"

struct pair {
	struct rig dom0, guest;
};

static int setup(void **state)
{
	static struct pair pair;

	rig_open(&pair.dom0, 0, 0);
	rig_open(&pair.guest, 7, 0);
	pair.dom0.daemon.config.quiesce_timeout_ms = 1;
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	struct pair *pair = *state;

	rig_close(&pair->dom0);
	rig_close(&pair->guest);
	return 0;
}

/* The gate is closed, for the domain is not settled; as toolstack_gate() does when it knows it. */
static void hold_back(struct pair *pair)
{
	struct asker asker = ASKER_NOBODY;

	assert_false(session_settled(pair->guest.s));
	asker.session = pair->dom0.s;
	assert_int_equal(op_new(&pair->dom0.s->settle, &pair->dom0.daemon, OP_SETTLE, &asker,
				pair->guest.s, true),
			 0);
}

static void ask(struct pair *pair, uint32_t type, const char *payload, uint32_t len)
{
	guest_sends(&pair->dom0, type, 1, 0, payload, len);
	rig_run(&pair->dom0);
	assert_stored_idle(&pair->dom0);
	assert_guest_idle(&pair->dom0);
	/* Until the deadline has been. */
	while (!pair->dom0.s->settle->late)
		assert_int_equal(event_base_loop(pair->dom0.daemon.base, EVLOOP_ONCE), 0);
	assert_true(pair->dom0.s->task.queued);
	rig_run(&pair->dom0);
}

static const char introduce[] = "7\0"
				"1\0"
				"2";

/* Upstream reads a part of a long request, and no further. */
static void cut_short(struct pair *pair)
{
	static uint8_t payload[3000];
	struct message msg = make_message(XS_WRITE, 5, 0, payload, sizeof(payload));
	uint8_t octets[100];
	uint32_t n = 0;

	while (n < message_size(&msg.hdr)) {
		n += queue_put(&pair->guest.guest_out, (uint8_t *)&msg + n,
			       message_size(&msg.hdr) - n);
		rig_run(&pair->guest);
	}
	assert_int_equal(queue_get(&pair->guest.stored_in, octets, sizeof(octets)), 100);
	rig_run(&pair->guest);
}

static void an_introduce_is_refused(void **state)
{
	struct pair *pair = *state;
	uint8_t octets[XENSTORE_RING_SIZE];
	uint32_t n = 100;

	cut_short(pair);
	hold_back(pair);
	ask(pair, XS_INTRODUCE, introduce, sizeof(introduce));
	assert_stored_idle(&pair->dom0);
	GUEST_GETS(&pair->dom0, XS_ERROR, 1, 0, "EAGAIN");
	assert_null(pair->dom0.s->settle);
	/* Both go on. */
	rig_exchange(&pair->dom0, XS_READ, 0, "x", 2, XS_READ, "y");
	while (n < 3016) {
		uint32_t got = queue_get(&pair->guest.stored_in, octets, sizeof(octets));

		assert_int_not_equal(got, 0);
		n += got;
		rig_run(&pair->guest);
	}
	assert_int_equal(n, 3016);
	assert_int_equal(pair->guest.s->drain.settle, 0);
}

/* Also if the rest is in the ring, where a reset drops it. */
static void an_introduce_is_refused_while_something_is_unread(void **state)
{
	struct pair *pair = *state;

	GUEST_SENDS(&pair->guest, XS_READ, 5, 0, "x");
	rig_run(&pair->guest);
	hold_back(pair);
	ask(pair, XS_INTRODUCE, introduce, sizeof(introduce));
	GUEST_GETS(&pair->dom0, XS_ERROR, 1, 0, "EAGAIN");
	assert_stored_idle(&pair->dom0);
}

static void an_introduce_goes_on_when_only_answers_are_missing(void **state)
{
	struct pair *pair = *state;
	uint32_t id;

	GUEST_SENDS(&pair->guest, XS_READ, 5, 0, "x");
	rig_run(&pair->guest);
	STORED_GETS(&pair->guest, XS_READ, 0, "x");
	hold_back(pair);
	ask(pair, XS_INTRODUCE, introduce, sizeof(introduce));
	id = stored_gets(&pair->dom0, XS_INTRODUCE, 0, introduce, sizeof(introduce));
	STORED_SENDS(&pair->dom0, XS_INTRODUCE, id, 0, "OK");
	rig_run(&pair->dom0);
	GUEST_GETS(&pair->dom0, XS_INTRODUCE, 1, 0, "OK");
	assert_true(TAILQ_EMPTY(&pair->dom0.daemon.ops));
}

/* It ends the connection, and what it has of a request. */
static void a_release_goes_on(void **state)
{
	struct pair *pair = *state;
	uint32_t id;

	cut_short(pair);
	hold_back(pair);
	ask(pair, XS_RELEASE, "7", 2);
	id = STORED_GETS(&pair->dom0, XS_RELEASE, 0, "7");
	STORED_SENDS(&pair->dom0, XS_RELEASE, id, 0, "OK");
	rig_run(&pair->dom0);
	GUEST_GETS(&pair->dom0, XS_RELEASE, 1, 0, "OK");
	assert_true(TAILQ_EMPTY(&pair->dom0.daemon.ops));
}

/* More events than are kept for who merely does not read; the rest waits in the back ring. */
static void let_events_wait(struct pair *pair, uint32_t beyond)
{
	static const uint8_t event[1000];
	struct rig *guest = &pair->guest;

	while (!queue_used(&guest->stored_out)) {
		stored_sends(guest, XS_WATCH_EVENT, 0, 0, event, sizeof(event));
		rig_run(guest);
	}
	assert_true(fifo_used(&guest->s->fifo) + beyond > FIFO_RUNNING);
}

static void events_that_are_not_read_hold_nothing_up(void **state)
{
	struct pair *pair = *state;

	let_events_wait(pair, 1016);
	assert_true(session_settled(pair->guest.s));
}

/* Upstream can send it only when what comes before it has been taken. */
static void a_reply_comes_behind_the_events(void **state)
{
	struct pair *pair = *state;
	struct rig *guest = &pair->guest;
	uint32_t id;

	GUEST_SENDS(guest, XS_READ, 5, 0, "x");
	rig_run(guest);
	id = STORED_GETS(guest, XS_READ, 0, "x");
	let_events_wait(pair, 1016);
	hold_back(pair);
	rig_run(guest);
	assert_int_equal(queue_used(&guest->stored_out), 0);
	assert_false(pair->dom0.s->settle->passed);
	STORED_SENDS(guest, XS_READ, id, 0, "y");
	rig_run(guest);
	assert_true(pair->dom0.s->settle->passed);
	/* No longer than that. */
	let_events_wait(pair, 1016);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(an_introduce_is_refused),
		TEST(an_introduce_is_refused_while_something_is_unread),
		TEST(an_introduce_goes_on_when_only_answers_are_missing),
		TEST(a_release_goes_on),
		TEST(events_that_are_not_read_hold_nothing_up),
		TEST(a_reply_comes_behind_the_events),
	};

	return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
