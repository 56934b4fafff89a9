// SPDX-License-Identifier: MIT
/*
 * What a guest's connection has at a native xenstored is handed to its session, which goes on with
 * it: the request that was taken in part, and the octets that the guest has yet to get. Everything
 * is tried once more with another process that takes the session up.
 */
#include "tests/unit/hand_bed.h"

#include "proxy/session/part.h"

/* --- a request that was taken in part */

static void ends_what_is_there(void **state, const struct message *msg, uint32_t cut)
{
	const struct conns_view view = { .record.in_len = cut, .in = (const uint8_t *)msg };
	struct rig *rig = *state;

	hand(rig, &view);
	assert_int_equal(session_drained(rig->s), !cut);
	guest_ends(rig, msg, cut);
	/* And the next one. */
	rig_exchange(rig, XS_READ, 0, "x", 2, XS_READ, "y");
	open_again(state);
}

static void a_short_request_with_each_cut(void **state)
{
	const struct message msg = make_message(XS_READ, 9, 0, "data/xyz", 9);

	for (uint32_t cut = 0; cut <= message_size(&msg.hdr); cut++)
		ends_what_is_there(state, &msg, cut);
}

/* Around a ring's size, and more than a ring takes. */
static void long_requests(void **state)
{
	static const uint32_t lens[] = { 1000, 1008, 1009, 3000, XENSTORE_PAYLOAD_MAX };
	static struct message msg;

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		uint32_t cuts[] = { 1, 15, 16, 17, 999, 1024, lens[i] + 15, lens[i] + 16 };

		msg.hdr = (struct xsd_sockmsg){ XS_WRITE, 8, 0, lens[i] };
		fill(msg.payload, lens[i], 5);
		for (size_t j = 0; j < sizeof(cuts) / sizeof(cuts[0]); j++)
			if (cuts[j] <= message_size(&msg.hdr))
				ends_what_is_there(state, &msg, cuts[j]);
	}
}

static void a_request_without_payload(void **state)
{
	const struct message msg = make_message(XS_WRITE, 9, 0, "", 0);

	for (uint32_t cut = 15; cut <= MESSAGE_HEADER; cut++)
		ends_what_is_there(state, &msg, cut);
}

/* As any other that takes too long. */
static void it_is_seen_that_it_has_begun(void **state)
{
	const struct message msg = make_message(XS_READ, 9, 0, "data/xyz", 9);
	const struct conns_view view = { .record.in_len = 20, .in = (const uint8_t *)&msg };
	struct rig *rig = *state;

	hand(rig, &view);
	assert_true(rig->s->up_since > 0);
}

/* --- octets for the guest */

/* @sent octets of @first are in its ring; the others, and what follows, were handed in. */
static void hand_part(struct rig *rig, const struct message *first, uint32_t sent)
{
	static struct parcel parcel;
	const struct message reply = make_message(XS_READ, 5, 0, "value", 6);
	const struct message event = make_message(XS_WATCH_EVENT, 0, 0, "a\0t", 4);
	struct conns_view view = { .out = parcel.octets + sent };

	parcel.len = 0;
	parcel_add(&parcel, first);
	parcel_add(&parcel, &reply);
	parcel_add(&parcel, &event);
	view.record.out_len = parcel.len - sent;
	view.record.out_rest = sent ? message_size(&first->hdr) - sent : 0;
	queue_put(&rig->guest_in, first, sent);
	hand(rig, &view);
}

static void a_message_in_part_with_each_cut(void **state)
{
	static const uint32_t types[] = { XS_WATCH_EVENT, XS_READ };

	for (uint32_t i = 0; i < 50; i++) {
		const struct message first = make_message(types[i % 2], 9, 0, "data\0tok", 9);
		struct rig *rig = *state;
		uint32_t sent = i / 2;

		hand_part(rig, &first, sent);
		/* What it is nobody knows, but before its end nothing may move elsewhere. */
		assert_false(session_drained(rig->s));
		assert_int_equal(rig->s->fifo.waiting.replies, sent || i % 2 ? 2 : 1);
		assert_int_equal(fifo_sent(&rig->s->fifo), 0);
		/* It comes before what xenstored says from now on. */
		STORED_SENDS(rig, XS_WATCH_EVENT, 0, 0, "b\0t");
		rig_run(rig);
		guest_gets(rig, first.hdr.type, 9, 0, "data\0tok", 9);
		GUEST_GETS(rig, XS_READ, 5, 0, "value");
		GUEST_GETS(rig, XS_WATCH_EVENT, 0, 0, "a\0t");
		GUEST_GETS(rig, XS_WATCH_EVENT, 0, 0, "b\0t");
		assert_guest_idle(rig);
		assert_true(session_drained(rig->s));
		assert_int_equal(rig->s->fifo.waiting.events | rig->s->fifo.waiting.replies, 0);
		open_again(state);
	}
}

/* Who ends in the middle of it leaves it there, for nobody knows where it began. */
static void nobody_takes_the_part_back(void **state)
{
	const struct message first = make_message(XS_READ, 9, 0, "data/value", 11);

	for (int fails = 0; fails < 2; fails++) {
		struct rig *rig = *state;
		uint32_t prod;

		hand_part(rig, &first, 10);
		/* It is full. */
		atomic_store(rig->guest_in.prod, atomic_load(rig->guest_in.cons) + 1024);
		rig_run(rig);
		if (fails)
			session_fail(rig->s, XENSTORE_ERROR_COMM, "for a test");
		prod = atomic_load(rig->guest_in.prod);
		part_take_back(rig->s);
		assert_int_equal(atomic_load(rig->guest_in.prod), prod);
		open_again(state);
	}
}

static void as_much_as_a_fifo_holds(void **state)
{
	static struct parcel parcel, got;
	struct conns_view view = { .out = parcel.octets };
	struct rig *rig = *state;

	/* Of the first one all but 3 octets have gone before. */
	parcel.len = 3;
	parcel_fill(&parcel, FIFO_SIZE);
	view.record.out_len = parcel.len;
	view.record.out_rest = 3;
	hand(rig, &view);
	assert_int_equal(fifo_room(&rig->s->fifo), 0);
	drain(rig, &rig->guest_in, got.octets, parcel.len, XENSTORE_RING_SIZE);
	assert_memory_equal(got.octets, parcel.octets, parcel.len);
	assert_guest_idle(rig);
	assert_true(session_drained(rig->s));
	assert_int_equal(rig->s->account.used, 0);
	rig_exchange(rig, XS_READ, 0, "x", 2, XS_READ, "y");
}

static void more_than_a_fifo_holds(void **state)
{
	static struct parcel parcel;
	struct rig *rig = *state;
	struct conns_view view = { .out = parcel.octets };

	parcel.len = 0;
	parcel_fill(&parcel, FIFO_SIZE + 1);
	view.record.out_len = parcel.len;
	assert_int_equal(hand_in(rig->s, &view), -ENOBUFS);
}

/* --- both at once */

static void both_ways_at_once(void **state)
{
	const struct message msg = make_message(XS_READ, 9, 0, "data/xyz", 9);
	const struct message rest = make_message(XS_READ, 5, 0, "value", 6);
	const struct conns_view view = {
		.record = { .in_len = 18, .out_len = 12, .out_rest = 12 },
		.in = (const uint8_t *)&msg,
		.out = (const uint8_t *)&rest + 10,
	};
	struct rig *rig = *state;

	rig->daemon.paused = true;
	queue_put(&rig->guest_in, &rest, 10);
	hand(rig, &view);
	rig_run(rig);
	assert_true(renew_rests(rig->s));
	assert_int_equal(queue_used(&rig->guest_in), 10);
	rig->daemon.paused = false;
	rig_run(rig);
	GUEST_GETS(rig, XS_READ, 5, 0, "value");
	guest_ends(rig, &msg, 18);
}

/* --- what cannot be */

static void no_request(void **state)
{
	static struct message two[2];
	struct conns_view view = { .in = (const uint8_t *)two };

	for (int i = 0; i < 4; i++) {
		const struct xsd_sockmsg hdrs[] = { { .len = 20 },
						    { .len = 0 },
						    { .len = XENSTORE_PAYLOAD_MAX + 1 },
						    { .len = UINT32_MAX } };
		const uint32_t lens[] = { MESSAGE_HEADER + 21, MESSAGE_HEADER + 1, MESSAGE_HEADER,
					  MESSAGE_MAX };
		struct rig *rig = *state;

		two[0].hdr = hdrs[i];
		view.record.in_len = lens[i];
		assert_int_equal(hand_in(rig->s, &view), -EBADMSG);
		open_again(state);
	}
	view.record.in_len = sizeof(two);
	two[0].hdr.len = XENSTORE_PAYLOAD_MAX;
	assert_int_equal(hand_in(((struct rig *)*state)->s, &view), -EBADMSG);
}

static void no_messages(void **state)
{
	static const struct {
		uint32_t len, rest, said; /* octets, of one in part, in the header behind that */
	} cases[] = {
		{ 15, 0, 0 },			     /* a part of a header */
		{ 40, 0, 25 },			     /* a part of a message */
		{ 40, 0, 23 },			     /* octets behind it */
		{ 40, 7, 18 },			     /* likewise, */
		{ 40, 30, 0 },			     /* and behind one in part */
		{ 40, 0, XENSTORE_PAYLOAD_MAX + 1 }, /* longer than any */
		{ 40, 0, UINT32_MAX },
		{ 5000, 0, 4984 },		 /* and all of it is there */
		{ MESSAGE_MAX, MESSAGE_MAX, 0 }, /* nothing of it has gone */
		{ 100000, 100000, 0 },
	};
	static uint8_t octets[100000];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct xsd_sockmsg hdr = { .type = XS_READ, .len = cases[i].said };
		struct conns_view view = {
			.record = { .out_len = cases[i].len, .out_rest = cases[i].rest },
			.out = octets,
		};
		struct rig *rig = *state;

		if (cases[i].rest < cases[i].len)
			memcpy(octets + cases[i].rest, &hdr, sizeof(hdr));
		assert_int_equal(hand_in(rig->s, &view), -EBADMSG);
		open_again(state);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		HAND_TEST(a_short_request_with_each_cut),
		HAND_TEST(long_requests),
		HAND_TEST(a_request_without_payload),
		HAND_TEST(it_is_seen_that_it_has_begun),
		HAND_TEST(a_message_in_part_with_each_cut),
		HAND_TEST(nobody_takes_the_part_back),
		HAND_TEST(as_much_as_a_fifo_holds),
		HAND_TEST(both_ways_at_once),
		cmocka_unit_test_setup_teardown(more_than_a_fifo_holds, hand_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(no_request, hand_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(no_messages, hand_setup, rig_teardown),
	};

	return cmocka_run_group_tests_name("hand, rings", tests, NULL, NULL);
}
