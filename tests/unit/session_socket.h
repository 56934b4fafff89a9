/* SPDX-License-Identifier: MIT */
/*
 * session_socket - a toolstack client's session, whose sides are socket buffers, and both far ends.
 * It may be that another process takes over before each turn.
 */
#ifndef XSPROXY_TESTS_UNIT_SESSION_SOCKET_H
#define XSPROXY_TESTS_UNIT_SESSION_SOCKET_H

#include "tests/unit/session_rig.h"

#include "proxy/host/slots.h"

#define SLOT 5

/* One side's two queues, as sock.c has them, seen from both ends. */
struct side {
	uint8_t octets[2][SOCK_QUEUE];
	struct ring in, out; /* the session's */
};

struct bed {
	struct daemon daemon;
	struct ledgers ledgers;
	struct pool *pool;
	struct session *s;
	struct side front, back;
	bool restless; /* before each turn another process takes over */
};

static inline void kick(void *owner)
{
	(void)owner;
}

static inline struct endpoint side_place(struct side *side, struct ledger_sock *words)
{
	side->in = (struct ring){ side->octets[0], SOCK_QUEUE, &words->in_prod, &words->in_cons };
	side->out =
		(struct ring){ side->octets[1], SOCK_QUEUE, &words->out_prod, &words->out_cons };
	return (struct endpoint){ .in = side->in, .out = side->out, .kick = kick };
}

static inline int begin(struct bed *bed, bool recovered)
{
	struct ledger *ledger = ledgers_socket(&bed->ledgers, SLOT);
	struct session_params params = {
		.daemon = &bed->daemon,
		.socket = true,
		.front = side_place(&bed->front, &ledger->more.sock[SLOT_CLIENT]),
		.back = side_place(&bed->back, &ledger->more.sock[SLOT_UPSTREAM]),
		.place = { .ledger = ledger, .ledgers = &bed->ledgers },
		.hooks = &toolstack_hooks,
	};
	int err;

	assert_int_equal(pool_new_sockets(&bed->pool, &bed->ledgers), 0);
	params.pool = bed->pool;
	err = session_new(&bed->s, &params, recovered);
	if (!err && recovered)
		toolstack_recover(bed->s);
	return err;
}

/* Another process, which has the memory elsewhere, goes on. */
static inline void restart(struct bed *bed)
{
	struct ledgers before = bed->ledgers;

	session_free(bed->s, false);
	pool_free(bed->pool);
	assert_int_equal(ledgers_open(&bed->ledgers, dup(before.arena.fd)), 0);
	assert_ptr_not_equal(before.arena.base, bed->ledgers.arena.base);
	ledgers_close(&before);
	assert_int_equal(begin(bed, true), 0);
}

static inline int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct ledger *ledger;

	log_set_level(-1);
	TAILQ_INIT(&bed->daemon.ops);
	config_defaults(&bed->daemon.config);
	bed->daemon.base = event_base_new();
	assert_int_equal(loop_new(&bed->daemon.loop, bed->daemon.base, &(struct loop_hooks){ 0 }),
			 0);
	assert_int_equal(domains_new(&bed->daemon.domains, &bed->daemon), 0);
	assert_int_equal(upstream_new(&bed->daemon.upstream, &bed->daemon), 0);
	assert_int_equal(ledgers_create(&bed->ledgers, 0), 0);
	assert_int_equal(arena_reserve(&bed->ledgers.arena, ledgers_socket_off(SLOT), ARENA_PAGE),
			 0);
	ledger = ledgers_socket(&bed->ledgers, SLOT);
	ledger_format(ledger, &bed->ledgers, 1);
	for (int side = 0; side < SLOT_SIDES; side++) {
		struct ledger_sock *words = &ledger_more(ledger)->sock[side];

		words->in_prod = words->in_cons = words->out_prod = words->out_cons = 0u - 5000;
	}
	assert_int_equal(begin(bed, false), 0);
	*state = bed;
	return 0;
}

static inline int setup_restless(void **state)
{
	int err = setup(state);

	((struct bed *)*state)->restless = true;
	return err;
}

static inline int teardown(void **state)
{
	struct bed *bed = *state;
	uint32_t n = 0;

	session_free(bed->s, true);
	for (uint32_t page = 1; page < bed->ledgers.extents; page++)
		n += pool_claim(bed->pool, page) != 0;
	assert_int_equal(n, 0);
	pool_free(bed->pool);
	ledgers_close(&bed->ledgers);
	upstream_free(bed->daemon.upstream);
	domains_free(bed->daemon.domains);
	loop_free(bed->daemon.loop);
	event_base_free(bed->daemon.base);
	free(bed);
	return 0;
}

static inline void run(struct bed *bed)
{
	do {
		if (bed->restless)
			restart(bed);
		loop_forget(bed->daemon.loop, &bed->s->task);
		session_run(bed->s);
	} while (bed->s->task.queued);
}

static inline void client_sends(struct bed *bed, uint32_t type, uint32_t req_id,
				const void *payload, uint32_t len)
{
	struct message msg = make_message(type, req_id, 0, payload, len);

	queue_put_message(&bed->front.in, &msg);
	run(bed);
}

static inline uint32_t stored_takes(struct bed *bed, uint32_t type, const void *payload,
				    uint32_t len)
{
	struct message msg;

	queue_get_message(&bed->back.out, &msg);
	assert_message(&msg, type, 0, payload, len);
	return msg.hdr.req_id;
}

static inline void client_takes(struct bed *bed, uint32_t type, uint32_t req_id,
				const void *payload, uint32_t len)
{
	struct message msg;

	queue_get_message(&bed->front.out, &msg);
	assert_message(&msg, type, 0, payload, len);
	assert_int_equal(msg.hdr.req_id, req_id);
}

#endif
