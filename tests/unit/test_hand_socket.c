// SPDX-License-Identifier: MIT
/*
 * What a toolstack client's connection has is handed in and out: as a ring's, and also what is in
 * the queues between its socket and its session. Everything is tried once more with another process
 * before each turn.
 */
#include "tests/unit/session_socket.h"

#include "tests/unit/handed.h"

/* The same client with another session. */
static struct bed *open_other(const struct bed *like, const struct handed *handed)
{
	void *state;

	setup(&state);
	((struct bed *)state)->restless = like->restless;
	assert_int_equal(hand_in(((struct bed *)state)->s, &handed->view), 0);
	return state;
}

static void close_other(struct bed *bed)
{
	void *state = bed;

	teardown(&state);
}

/* Another one has it, and it is the same there. */
static struct bed *move(struct bed *bed)
{
	struct handed handed = handed_by(bed->s);
	struct bed *other = open_other(bed, &handed);

	assert_has(other->s, &handed);
	return other;
}

static uint32_t feed(struct bed *bed, const struct message *msg, uint32_t from, uint32_t to)
{
	while (from < to) {
		uint32_t n = queue_put(&bed->front.in, (const uint8_t *)msg + from, to - from);

		assert_int_not_equal(n, 0);
		from += n;
		run(bed);
	}
	return to;
}

/* The rest of it comes, and it goes up. */
static void ends(struct bed *bed, const struct message *msg, uint32_t from)
{
	uint32_t size = message_size(&msg->hdr), got = 0;
	static struct message seen;

	run(bed);
	while (got < size) {
		from += queue_put(&bed->front.in, (const uint8_t *)msg + from, size - from);
		run(bed);
		got += queue_get(&bed->back.out, (uint8_t *)&seen + got, size - got);
	}
	assert_message(&seen, msg->hdr.type, 0, msg->payload, msg->hdr.len);
}

/* --- what the client has said */

/* @taken octets by the session, as many as @there before nobody was served any more. */
static void a_request_in_part(struct bed *bed, const struct message *msg, uint32_t taken,
			      uint32_t there)
{
	struct handed handed;
	struct bed *other;

	feed(bed, msg, 0, taken);
	bed->daemon.paused = true;
	queue_put(&bed->front.in, (const uint8_t *)msg + taken, there - taken);
	run(bed);
	handed = handed_by(bed->s);
	assert_int_equal(handed.view.record.in_len, there);
	assert_int_equal(hand_waits(bed->s), there == message_size(&msg->hdr));
	assert_int_equal(hand_is_clear(bed->s), !there);
	assert_memory_equal(handed.view.in, msg, there);
	free(handed.octets);
	other = move(bed);
	ends(other, msg, there);
	close_other(other);
}

static void requests_in_part(void **state)
{
	static const uint32_t lens[] = { 0, 9, 3000, XENSTORE_PAYLOAD_MAX };
	static const uint32_t takes[] = { 0, 1, 15, 16, 17, 1000 };
	static const uint32_t more[] = { 0, 1, 15, 16, 17, 2000, 4096, 4112 };
	static struct message msg;

	for (int i = 0; i < 4 * 6 * 8; i++) {
		uint32_t size = lens[i % 4] + MESSAGE_HEADER, taken = takes[i / 4 % 6];
		uint32_t there = taken + more[i / 24];
		bool restless = ((struct bed *)*state)->restless;

		msg.hdr = (struct xsd_sockmsg){ XS_WRITE, 4, 0, lens[i % 4] };
		fill(msg.payload, lens[i % 4], 1);
		/* A queue takes no more of it, and one that is whole would go at once. */
		if (taken >= size || there > size || more[i / 24] > SOCK_QUEUE)
			continue;
		a_request_in_part(*state, &msg, taken, there);
		teardown(state);
		setup(state);
		((struct bed *)*state)->restless = restless;
	}
}

/* A record has one request, and no other daemon would look at a second one. */
static void more_than_one_request(void **state)
{
	struct message msg = make_message(XS_READ, 9, 0, "data/xyz", 9);
	struct bed *bed = *state;
	struct handed handed;

	feed(bed, &msg, 0, 20);
	bed->daemon.paused = true;
	queue_put(&bed->front.in, (uint8_t *)&msg + 20, 5);
	run(bed);
	handed = handed_by(bed->s);
	assert_int_equal(handed.view.record.in_len, 25);
	free(handed.octets);
	queue_put(&bed->front.in, &msg, 1);
	assert_int_equal(handed_try(bed->s), -E2BIG);
	bed->daemon.paused = false;
	run(bed);
	stored_takes(bed, XS_READ, "data/xyz", 9);
}

static void too_long_a_request(void **state)
{
	struct xsd_sockmsg hdr = { .type = XS_WRITE, .len = XENSTORE_PAYLOAD_MAX + 1 };
	struct bed *bed = *state;

	bed->daemon.paused = true;
	queue_put(&bed->front.in, &hdr, 15);
	assert_int_equal(handed_try(bed->s), 0);
	assert_false(hand_waits(bed->s));
	queue_put(&bed->front.in, (uint8_t *)&hdr + 15, 1);
	assert_true(hand_waits(bed->s));
	assert_int_equal(handed_try(bed->s), -E2BIG);
}

/* --- what is for the client */

static struct parcel all, heard_of;

/* Upstream says them, and all of it is taken. */
static void stored_says_all(struct bed *bed)
{
	for (uint32_t n = 0, idle = 0; n < all.len;) {
		uint32_t put = queue_put(&bed->back.in, all.octets + n, all.len - n);

		n += put;
		idle = put ? 0 : idle + 1;
		if (idle > 3)
			fail_msg("nobody takes what is said");
		run(bed);
	}
	run(bed);
}

/* As the kernel takes it; @from on is what the client has not got yet. */
static void client_hears(struct bed *bed, uint32_t from, uint32_t to, uint32_t piece)
{
	while (from < to) {
		uint32_t n = piece < to - from ? piece : to - from;

		n = queue_get(&bed->front.out, heard_of.octets + from, n);
		assert_int_not_equal(n, 0);
		from += n;
		run(bed);
	}
	assert_memory_equal(heard_of.octets, all.octets, to);
}

/* Events that it has not read, wherever it is in them. */
static void all_that_it_has_not_got(void **state)
{
	static const uint32_t heard[] = { 0, 1, 17, 4095, 4096, 5000, 9999, 29999, 30000 };
	struct message msg;

	all.len = 0;
	for (uint32_t i = 0; all.len < 30000; i++) {
		msg = make_message(XS_WATCH_EVENT, 0, 0, "", 0);
		msg.hdr.len = i < 24 ? i * 89 % 1200 : 30000 - all.len - MESSAGE_HEADER;
		msg.hdr.len = msg.hdr.len > 1200 ? 1200 : msg.hdr.len;
		fill(msg.payload, msg.hdr.len, i);
		parcel_add(&all, &msg);
	}
	assert_int_equal(all.len, 30000);
	for (size_t i = 0; i < sizeof(heard) / sizeof(heard[0]); i++) {
		struct bed *bed = *state, *other;
		struct handed handed;
		uint32_t queued;

		stored_says_all(bed);
		client_hears(bed, 0, heard[i], 700);
		bed->daemon.paused = true;
		queued = queue_used(&bed->front.out);
		assert_int_equal(queued != 0, heard[i] < all.len);
		handed = handed_by(bed->s);
		assert_int_equal(handed.view.record.out_len, all.len - heard[i]);
		assert_true(handed.view.record.out_rest >= queued);
		assert_memory_equal(handed.view.out, all.octets + heard[i], all.len - heard[i]);
		free(handed.octets);
		other = move(bed);
		run(other);
		client_hears(other, heard[i], all.len, 700);
		assert_true(session_drained(other->s));
		close_other(other);
		bed->daemon.paused = false;
		run(bed);
		client_hears(bed, heard[i], all.len, 4096);
	}
}

/* A reply beyond the limit is whole as soon as upstream has said it. */
static void a_giant(void **state)
{
	struct xsd_sockmsg hdr = { .type = XS_DIRECTORY, .len = 50000 };
	struct bed *bed = *state, *other;

	client_sends(bed, XS_DIRECTORY, 77, "/", 2);
	hdr.req_id = stored_takes(bed, XS_DIRECTORY, "/", 2);
	all.len = MESSAGE_HEADER + hdr.len;
	fill(all.octets, all.len, 3);
	memcpy(all.octets, &hdr, sizeof(hdr));
	queue_put(&bed->back.in, all.octets, MESSAGE_HEADER + 100);
	run(bed);
	assert_int_equal(handed_try(bed->s), -EBUSY);
	for (uint32_t n = MESSAGE_HEADER + 100; n < all.len; run(bed))
		n += queue_put(&bed->back.in, all.octets + n, all.len - n);
	/* It is the client's own. */
	hdr.req_id = 77;
	memcpy(all.octets, &hdr, sizeof(hdr));
	client_hears(bed, 0, 6000, 1000);
	bed->daemon.paused = true;
	run(bed);
	other = move(bed);
	run(other);
	client_hears(other, 6000, all.len, 1000);
	assert_true(session_drained(other->s));
	close_other(other);
}

/* Nor is it in the way of a whole one that was handed in. */
static void a_giant_that_was_handed_in(void **state)
{
	struct xsd_sockmsg hdr = { .type = XS_DIRECTORY, .req_id = 77, .len = 9000 };
	struct conns_view view = { .out = all.octets, .record.out_len = 10000 };
	struct bed *bed = *state;

	all.len = 10000;
	fill(all.octets, all.len, 3);
	memcpy(all.octets, &hdr, sizeof(hdr));
	hdr.len = 10000 - 9000 - 2 * MESSAGE_HEADER;
	memcpy(all.octets + 9000 + MESSAGE_HEADER, &hdr, sizeof(hdr));
	assert_int_equal(hand_in(bed->s, &view), 0);
	run(bed);
	client_hears(bed, 0, all.len, 1000);
	assert_true(session_drained(bed->s));
}

/* --- all that a client may have, and more */

/* Its bound is for what is to come. */
static void more_than_it_may_have(void **state)
{
	struct bed *bed = *state;
	struct conns_view view = { .out = all.octets };

	all.len = 0;
	parcel_fill(&all, 400000);
	view.record.out_len = all.len;
	bed->s->account.max = 20;
	assert_int_equal(hand_in(bed->s, &view), 0);
	assert_int_equal(bed->s->account.max, 20);
	assert_true(bed->s->account.used > 90);
	run(bed);
	client_hears(bed, 0, all.len, 4096);
	assert_int_equal(bed->s->account.used, 0);
}

static void its_watches(void **state)
{
	static struct spelt spelt;
	struct bed *bed = *state, *other;
	struct conns_view view;
	struct message reply;

	spelt.len = spelt.count = 0;
	spelt_add(&spelt, "a", "t", "");
	spelt_add(&spelt, "/local/domain/7/a", "t", "3");
	view = spelt_view(&spelt);
	assert_int_equal(hand_in(bed->s, &view), 0);
	other = move(bed);
	client_sends(other, XS_UNWATCH, 2, "/local/domain/0/a\0t", 20);
	reply = make_message(XS_UNWATCH,
			     stored_takes(other, XS_UNWATCH, "/local/domain/0/a\0t", 20), 0, "OK",
			     3);
	queue_put_message(&other->back.in, &reply);
	run(other);
	client_takes(other, XS_UNWATCH, 2, "OK", 3);
	assert_int_equal(other->s->watches.count, 1);
	close_other(other);
}

int main(void)
{
#define TEST(name)                                                        \
	cmocka_unit_test_setup_teardown(name, setup, teardown),           \
	{                                                                 \
#name " (restarts)", name, setup_restless, teardown, NULL \
	}
	static const struct CMUnitTest tests[] = {
		TEST(requests_in_part),
		TEST(more_than_one_request),
		TEST(too_long_a_request),
		TEST(all_that_it_has_not_got),
		TEST(a_giant),
		TEST(a_giant_that_was_handed_in),
		TEST(more_than_it_may_have),
		TEST(its_watches),
	};

	return cmocka_run_group_tests_name("hand, sockets", tests, NULL, NULL);
}
