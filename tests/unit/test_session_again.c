// SPDX-License-Identifier: MIT
/*
 * xenstored crashes with requests unanswered: they are asked again, once each, in their order, one
 * at a time; also when xsproxyd dies at any store of all that.
 */
#include <errno.h>

#include "tests/unit/kill_point.h"
#include "tests/unit/session_rig.h"

#include "proxy/session/again.h"

#define LARGE 2000u

/* What the guest asks, and what upstream is to see when it is asked again. */
static const struct request {
	uint32_t type, tx;
	const char *payload;
	uint32_t len;
} requests[] = {
	{ XS_WRITE, 0, "data/x\0value", 12 },
	{ XS_READ, 0, "data/x", 7 },
	{ XS_WATCH, 0, "data\0token", 11 },
	{ XS_UNWATCH, 0, "data\0other", 11 },
	{ XS_TRANSACTION_START, 0, "", 1 },
	{ XS_MKDIR, 0, "data/d", 7 },
	{ XS_RM, 0, "data/d", 7 },
};

#define NR (sizeof(requests) / sizeof(requests[0]))

static uint8_t large[LARGE];

/* --- a xenstored that reads, and answers when it is told to */

struct stored {
	struct message got[NR + 4];
	uint32_t nr;
	struct message half;
	uint32_t half_len;
};

static void stored_reads(struct rig *rig, struct stored *stored)
{
	for (;;) {
		uint32_t want = stored->half_len < MESSAGE_HEADER ? MESSAGE_HEADER
								  : message_size(&stored->half.hdr);
		uint32_t n = queue_get(&rig->stored_in, (uint8_t *)&stored->half + stored->half_len,
				       want - stored->half_len);

		stored->half_len += n;
		if (stored->half_len < MESSAGE_HEADER ||
		    stored->half_len < message_size(&stored->half.hdr)) {
			if (!n)
				return;
			continue;
		}
		assert_true(stored->nr < NR + 4);
		stored->got[stored->nr++] = stored->half;
		stored->half_len = 0;
	}
}

static void stored_answers(struct rig *rig, const struct message *to)
{
	const char *text = to->hdr.type == XS_TRANSACTION_START ? "9" : "OK";

	stored_sends(rig, to->hdr.type, to->hdr.req_id, to->hdr.tx_id, text,
		     (uint32_t)strlen(text) + 1);
}

/* --- the guest */

static void asks_all(struct rig *rig, struct stored *stored, bool with_large)
{
	struct message big = make_message(XS_WRITE, 50, 0, large, sizeof(large));
	uint32_t n = 0;

	for (uint32_t i = 0; i < NR; i++) {
		guest_sends(rig, requests[i].type, 10 + i, requests[i].tx, requests[i].payload,
			    requests[i].len);
		rig_run(rig);
		stored_reads(rig, stored);
	}
	/* As much of it goes as the others, which are not answered, leave room for. */
	while (with_large && n < message_size(&big.hdr)) {
		uint32_t more =
			queue_put(&rig->guest_out, (uint8_t *)&big + n, message_size(&big.hdr) - n);

		n += more;
		rig_run(rig);
		stored_reads(rig, stored);
		if (!more)
			break;
	}
}

/* --- a crash */

static void gather(void *arg)
{
	struct rig *rig = arg;

	again_gather(rig->s);
	renew_forget(rig->s);
}

static void turn(void *arg)
{
	rig_turn(arg);
}

struct life {
	long at; /* the store at which it dies, of all; -1: never */
	bool died;
};

static long stores;

static void count_store(void *arg)
{
	stores++;
	(void)arg;
}

/* Do it, and die in it if its time has come: then the next one does it once more. */
static void lives(struct rig *rig, struct life *life, void (*fn)(void *arg))
{
	bool died;

	kill_point_visit = count_store;
	died = die_at_store(life->died || life->at < stores ? -1 : life->at - stores, fn, rig);
	kill_point_visit = NULL;
	kill_at = -1;
	if (!died)
		return;
	life->died = true;
	rig_restart(rig);
	rig->daemon.paused = true;
	fn(rig);
}

static void has_replies(struct rig *rig, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		struct message msg;

		rig_run(rig);
		queue_get_message(&rig->guest_in, &msg);
		assert_int_equal(msg.hdr.type, requests[i].type);
		assert_int_equal(msg.hdr.req_id, 10 + i);
	}
}

static void assert_same(const struct message *msg, const struct request *request)
{
	assert_int_equal(msg->hdr.type, request->type);
	assert_int_equal(msg->hdr.len, request->len);
	assert_memory_equal(msg->payload, request->payload, request->len);
}

/* One after the other, each when the one before was answered; @answered of them were before. */
static void asks_again(struct rig *rig, struct life *life, uint32_t answered)
{
	struct stored again = { 0 };

	for (uint32_t i = 0; again_waits(rig->s); i++) {
		for (int n = 0; again.nr == i; n++) {
			assert_true(n < 50);
			again_let(rig->s);
			lives(rig, life, turn);
			stored_reads(rig, &again);
		}
		/* No other one goes before its answer. */
		again_let(rig->s);
		rig_run(rig);
		stored_reads(rig, &again);
		assert_int_equal(again.nr, i + 1);
		if (answered + i < NR)
			assert_same(&again.got[i], &requests[answered + i]);
		else
			assert_memory_equal(again.got[i].payload, large, sizeof(large));
		stored_answers(rig, &again.got[i]);
		lives(rig, life, turn);
		rig_run(rig);
	}
	assert_true(answered + again.nr >= NR);
}

/* Return: whether it died at its store number @at. */
static bool crash(long at, bool with_large, uint32_t answered)
{
	static struct rig rig;
	struct stored stored = { 0 };
	struct life life = { .at = at };

	rig_open(&rig, 7, 0u - 700);
	asks_all(&rig, &stored, with_large);
	stores = 0;
	assert_int_equal(stored.nr, NR);
	for (uint32_t i = 0; i < answered; i++)
		stored_answers(&rig, &stored.got[i]);
	rig_run(&rig);
	rig.daemon.paused = true;
	lives(&rig, &life, gather);
	assert_int_equal(pending_upstream(rig.s->ledger), 0);
	/* The front is not read before all that is answered. */
	rig_run(&rig);
	assert_int_equal(atomic_load(rig.stored_in.prod), 0);
	asks_again(&rig, &life, answered);
	rig_run(&rig);
	assert_false(again_waits(rig.s));
	rig.daemon.paused = false;
	has_replies(&rig, NR);
	assert_int_equal(rig.s->watches.count, 1);
	assert_int_equal(transaction_count(&rig.s->transactions), 1);
	rig_close(&rig);
	return life.died;
}

static void all_are_asked_again(void **state)
{
	(void)state;
	crash(-1, false, 0);
	crash(-1, true, 0);
	for (uint32_t answered = 0; answered <= NR; answered++)
		crash(-1, false, answered);
}

static void death_at_each_store(void **state)
{
	long at = 0;

	(void)state;
	while (crash(at, false, 2))
		at++;
	assert_true(at > 40);
}

/* One that upstream has got whole keeps its extent. */
static void a_large_one(void **state)
{
	struct rig *rig = *state;
	struct message big = make_message(XS_WRITE, 50, 0, large, sizeof(large));
	struct stored stored = { 0 };
	struct life life = { .at = -1 };

	for (uint32_t n = 0; n < message_size(&big.hdr);) {
		n += queue_put(&rig->guest_out, (uint8_t *)&big + n, message_size(&big.hdr) - n);
		rig_run(rig);
		stored_reads(rig, &stored);
	}
	rig_run(rig);
	stored_reads(rig, &stored);
	assert_int_equal(stored.nr, 1);
	rig->daemon.paused = true;
	lives(rig, &life, gather);
	rig_restart(rig);
	rig->daemon.paused = true;
	stored = (struct stored){ 0 };
	while (!stored.nr) {
		again_let(rig->s);
		rig_run(rig);
		stored_reads(rig, &stored);
	}
	assert_int_equal(stored.got[0].hdr.len, sizeof(large));
	assert_memory_equal(stored.got[0].payload, large, sizeof(large));
	stored_answers(rig, &stored.got[0]);
	rig_run(rig);
	assert_false(again_waits(rig->s));
	rig->daemon.paused = false;
	rig_run(rig);
	GUEST_GETS(rig, XS_WRITE, 50, 0, "OK");
}

/* xenstored has written over what it was sent. */
static void what_is_not_known_any_more(void **state)
{
	struct rig *rig = *state;
	struct message msg;

	GUEST_SENDS(rig, XS_READ, 1, 0, "a");
	rig_run(rig);
	queue_get_message(&rig->stored_in, &msg);
	memset(rig->back->req, 0xff, sizeof(rig->back->req));
	rig->daemon.paused = true;
	assert_int_equal(again_gather(rig->s), 0);
	renew_forget(rig->s);
	rig->daemon.paused = false;
	rig_run(rig);
	GUEST_GETS(rig, XS_ERROR, 1, 0, "EIO");
}

static void who_is_to_blame(void **state)
{
	struct rig *rig = *state;
	struct message msg;

	GUEST_SENDS(rig, XS_READ, 1, 0, "a");
	GUEST_SENDS(rig, XS_READ, 2, 0, "b");
	rig_run(rig);
	rig->daemon.paused = true;
	assert_int_equal(again_gather(rig->s), 2);
	renew_forget(rig->s);
	again_let(rig->s);
	rig_run(rig);
	queue_get_message(&rig->stored_in, &msg);
	assert_true(again_is_under_way(rig->s));
	again_gather(rig->s);
	renew_forget(rig->s);
	assert_int_equal(again_refuse(rig->s), 0);
	assert_true(again_waits(rig->s));
	again_let(rig->s);
	rig_run(rig);
	STORED_SENDS(rig, XS_READ, STORED_GETS(rig, XS_READ, 0, "b"), 0, "B");
	rig_run(rig);
	rig->daemon.paused = false;
	rig_run(rig);
	GUEST_GETS(rig, XS_ERROR, 1, 0, "EIO");
	GUEST_GETS(rig, XS_READ, 2, 0, "B");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_asked_again),
		cmocka_unit_test(death_at_each_store),
		TEST(a_large_one),
		TEST(what_is_not_known_any_more),
		TEST(who_is_to_blame),
	};

	for (uint32_t i = 0; i < LARGE; i++)
		large[i] = (uint8_t)('a' + i % 26);
	memcpy(large, "data/large", 11);
	return cmocka_run_group_tests_name("session, asked again", tests, NULL, NULL);
}
