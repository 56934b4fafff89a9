// SPDX-License-Identifier: MIT
/*
 * What a session may have: a guest's watches have bounds of their own, dom0's ring has a reserve
 * that guests cannot empty, and an UNWATCH needs no memory, whoever asks, also across a restart and
 * a death at any store.
 */
#include <stdio.h>

#include "tests/unit/kill_point.h"
#include "tests/unit/session_rig.h"

static uint32_t make(char *to, uint32_t i, uint32_t len)
{
	uint32_t n = (uint32_t)sprintf(to, "w%04u", i) + 1;

	memset(to + n, 't', len - n - 1);
	to[len - 1] = 0;
	return len;
}

/* What comes of a request: 0 when the guest is refused at once, else upstream says OK to it. */
static bool asks(struct rig *rig, uint32_t type, uint32_t i, uint32_t len)
{
	char payload[XENSTORE_PAYLOAD_MAX];
	struct message msg;

	guest_sends(rig, type, i, 0, payload, make(payload, i, len));
	rig_run(rig);
	if (queue_used(&rig->guest_in)) {
		GUEST_GETS(rig, XS_ERROR, i, 0, "ENOMEM");
		assert_stored_idle(rig);
		return false;
	}
	queue_get_message(&rig->stored_in, &msg);
	STORED_SENDS(rig, type, msg.hdr.req_id, 0, "OK");
	rig_run(rig);
	GUEST_GETS(rig, type, i, 0, "OK");
	return true;
}

static void hoard(struct rig *rig, uint32_t (*alloc)(struct pool *pool))
{
	while (alloc(rig->pool))
		;
}

/* Guests that have taken all they can, for long requests and replies too, leave dom0 enough. */
static void dom0_has_a_reserve(void **state)
{
	static uint8_t payload[XENSTORE_PAYLOAD_MAX], octets[sizeof(struct message)];
	struct message big = make_message(XS_WRITE, 3, 0, payload, sizeof(payload));
	struct rig rig;
	uint32_t n;

	(void)state;
	rig_open(&rig, 0, 0u - 700);
	hoard(&rig, pool_alloc_vital);
	for (uint32_t i = 0; i < 60; i++)
		assert_true(asks(&rig, XS_WATCH, i, 900));
	for (n = 0; n < message_size(&big.hdr); rig_run(&rig))
		n += queue_put(&rig.guest_out, (uint8_t *)&big + n, message_size(&big.hdr) - n);
	drain(&rig, &rig.stored_in, octets, message_size(&big.hdr), 1024);
	for (uint32_t i = 0; i < 100; i++) {
		stored_sends(&rig, XS_WATCH_EVENT, 0, 0, payload, 900);
		rig_run(&rig);
	}
	assert_int_equal(queue_used(&rig.stored_out), 0);
	for (uint32_t i = 0; i < 100; i++)
		drain(&rig, &rig.guest_in, octets, 916, 1024);
	for (uint32_t i = 0; i < 60; i++)
		assert_true(asks(&rig, XS_UNWATCH, i, 900));
	session_free(rig.s, true);
	rig.s = NULL;
	rig_close(&rig);
}

/* A guest is refused what there is no page for, and no more than that. */
static void guests_have_none(void **state)
{
	struct rig *rig = *state;
	uint32_t i;

	hoard(rig, pool_alloc);
	for (i = 0; asks(rig, XS_WATCH, i, 300); i++)
		;
	assert_in_range(i, 4, 6);
	assert_int_equal(rig->s->watches.count, i);
	hoard(rig, pool_alloc_vital);
	while (i)
		assert_true(asks(rig, XS_UNWATCH, --i, 300));
	assert_int_equal(rig->s->watches.count, 0);
	assert_true(asks(rig, XS_WATCH, 7, 300));
	session_free(rig->s, true);
	rig->s = NULL;
}

static void a_guests_watches_are_counted(void **state)
{
	struct rig *rig = *state;
	char payload[40];

	rig->daemon.config.watches = 10;
	for (uint32_t i = 0; i < 8; i++)
		assert_true(asks(rig, XS_WATCH, i, 30));
	/* Those under way count, too; an UNWATCH under way does not, either way. */
	for (uint32_t i = 8; i < 10; i++) {
		guest_sends(rig, XS_WATCH, i, 0, payload, make(payload, i, 30));
		guest_sends(rig, XS_UNWATCH, i, 0, payload, make(payload, i - 8, 30));
	}
	guest_sends(rig, XS_WATCH, 10, 0, payload, make(payload, 10, 30));
	rig_run(rig);
	/* Nobody is refused before those that came first are answered. */
	assert_guest_idle(rig);
	for (uint32_t i = 0; i < 4; i++) {
		struct message msg;

		queue_get_message(&rig->stored_in, &msg);
		if (i % 2)
			STORED_SENDS(rig, XS_ERROR, msg.hdr.req_id, 0, "ENOENT");
		else
			STORED_SENDS(rig, XS_WATCH, msg.hdr.req_id, 0, "OK");
	}
	assert_stored_idle(rig);
	rig_run(rig);
	for (uint32_t i = 8; i < 10; i++) {
		GUEST_GETS(rig, XS_WATCH, i, 0, "OK");
		GUEST_GETS(rig, XS_ERROR, i, 0, "ENOENT");
	}
	GUEST_GETS(rig, XS_ERROR, 10, 0, "ENOMEM");
	assert_int_equal(rig->s->watches.count, 10);
}

static void the_bound_can_change(void **state)
{
	struct rig *rig = *state;

	rig->daemon.config.watches = 3;
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(asks(rig, XS_WATCH, i, 30), i < 3);
	rig_restart(rig);
	rig_run(rig);
	assert_false(asks(rig, XS_WATCH, 3, 30));
	rig->daemon.config.watches = 5;
	for (uint32_t i = 3; i < 6; i++)
		assert_int_equal(asks(rig, XS_WATCH, i, 30), i < 5);
	rig->daemon.config.watches = 2;
	assert_true(asks(rig, XS_UNWATCH, 0, 30));
	assert_false(asks(rig, XS_WATCH, 0, 30));
}

static void a_guests_watches_take_so_much(void **state)
{
	struct rig *rig = *state;
	uint32_t i, pages = 1024 * 1024 / POOL_PAGE;

	rig->daemon.config.watch_memory = 1;
	for (i = 0; asks(rig, XS_WATCH, i, 900); i++)
		;
	assert_in_range(i, 4 * pages, 4 * pages + 2);
	assert_int_equal(rig->s->account.used, pages);
	rig_restart(rig);
	rig_run(rig);
	assert_int_equal(rig->s->account.used, pages);
	assert_false(asks(rig, XS_WATCH, i, 900));
	/* With some gone there is room for as many. */
	for (uint32_t n = 0; n < 100; n++)
		assert_true(asks(rig, XS_UNWATCH, n, 900));
	for (uint32_t n = 0; n < 60; n++)
		assert_true(asks(rig, XS_WATCH, i + n, 900));
	assert_int_equal(rig->s->watches.count, i - 40);
}

/* Nobody is told that there is no room while it is being made; and each is told when there is none.
 */
static void a_watch_waits_for_its_room(void **state)
{
	struct rig *rig = *state;
	uint32_t i;

	rig->daemon.config.watch_memory = 1;
	for (i = 0; asks(rig, XS_WATCH, i, 900); i++)
		;
	rig->s->watches.tidy_at = UINT32_MAX;
	for (uint32_t n = 0; n < 100; n++)
		assert_true(asks(rig, XS_UNWATCH, 3 * n, 900));
	assert_false(asks(rig, XS_WATCH, i, 900));
	rig->s->watches.tidy_at = 0;
	for (uint32_t n = 0; n < 60; n++)
		assert_true(asks(rig, XS_WATCH, i + n, 900));
	assert_int_equal(rig->s->watches.count, i - 40);
}

/* --- death while a log is put in order, with requests under way that refer to it */

#define WATCHES 400u
#define LEFT	(WATCHES / 5) /* every fifth */
#define ENDS	2u	      /* of these, as many as fit the back ring are about to end: */
#define END(i)	(130 * (i))

static void run(void *arg)
{
	rig_run(arg);
}

/* A log full of the dead, and requests under way that refer to all parts of it. */
static void fill_up(struct rig *rig, uint32_t *ids)
{
	char payload[300];
	struct message msg;

	for (uint32_t i = 0; i < WATCHES; i++)
		assert_true(asks(rig, XS_WATCH, i, 300));
	rig->s->watches.tidy_at = UINT32_MAX;
	for (uint32_t i = 0; i < WATCHES; i++)
		if (i % 5)
			assert_true(asks(rig, XS_UNWATCH, i, 300));
	for (uint32_t i = 0; i < ENDS + 1; i++) {
		bool ends = i > 0;

		guest_sends(rig, ends ? XS_UNWATCH : XS_WATCH, i, 0, payload,
			    make(payload, ends ? END(i - 1) : WATCHES, 300));
		rig_run(rig);
		queue_get_message(&rig->stored_in, &msg);
		ids[i] = msg.hdr.req_id;
	}
	assert_int_equal(rig->s->watches.intents, ENDS + 1);
	rig->s->watches.tidy_at = 0;
}

/* Of those that were left some have ended, one came. */
static void assert_watches(struct rig *rig)
{
	const struct watch *watch = watches_from(&rig->s->watches, 0);
	char payload[300];
	uint32_t len;

	assert_int_equal(rig->s->watches.count, LEFT - ENDS + 1);
	for (uint32_t i = 0; i <= WATCHES; i += 5) {
		if (i % END(1) == 0 && i < END(ENDS))
			continue;
		make(payload, i, 300);
		assert_memory_equal(watch_text(&rig->s->watches, watch, &len), payload, 300);
		watch = watch_next(watch);
	}
	assert_null(watch);
}

/* Return: whether it died at its store number @at. */
static bool tidying(long at)
{
	uint32_t ids[ENDS + 1], used;
	static struct rig rig;
	bool died;

	rig_open(&rig, 7, 0u - 700);
	fill_up(&rig, ids);
	used = rig.s->watches.log.used;
	died = die_at_store(at, run, &rig);
	if (died)
		rig_restart(&rig);
	rig_run(&rig);
	assert_true(rig.s->watches.log.used < used / 4 * 3);
	for (uint32_t i = 0; i < ENDS + 1; i++) {
		STORED_SENDS(&rig, i ? XS_UNWATCH : XS_WATCH, ids[i], 0, "OK");
		rig_run(&rig);
		GUEST_GETS(&rig, i ? XS_UNWATCH : XS_WATCH, i, 0, "OK");
	}
	assert_watches(&rig);
	rig_restart(&rig);
	rig_run(&rig);
	assert_watches(&rig);
	rig_close(&rig);
	return died;
}

static void death_at_each_store_of_tidying(void **state)
{
	long at = 0;

	(void)state;
	while (tidying(at))
		at++;
	assert_true(at > 10);
}

/* --- UNWATCH */

/*
 * Many of the same: all refer to one record, which must outlast the last of them, whatever comes
 * behind it in the log and whoever answers which of them.
 */
static void unwatch_again_and_again(void **state)
{
	static const uint32_t types[] = { XS_UNWATCH, XS_UNWATCH, XS_WATCH,   XS_UNWATCH,
					  XS_WATCH,   XS_WATCH,	  XS_UNWATCH, XS_UNWATCH };
	static const bool ok[] = { true, false, true, true, true, false, true, false };
	struct rig *rig = *state;
	char payload[40];
	uint32_t ids[8];

	for (int restart = 0; restart < 2; restart++) {
		assert_true(asks(rig, XS_WATCH, 1, 40));
		for (uint32_t i = 0; i < 8; i++) {
			struct message msg;

			guest_sends(rig, types[i], i, 0, payload, make(payload, 1, 40));
			rig_run(rig);
			queue_get_message(&rig->stored_in, &msg);
			ids[i] = msg.hdr.req_id;
		}
		for (uint32_t i = 0; i < 8; i++) {
			if (restart)
				rig_restart(rig);
			if (ok[i])
				STORED_SENDS(rig, types[i], ids[i], 0, "OK");
			else
				STORED_SENDS(rig, XS_ERROR, ids[i], 0, "ENOENT");
			rig_run(rig);
			if (ok[i])
				GUEST_GETS(rig, types[i], i, 0, "OK");
			else
				GUEST_GETS(rig, XS_ERROR, i, 0, "ENOENT");
			assert_int_equal(rig->s->watches.count, i == 2 || i == 4 || i == 5 ? 1 : 0);
		}
		assert_int_equal(rig->s->watches.intents, 0);
		assert_true(asks(rig, XS_WATCH, 2, 40));
		assert_true(asks(rig, XS_UNWATCH, 2, 40));
	}
}

/* Of what is not there nothing is noted: upstream says so. */
static void unwatch_of_nothing(void **state)
{
	struct rig *rig = *state;
	uint32_t used = rig->s->watches.log.used;

	rig_exchange(rig, XS_UNWATCH, 0, "a\0t", 4, XS_ERROR, "ENOENT");
	assert_int_equal(rig->s->watches.log.used, used);
	assert_null(rig->s->watches.table);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(dom0_has_a_reserve),
		TEST(guests_have_none),
		TEST(a_guests_watches_are_counted),
		TEST(the_bound_can_change),
		TEST(a_guests_watches_take_so_much),
		TEST(a_watch_waits_for_its_room),
		cmocka_unit_test(death_at_each_store_of_tidying),
		TEST(unwatch_again_and_again),
		TEST(unwatch_of_nothing),
	};

	return cmocka_run_group_tests_name("session, bounds", tests, NULL, NULL);
}
