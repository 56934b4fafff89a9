// SPDX-License-Identifier: MIT
/*
 * A toolstack client's session, whose sides are socket buffers: the longest messages, replies
 * beyond the protocol's limit (oxenstored sends such), and answers of ours around them. Everything
 * is tried once more with another process before each turn.
 */
#include "tests/unit/session_socket.h"

/* Octets that get room as they are read, as the kernel makes it; returns a whole message's size. */
static uint32_t take_as_it_comes(struct bed *bed, const struct ring *ring, struct message *msg)
{
	uint32_t n = 0, size = MESSAGE_HEADER;

	while (n < size) {
		uint32_t got = queue_get(ring, (uint8_t *)msg + n, size - n);

		assert_int_not_equal(got, 0);
		n += got;
		if (n == MESSAGE_HEADER)
			size = message_size(&msg->hdr);
		run(bed);
	}
	return size;
}

static void put_as_it_goes(struct bed *bed, const struct ring *ring, const struct message *msg)
{
	uint32_t n = 0, size = message_size(&msg->hdr);

	while (n < size) {
		uint32_t put = queue_put(ring, (const uint8_t *)msg + n, size - n);

		assert_int_not_equal(put, 0);
		n += put;
		run(bed);
	}
}

/* Up to a queue's size in one piece, longer ones in two, either way. */
static void the_longest_messages(void **state)
{
	static uint8_t payload[XENSTORE_PAYLOAD_MAX];
	struct bed *bed = *state;
	struct message msg, seen;

	for (uint32_t len = 4000; len <= sizeof(payload); len += 16) {
		bool whole = len + MESSAGE_HEADER <= SOCK_QUEUE;

		fill(payload, len, len);
		msg = make_message(XS_WRITE, 8, 0, payload, len);
		put_as_it_goes(bed, &bed->front.in, &msg);
		assert_int_equal(queue_used(&bed->back.out),
				 whole ? len + MESSAGE_HEADER : SOCK_QUEUE);
		take_as_it_comes(bed, &bed->back.out, &seen);
		assert_message(&seen, XS_WRITE, 0, payload, len);
		fill(payload, len, len + 1);
		msg = make_message(XS_WRITE, seen.hdr.req_id, 0, payload, len);
		put_as_it_goes(bed, &bed->back.in, &msg);
		take_as_it_comes(bed, &bed->front.out, &seen);
		assert_message(&seen, XS_WRITE, 0, payload, len);
		assert_int_equal(seen.hdr.req_id, 8);
		assert_true(session_drained(bed->s));
	}
}

static void a_request_in_pieces(void **state)
{
	static uint8_t payload[4080];
	struct bed *bed = *state;
	struct message msg = make_message(XS_WRITE, 3, 0, payload, sizeof(payload));

	for (uint32_t n = 0; n < message_size(&msg.hdr); n += 1024) {
		assert_int_equal(queue_used(&bed->back.out), 0);
		queue_put(&bed->front.in, (uint8_t *)&msg + n, 1024);
		run(bed);
	}
	stored_takes(bed, XS_WRITE, payload, sizeof(payload));
}

/* Requests that upstream has not answered, and a transaction, outlive each of them. */
static void what_is_under_way_goes_on(void **state)
{
	struct bed *bed = *state;
	uint32_t ids[LEDGER_PENDING / 2], start;
	struct message reply;

	client_sends(bed, XS_TRANSACTION_START, 9, "", 1);
	start = stored_takes(bed, XS_TRANSACTION_START, "", 1);
	for (uint32_t i = 0; i < LEDGER_PENDING / 2; i++) {
		client_sends(bed, XS_READ, 100 + i, "a", 2);
		ids[i] = stored_takes(bed, XS_READ, "a", 2);
		restart(bed);
	}
	reply = make_message(XS_TRANSACTION_START, start, 0, "5", 2);
	queue_put_message(&bed->back.in, &reply);
	restart(bed);
	run(bed);
	client_takes(bed, XS_TRANSACTION_START, 9, "5", 2);
	for (uint32_t i = 0; i < LEDGER_PENDING / 2; i++) {
		reply = make_message(XS_READ, ids[i], 0, &i, sizeof(i));
		queue_put_message(&bed->back.in, &reply);
		run(bed);
		restart(bed);
		client_takes(bed, XS_READ, 100 + i, &i, sizeof(i));
	}
	assert_true(session_drained(bed->s));
	assert_int_equal(transaction_count(&bed->s->transactions), 1);
}

/* The octets of the reply number @seed. */
static uint8_t octet(uint32_t seed, uint32_t i)
{
	return (uint8_t)(seed * 31 + i * 7 + (i >> 8));
}

/* Move a reply of @len octets through, the client reading @piece octets at a time. */
static void giant(struct bed *bed, uint32_t id, uint32_t len, uint32_t piece, bool ask)
{
	struct xsd_sockmsg hdr = { .type = XS_DIRECTORY, .req_id = id, .len = len };
	uint32_t sent = 0, got = 0;
	uint8_t buffer[SOCK_QUEUE];

	queue_put(&bed->back.in, &hdr, sizeof(hdr));
	run(bed);
	assert_int_equal(queue_get(&bed->front.out, &hdr, sizeof(hdr)), sizeof(hdr));
	assert_int_equal(hdr.req_id, 77);
	assert_int_equal(hdr.len, len);
	while (got < len) {
		uint32_t n;

		for (n = 0; n < sizeof(buffer) && sent + n < len; n++)
			buffer[n] = octet(len, sent + n);
		n = queue_put(&bed->back.in, buffer, n);
		sent += n;
		if (ask && got > len / 2) {
			client_sends(bed, MESSAGE_QUIESCE, 5, "8", 2);
			ask = false;
		}
		run(bed);
		piece = piece < len - got ? piece : len - got;
		piece = queue_get(&bed->front.out, buffer, piece);
		assert_true(n || piece);
		for (n = 0; n < piece; n++)
			assert_int_equal(buffer[n], octet(len, got + n));
		got += piece;
		piece = piece ? piece : 1;
	}
	run(bed);
}

static void replies_beyond_the_limit(void **state)
{
	static const uint32_t lens[] = { 4097, 5640, 8176, 8192, 8193, 20000, 1000000 };
	struct bed *bed = *state;

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		client_sends(bed, XS_DIRECTORY, 77, "/", 2);
		giant(bed, stored_takes(bed, XS_DIRECTORY, "/", 2), lens[i], 5000, false);
		assert_int_equal(queue_used(&bed->front.out), 0);
		assert_true(session_drained(bed->s));
	}
}

/* A client that pipelines gets the answer behind the reply, not inside of it. */
static void an_answer_waits_for_a_giant(void **state)
{
	struct bed *bed = *state;
	struct message msg;

	client_sends(bed, XS_DIRECTORY, 77, "/", 2);
	giant(bed, stored_takes(bed, XS_DIRECTORY, "/", 2), 30000, 1000, true);
	queue_get_message(&bed->front.out, &msg);
	assert_int_equal(msg.hdr.type, XS_ERROR);
	assert_int_equal(msg.hdr.req_id, 5);
	assert_true(session_drained(bed->s));
}

/* A slow client: what it has not read waits in pages, which are given back. */
static void a_giant_for_a_slow_client(void **state)
{
	struct bed *bed = *state;
	struct message event = make_message(XS_WATCH_EVENT, 0, 0, "a\0t", 4);

	client_sends(bed, XS_DIRECTORY, 77, "/", 2);
	giant(bed, stored_takes(bed, XS_DIRECTORY, "/", 2), 100000, 100, false);
	queue_put_message(&bed->back.in, &event);
	run(bed);
	client_takes(bed, XS_WATCH_EVENT, 0, "a\0t", 4);
	assert_true(session_drained(bed->s));
}

/* There is no page to write an error to, nor a ring to reset: the connection just does nothing
 * more. */
static void too_long_a_request_ends_it(void **state)
{
	struct xsd_sockmsg hdr = { .type = XS_WRITE, .len = XENSTORE_PAYLOAD_MAX + 1 };
	struct bed *bed = *state;

	queue_put(&bed->front.in, &hdr, sizeof(hdr));
	run(bed);
	assert_int_equal(session_state(bed->s), LEDGER_ENDED);
	assert_int_equal(queue_used(&bed->back.out), 0);
}

/* Watches and transactions are tracked as for guests, based at dom0's directory. */
static void sockets_are_tracked_too(void **state)
{
	struct bed *bed = *state;
	struct message reply;

	client_sends(bed, XS_WATCH, 1, "a\0t", 4);
	reply = make_message(XS_WATCH, stored_takes(bed, XS_WATCH, "a\0t", 4), 0, "OK", 3);
	queue_put_message(&bed->back.in, &reply);
	client_sends(bed, XS_UNWATCH, 2, "/local/domain/0/a\0t", 20);
	client_takes(bed, XS_WATCH, 1, "OK", 3);
	assert_int_equal(bed->s->watches.count, 1);
	reply = make_message(XS_UNWATCH, stored_takes(bed, XS_UNWATCH, "/local/domain/0/a\0t", 20),
			     0, "OK", 3);
	queue_put_message(&bed->back.in, &reply);
	run(bed);
	assert_int_equal(bed->s->watches.count, 0);
}

int main(void)
{
#define TEST(name)                                                        \
	cmocka_unit_test_setup_teardown(name, setup, teardown),           \
	{                                                                 \
#name " (restarts)", name, setup_restless, teardown, NULL \
	}
	static const struct CMUnitTest tests[] = {
		TEST(the_longest_messages),	   TEST(a_request_in_pieces),
		TEST(what_is_under_way_goes_on),   TEST(replies_beyond_the_limit),
		TEST(an_answer_waits_for_a_giant), TEST(a_giant_for_a_slow_client),
		TEST(too_long_a_request_ends_it),  TEST(sockets_are_tracked_too),
	};

	return cmocka_run_group_tests_name("session, sockets", tests, NULL, NULL);
}
