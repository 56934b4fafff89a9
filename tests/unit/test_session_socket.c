// SPDX-License-Identifier: MIT
/*
 * A toolstack client's session, whose sides are socket buffers: the longest message in one piece,
 * replies beyond the protocol's limit (oxenstored sends such), and answers of ours around them.
 */
#include "tests/unit/session_rig.h"

#include "proxy/host/sock.h"

#define PAGES 100

/* One side's two queues, as sock.c has them, seen from both ends. */
struct side {
	ledger_word prod[2], cons[2];
	uint8_t octets[2][SOCK_QUEUE];
	struct ring in, out; /* the session's */
};

struct bed {
	struct daemon daemon;
	struct ledger ledger;
	struct pool *pool;
	struct session *s;
	struct side front, back;
};

static void kick(void *owner)
{
	(void)owner;
}

static struct endpoint side_init(struct side *side)
{
	for (int i = 0; i < 2; i++) {
		atomic_init(&side->prod[i], 0u - 5000);
		atomic_init(&side->cons[i], 0u - 5000);
	}
	side->in = (struct ring){ side->octets[0], SOCK_QUEUE, &side->prod[0], &side->cons[0] };
	side->out = (struct ring){ side->octets[1], SOCK_QUEUE, &side->prod[1], &side->cons[1] };
	return (struct endpoint){ .in = side->in, .out = side->out, .kick = kick };
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct session_params params = { .daemon = &bed->daemon, .socket = true };

	log_set_level(-1);
	TAILQ_INIT(&bed->daemon.ops);
	config_defaults(&bed->daemon.config);
	bed->daemon.base = event_base_new();
	assert_int_equal(loop_new(&bed->daemon.loop, bed->daemon.base, &(struct loop_hooks){ 0 }),
			 0);
	assert_int_equal(domains_new(&bed->daemon.domains, &bed->daemon), 0);
	assert_int_equal(upstream_new(&bed->daemon.upstream, &bed->daemon), 0);
	assert_int_equal(pool_new_private(&bed->pool, PAGES), 0);
	ledger_format(&bed->ledger, NULL, 1);
	params.front = side_init(&bed->front);
	params.back = side_init(&bed->back);
	params.place.ledger = &bed->ledger;
	params.pool = bed->pool;
	params.hooks = &toolstack_hooks;
	assert_int_equal(session_new(&bed->s, &params, false), 0);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;
	uint32_t n = 0;

	session_free(bed->s, true);
	while (pool_alloc(bed->pool))
		n++;
	assert_int_equal(n, PAGES);
	pool_free(bed->pool);
	upstream_free(bed->daemon.upstream);
	domains_free(bed->daemon.domains);
	loop_free(bed->daemon.loop);
	event_base_free(bed->daemon.base);
	free(bed);
	return 0;
}

static void run(struct bed *bed)
{
	do {
		loop_forget(bed->daemon.loop, &bed->s->task);
		session_run(bed->s);
	} while (bed->s->task.queued);
}

static void client_sends(struct bed *bed, uint32_t type, uint32_t req_id, const void *payload,
			 uint32_t len)
{
	struct message msg = make_message(type, req_id, 0, payload, len);

	queue_put_message(&bed->front.in, &msg);
	run(bed);
}

static uint32_t stored_takes(struct bed *bed, uint32_t type, const void *payload, uint32_t len)
{
	struct message msg;

	queue_get_message(&bed->back.out, &msg);
	assert_message(&msg, type, 0, payload, len);
	return msg.hdr.req_id;
}

static void client_takes(struct bed *bed, uint32_t type, uint32_t req_id, const void *payload,
			 uint32_t len)
{
	struct message msg;

	queue_get_message(&bed->front.out, &msg);
	assert_message(&msg, type, 0, payload, len);
	assert_int_equal(msg.hdr.req_id, req_id);
}

static void the_longest_messages_in_one_piece(void **state)
{
	static uint8_t payload[XENSTORE_PAYLOAD_MAX];
	struct bed *bed = *state;
	struct message reply;

	memset(payload, 'w', sizeof(payload));
	for (uint32_t len = 4000; len <= sizeof(payload); len += 16) {
		client_sends(bed, XS_WRITE, 0, payload, len);
		reply = make_message(XS_WRITE, stored_takes(bed, XS_WRITE, payload, len), 0,
				     payload, len);
		queue_put_message(&bed->back.in, &reply);
		run(bed);
		client_takes(bed, XS_WRITE, 0, payload, len);
		assert_true(session_drained(bed->s));
	}
}

static void a_request_in_pieces(void **state)
{
	static uint8_t payload[XENSTORE_PAYLOAD_MAX];
	struct bed *bed = *state;
	struct message msg = make_message(XS_WRITE, 3, 0, payload, sizeof(payload));

	for (uint32_t n = 0; n < sizeof(msg); n += 1028) {
		assert_int_equal(queue_used(&bed->back.out), 0);
		queue_put(&bed->front.in, (uint8_t *)&msg + n, 1028);
		run(bed);
	}
	stored_takes(bed, XS_WRITE, payload, sizeof(payload));
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(the_longest_messages_in_one_piece), TEST(a_request_in_pieces),
		TEST(replies_beyond_the_limit),		 TEST(an_answer_waits_for_a_giant),
		TEST(a_giant_for_a_slow_client),	 TEST(too_long_a_request_ends_it),
		TEST(sockets_are_tracked_too),
	};

	return cmocka_run_group_tests_name("session, sockets", tests, NULL, NULL);
}
