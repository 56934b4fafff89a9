// SPDX-License-Identifier: MIT
/*
 * What a session knows of its connection: transactions under the guest's and under upstream's ids,
 * watches from upstream's OK on, and what RESET_WATCHES and lost replies make of them.
 */
#include <stdio.h>

#include "tests/unit/session_rig.h"

static int setup(void **state)
{
	static struct rig rig;

	rig_open(&rig, 7, 0u - 100);
	*state = &rig;
	return 0;
}

/* The guest opens a transaction; upstream calls it @upstream. Return: the id that the guest gets.
 */
static uint32_t start(struct rig *rig, uint32_t upstream)
{
	struct message msg;
	char text[16];
	uint32_t id;

	GUEST_SENDS(rig, XS_TRANSACTION_START, 4, 0, "");
	rig_run(rig);
	id = STORED_GETS(rig, XS_TRANSACTION_START, 0, "");
	sprintf(text, "%u", upstream);
	stored_sends(rig, XS_TRANSACTION_START, id, 0, text, (uint32_t)strlen(text) + 1);
	rig_run(rig);
	queue_get_message(&rig->guest_in, &msg);
	assert_int_equal(msg.hdr.type, XS_TRANSACTION_START);
	assert_int_equal(msg.hdr.req_id, 4);
	assert_int_equal(msg.payload[msg.hdr.len - 1], 0);
	return (uint32_t)strtoul((char *)msg.payload, NULL, 10);
}

/* A transaction that the toolstack opens on the guest's behalf (START_DOMAIN_TRANSACTION). */
static void inject_start(struct rig *rig, uint32_t guest, uint32_t upstream)
{
	static const struct message msg = { .hdr = { .type = XS_TRANSACTION_START, .len = 1 } };
	char text[16];
	uint32_t id;

	rig_turn(rig);
	assert_int_equal(up_inject(rig->s, &msg, NULL, 0, guest), 0);
	id = STORED_GETS(rig, XS_TRANSACTION_START, 0, "");
	sprintf(text, "%u", upstream);
	stored_sends(rig, XS_TRANSACTION_START, id, 0, text, (uint32_t)strlen(text) + 1);
	rig_run(rig);
	assert_guest_idle(rig);
}

/* An END with @payload: what upstream sees, what it says, and what the guest gets. */
static void end(struct rig *rig, uint32_t guest, uint32_t upstream, const char *payload,
		const char *seen, uint32_t type, const char *says, const char *gets)
{
	bool error = !strncmp(gets, "E", 1);
	uint32_t id;

	guest_sends(rig, XS_TRANSACTION_END, 6, guest, payload, 2);
	rig_run(rig);
	id = stored_gets(rig, XS_TRANSACTION_END, upstream, seen, 2);
	/* oxenstored's replies do not always carry the id; the guest's must. */
	stored_sends(rig, type, id, 0, says, (uint32_t)strlen(says) + 1);
	rig_run(rig);
	guest_gets(rig, error ? XS_ERROR : XS_TRANSACTION_END, 6, guest, gets,
		   (uint32_t)strlen(gets) + 1);
}

static void end_plain(struct rig *rig, uint32_t id, const char *payload, uint32_t type,
		      const char *says)
{
	end(rig, id, id, payload, payload, type, says, says);
}

static uint32_t open_count(struct rig *rig)
{
	return transaction_count(&rig->s->transactions);
}

static void a_transactions_life(void **state)
{
	struct rig *rig = *state;
	uint32_t id;

	assert_int_equal(start(rig, 15), 15);
	assert_int_equal(open_count(rig), 1);
	GUEST_SENDS(rig, XS_READ, 5, 15, "x");
	rig_run(rig);
	id = STORED_GETS(rig, XS_READ, 15, "x");
	STORED_SENDS(rig, XS_READ, id, 0, "y");
	rig_run(rig);
	GUEST_GETS(rig, XS_READ, 5, 15, "y");
	end_plain(rig, 15, "T", XS_TRANSACTION_END, "OK");
	assert_int_equal(open_count(rig), 0);
}

/* An id that is not open must not reach a transaction that upstream has under that number. */
static void unknown_ids_stay_unknown(void **state)
{
	static const uint32_t ids[] = { 1, 15, 16, 0x7fffffff, UINT32_MAX };
	struct rig *rig = *state;

	inject_start(rig, 400, 15);
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		uint32_t id;

		GUEST_SENDS(rig, XS_READ, 5, ids[i], "x");
		rig_run(rig);
		id = STORED_GETS(rig, XS_READ, 0xfffffffe, "x");
		STORED_SENDS(rig, XS_ERROR, id, 0xfffffffe, "ENOENT");
		rig_run(rig);
		GUEST_GETS(rig, XS_ERROR, 5, ids[i], "ENOENT");
	}
	assert_int_equal(open_count(rig), 1);
	/* The end of an unknown one changes nothing. */
	end(rig, 15, 0xfffffffe, "T", "T", XS_ERROR, "ENOENT", "ENOENT");
	assert_int_equal(open_count(rig), 1);
}

/* C daemons give any id in time; what is unknown must not go into a transaction that has it. */
static void an_unknown_id_is_no_open_one(void **state)
{
	struct rig *rig = *state;
	uint32_t id;

	assert_int_equal(start(rig, 0xfffffffe), 0xfffffffe);
	assert_int_equal(start(rig, 0xfffffffd), 0xfffffffd);
	end(rig, 12345, 0xfffffffc, "F", "F", XS_ERROR, "ENOENT", "ENOENT");
	assert_int_equal(open_count(rig), 2);
	end_plain(rig, 0xfffffffe, "F", XS_TRANSACTION_END, "OK");
	GUEST_SENDS(rig, XS_READ, 5, 0xfffffffe, "x");
	rig_run(rig);
	id = STORED_GETS(rig, XS_READ, 0xfffffffe, "x");
	STORED_SENDS(rig, XS_ERROR, id, 0xfffffffe, "ENOENT");
	rig_run(rig);
	GUEST_GETS(rig, XS_ERROR, 5, 0xfffffffe, "ENOENT");
}

/* Which id a transaction gets is not known before upstream's answer. */
static void an_unknown_id_waits_for_a_start(void **state)
{
	struct rig *rig = *state;
	uint32_t id;

	GUEST_SENDS(rig, XS_TRANSACTION_START, 4, 0, "");
	GUEST_SENDS(rig, XS_READ, 5, 12345, "x");
	rig_run(rig);
	id = STORED_GETS(rig, XS_TRANSACTION_START, 0, "");
	assert_stored_idle(rig);
	STORED_SENDS(rig, XS_TRANSACTION_START, id, 0, "4294967294");
	rig_run(rig);
	GUEST_GETS(rig, XS_TRANSACTION_START, 4, 0, "4294967294");
	id = STORED_GETS(rig, XS_READ, 0xfffffffd, "x");
	STORED_SENDS(rig, XS_ERROR, id, 0xfffffffd, "ENOENT");
	rig_run(rig);
	GUEST_GETS(rig, XS_ERROR, 5, 12345, "ENOENT");
}

static void ids_are_mapped(void **state)
{
	struct rig *rig = *state;
	uint32_t id;

	inject_start(rig, 400, 15);
	inject_start(rig, 16, 17);
	/* Upstream's next number is in use as a guest's id: the guest gets one above all. */
	assert_int_equal(start(rig, 16), 401);
	GUEST_SENDS(rig, XS_READ, 1, 400, "a");
	GUEST_SENDS(rig, XS_READ, 2, 16, "b");
	GUEST_SENDS(rig, XS_READ, 3, 401, "c");
	rig_run(rig);
	id = STORED_GETS(rig, XS_READ, 15, "a");
	STORED_SENDS(rig, XS_READ, id, 15, "A");
	id = STORED_GETS(rig, XS_READ, 17, "b");
	STORED_SENDS(rig, XS_READ, id, 17, "B");
	id = STORED_GETS(rig, XS_READ, 16, "c");
	STORED_SENDS(rig, XS_READ, id, 16, "C");
	rig_run(rig);
	GUEST_GETS(rig, XS_READ, 1, 400, "A");
	GUEST_GETS(rig, XS_READ, 2, 16, "B");
	GUEST_GETS(rig, XS_READ, 3, 401, "C");
	end(rig, 401, 16, "T", "T", XS_TRANSACTION_END, "OK", "OK");
	assert_int_equal(start(rig, 18), 18);
	assert_int_equal(open_count(rig), 3);
}

/* Nothing that a guest did before its migration can be committed; it must try again. */
static void a_transaction_of_ours_conflicts(void **state)
{
	struct rig *rig = *state;

	inject_start(rig, 400, 15);
	end(rig, 400, 15, "T", "F", XS_TRANSACTION_END, "OK", "EAGAIN");
	inject_start(rig, 400, 16);
	end(rig, 400, 16, "F", "F", XS_TRANSACTION_END, "OK", "OK");
	inject_start(rig, 400, 17);
	end(rig, 400, 17, "T", "F", XS_ERROR, "EIO", "EIO");
	assert_int_equal(open_count(rig), 0);
}

/* docs/daemons.md, "What ends a transaction". */
static void what_ends_a_transaction(void **state)
{
	static const struct {
		const char *error;
		bool open;
	} cases[] = { { "EINVAL", true },  { "EQUOTA", true },	{ "EAGAIN", false },
		      { "ENOENT", false }, { "ENOMEM", false }, { "ENOSPC", false },
		      { "EIO", false } };
	struct rig *rig = *state;

	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start(rig, 20 + i);
		end_plain(rig, 20 + i, "T", XS_ERROR, cases[i].error);
		assert_int_equal(open_count(rig), cases[i].open);
		if (cases[i].open)
			end_plain(rig, 20 + i, "F", XS_TRANSACTION_END, "OK");
	}
	/* Other requests that fail inside of it do not. */
	start(rig, 50);
	rig_exchange(rig, XS_WRITE, 50, "x", 2, XS_ERROR, "EACCES");
	assert_int_equal(open_count(rig), 1);
}

static void a_start_that_fails_opens_nothing(void **state)
{
	struct rig *rig = *state;

	rig_exchange(rig, XS_TRANSACTION_START, 0, "", 1, XS_ERROR, "ENOSPC");
	assert_int_equal(open_count(rig), 0);
	for (uint32_t i = 1; i <= 40; i++)
		assert_int_equal(start(rig, i), i);
	assert_int_equal(open_count(rig), 40);
}

/* Several on their way at once, mixed with ends. */
static void pipelined_transactions(void **state)
{
	struct rig *rig = *state;
	uint32_t id[3];

	start(rig, 5);
	GUEST_SENDS(rig, XS_TRANSACTION_START, 1, 0, "");
	GUEST_SENDS(rig, XS_TRANSACTION_END, 2, 5, "T");
	GUEST_SENDS(rig, XS_TRANSACTION_START, 3, 0, "");
	rig_run(rig);
	id[0] = STORED_GETS(rig, XS_TRANSACTION_START, 0, "");
	id[1] = STORED_GETS(rig, XS_TRANSACTION_END, 5, "T");
	id[2] = STORED_GETS(rig, XS_TRANSACTION_START, 0, "");
	STORED_SENDS(rig, XS_TRANSACTION_START, id[0], 0, "6");
	STORED_SENDS(rig, XS_TRANSACTION_END, id[1], 5, "OK");
	STORED_SENDS(rig, XS_TRANSACTION_START, id[2], 0, "7");
	rig_run(rig);
	GUEST_GETS(rig, XS_TRANSACTION_START, 1, 0, "6");
	GUEST_GETS(rig, XS_TRANSACTION_END, 2, 5, "OK");
	GUEST_GETS(rig, XS_TRANSACTION_START, 3, 0, "7");
	assert_int_equal(transaction_find(&rig->s->transactions, 5), -ENOENT);
	assert_true(transaction_find(&rig->s->transactions, 6) >= 0);
	assert_true(transaction_find(&rig->s->transactions, 7) >= 0);
}

/* --- watches */

static void watch(struct rig *rig, const char *payload, uint32_t len, const char *says)
{
	rig_exchange(rig, XS_WATCH, 0, payload, len, strcmp(says, "OK") ? XS_ERROR : XS_WATCH,
		     says);
}

static void unwatch(struct rig *rig, const char *payload, uint32_t len, const char *says)
{
	rig_exchange(rig, XS_UNWATCH, 0, payload, len, strcmp(says, "OK") ? XS_ERROR : XS_UNWATCH,
		     says);
}

static void watches_are_those_of_upstream(void **state)
{
	struct rig *rig = *state;
	uint32_t len, gen = word_get(&rig->s->ledger->watch_gen);

	watch(rig, "a\0t", 4, "OK");
	watch(rig, "/local/domain/7/a\0t", 20, "EEXIST");
	watch(rig, "b\0t", 4, "OK");
	watch(rig, "c\0t", 4, "E2BIG");
	watch(rig, "//\0t", 5, "EINVAL");
	assert_int_equal(rig->s->watches.count, 2);
	assert_int_equal(word_get(&rig->s->ledger->watch_gen), gen + 2);
	unwatch(rig, "/local/domain/7/a\0t", 20, "OK");
	unwatch(rig, "a\0t", 4, "ENOENT");
	assert_int_equal(rig->s->watches.count, 1);
	assert_memory_equal(watch_text(&rig->s->watches, watches_from(&rig->s->watches, 0), &len),
			    "b\0t", 4);
	assert_int_equal(rig->s->watches.intents, 0);
}

/* WATCH ignores the transaction id; so must we, whatever it is. */
static void a_watch_in_a_transaction(void **state)
{
	struct rig *rig = *state;
	uint32_t id;

	GUEST_SENDS(rig, XS_WATCH, 3, 99, "a\0t");
	rig_run(rig);
	id = STORED_GETS(rig, XS_WATCH, 0xfffffffe, "a\0t");
	STORED_SENDS(rig, XS_WATCH, id, 0, "OK");
	rig_run(rig);
	GUEST_GETS(rig, XS_WATCH, 3, 99, "OK");
	assert_int_equal(rig->s->watches.count, 1);
}

/* The guest sends a request larger than its ring. */
static void guest_sends_long(struct rig *rig, uint32_t type, const void *payload, uint32_t len)
{
	struct message msg = make_message(type, 2, 0, payload, len);

	for (uint32_t n = 0; n < message_size(&msg.hdr); rig_run(rig))
		n += queue_put(&rig->guest_out, (uint8_t *)&msg + n, message_size(&msg.hdr) - n);
}

/* No watch can be that long, so there is none: nothing that is not tracked is forwarded. */
static void an_unwatch_that_is_too_long_goes_nowhere(void **state)
{
	static char payload[XENSTORE_PAYLOAD_MAX] = "a";
	struct rig *rig = *state;

	memset(payload + 2, 't', sizeof(payload) - 3);
	guest_sends_long(rig, XS_UNWATCH, payload, sizeof(payload));
	assert_stored_idle(rig);
	GUEST_GETS(rig, XS_ERROR, 2, 0, "ENOENT");
}

/* The C daemon takes the watch away, whatever follows; so it is told just that. */
static void an_unwatch_with_a_tail_is_tracked(void **state)
{
	static const uint32_t lengths[] = { 1, 1000, 1001, 4055, 4056, 4057, 4088 };
	static char payload[XENSTORE_PAYLOAD_MAX] = "a\0token";
	struct rig *rig = *state;

	memset(payload + 8, 'j', sizeof(payload) - 8);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint32_t id;

		guest_sends_long(rig, XS_WATCH, payload, 8 + lengths[i]);
		id = stored_gets(rig, XS_WATCH, 0, payload, 8);
		STORED_SENDS(rig, XS_WATCH, id, 0, "OK");
		rig_run(rig);
		GUEST_GETS(rig, XS_WATCH, 2, 0, "OK");
		assert_int_equal(rig->s->watches.count, 1);

		guest_sends_long(rig, XS_UNWATCH, payload, 8 + lengths[i]);
		id = stored_gets(rig, XS_UNWATCH, 0, payload, 8);
		STORED_SENDS(rig, XS_UNWATCH, id, 0, "OK");
		rig_run(rig);
		GUEST_GETS(rig, XS_UNWATCH, 2, 0, "OK");
		assert_int_equal(rig->s->watches.count, 0);
		assert_int_equal(rig->s->watches.intents, 0);
	}
}

/* C daemons without XSA-484 abort when it comes inside of a transaction that it ends. */
static void a_reset_comes_in_no_open_transaction(void **state)
{
	struct rig *rig = *state;
	uint32_t id;

	start(rig, 5);
	GUEST_SENDS(rig, XS_RESET_WATCHES, 1, 5, "");
	GUEST_SENDS(rig, XS_RESET_WATCHES, 2, 6, "");
	rig_run(rig);
	id = STORED_GETS(rig, XS_RESET_WATCHES, 0, "");
	STORED_SENDS(rig, XS_RESET_WATCHES, id, 0, "OK");
	id = STORED_GETS(rig, XS_RESET_WATCHES, MESSAGE_TX_UNKNOWN, "");
	STORED_SENDS(rig, XS_ERROR, id, MESSAGE_TX_UNKNOWN, "ENOENT");
	rig_run(rig);
	GUEST_GETS(rig, XS_RESET_WATCHES, 1, 5, "OK");
	GUEST_GETS(rig, XS_ERROR, 2, 6, "ENOENT");
	assert_int_equal(open_count(rig), 0);
}

static void reset_watches_ends_all(void **state)
{
	struct rig *rig = *state;
	uint32_t id[3];

	watch(rig, "a\0t", 4, "OK");
	start(rig, 5);
	rig_exchange(rig, XS_RESET_WATCHES, 0, "", 1, XS_ERROR, "ENOSYS");
	assert_int_equal(rig->s->watches.count, 1);
	assert_int_equal(open_count(rig), 1);

	/* What is asked for behind it lives. */
	GUEST_SENDS(rig, XS_RESET_WATCHES, 1, 0, "");
	GUEST_SENDS(rig, XS_WATCH, 2, 0, "a\0t");
	GUEST_SENDS(rig, XS_TRANSACTION_START, 3, 0, "");
	rig_run(rig);
	id[0] = STORED_GETS(rig, XS_RESET_WATCHES, 0, "");
	id[1] = STORED_GETS(rig, XS_WATCH, 0, "a\0t");
	id[2] = STORED_GETS(rig, XS_TRANSACTION_START, 0, "");
	STORED_SENDS(rig, XS_RESET_WATCHES, id[0], 0, "OK");
	rig_run(rig);
	assert_int_equal(rig->s->watches.count, 0);
	assert_int_equal(open_count(rig), 0);
	STORED_SENDS(rig, XS_WATCH, id[1], 0, "OK");
	STORED_SENDS(rig, XS_TRANSACTION_START, id[2], 0, "6");
	rig_run(rig);
	assert_int_equal(rig->s->watches.count, 1);
	assert_int_equal(open_count(rig), 1);
	assert_true(transaction_find(&rig->s->transactions, 6) >= 0);
}

/* Watching and unwatching for ever needs no more memory than the watches that there are. */
static void the_log_does_not_grow(void **state)
{
	struct rig *rig = *state;

	watch(rig, "stays\0t", 8, "OK");
	for (uint32_t i = 0; i < 400; i++) {
		char text[100] = { 0 };

		/* Two at a time, so that the log's end cannot simply be taken back. */
		memset(text + 4, 't', sizeof(text) - 5);
		sprintf(text, "%03u", i);
		watch(rig, text, sizeof(text), "OK");
		if (i)
			sprintf(text, "%03u", i - 1);
		unwatch(rig, text, sizeof(text), "OK");
	}
	assert_true(rig->s->watches.log.used < 3000);
	rig_restart(rig);
	assert_true(rig->s->watches.count <= 2);
	assert_true(rig->s->watches.count >= 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)
	static const struct CMUnitTest tests[] = {
		TEST(a_transactions_life),
		TEST(unknown_ids_stay_unknown),
		TEST(an_unknown_id_is_no_open_one),
		TEST(an_unknown_id_waits_for_a_start),
		TEST(ids_are_mapped),
		TEST(a_transaction_of_ours_conflicts),
		TEST(what_ends_a_transaction),
		TEST(a_start_that_fails_opens_nothing),
		TEST(pipelined_transactions),
		TEST(watches_are_those_of_upstream),
		TEST(a_watch_in_a_transaction),
		TEST(an_unwatch_that_is_too_long_goes_nowhere),
		TEST(reset_watches_ends_all),
		TEST(the_log_does_not_grow),
		TEST(an_unwatch_with_a_tail_is_tracked),
		TEST(a_reset_comes_in_no_open_transaction),
	};

	return cmocka_run_group_tests_name("session, tracking", tests, NULL, NULL);
}
