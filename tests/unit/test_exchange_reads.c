// SPDX-License-Identifier: MIT
/*
 * An exchange of an oxenstored that writes no state, for a domain is another one's target: who asks
 * for it reads the store, and that daemon is ended by us, once nothing can get lost.
 */
#include "tests/unit/exchange_bed.h"

static int reads_setup(void **state)
{
	bed_setup(state);
	bed.rig.daemon.flavour = RINGS_FLAVOUR_OCAML;
	bed.reads = true;
	return 0;
}

/* A round of the daemon's, in which it answers us, and says nothing to anybody else. */
static void a_round(void)
{
	bed_look();
	bed_answers();
}

static void as_far_as_silence(void)
{
	watch(&bed.rig, "a\0t", 4);
	bed_begin("/usr/sbin/other");
	bed_look_with(&bed.before);
	assert_stage(EXCHANGE_PART);
}

static void as_far_as_asked(void)
{
	as_far_as_silence();
	for (int i = 0; i <= QUIET_ROUNDS; i++)
		a_round();
	assert_stage(EXCHANGE_ASKED);
	assert_string_equal(exchange_doing(bed.exchange), EXCHANGE_READS);
	bed_look();
	assert_stage(EXCHANGE_ASKED);
	assert_false(bed.killed);
}

static void reader_comes(enum start_type answer)
{
	bed.news->came(bed.exchange, START_READER);
	assert_int_equal(bed.order, answer);
}

static void reader_gives(void)
{
	bed.news->state(bed.exchange, memfd_create("state", MFD_CLOEXEC), 0);
}

static void goes_on_with_the_other(void)
{
	bed.news->came(bed.exchange, START_DAEMON);
	assert_int_equal(bed.order, START_RESTORE);
	assert_stage(EXCHANGE_STARTED);
	bed.rig.daemon.flavour = RINGS_FLAVOUR_C;
	bed_again();
	bed_look_with(&bed.after);
	assert_stage(EXCHANGE_NONE);
	assert_int_equal(bed.after.watches, 1);
	assert_int_equal(bed.state, -1);
}

static void goes_on_as_before(void)
{
	bed_look_with(&bed.before);
	assert_stage(EXCHANGE_NONE);
	assert_false(bed.killed || bed.rig.daemon.paused);
	assert_int_equal(bed.state, -1);
}

static void all_goes_well(void **state)
{
	(void)state;
	as_far_as_asked();
	reader_comes(START_WANT);
	reader_gives();
	assert_int_equal(bed.order, START_ENOUGH);
	assert_true(bed.killed);
	assert_stage(EXCHANGE_HAVE);
	bed.waits = bed.watcher->gone(bed.exchange);
	assert_true(bed.waits);
	goes_on_with_the_other();
	assert_int_equal(bed.result.outcome, EXCHANGE_DONE);
}

/* Who cannot read it is told at once. */
static void nobody_reads(void **state)
{
	static const struct exchange_waiter waiter = { bed_stage, bed_done };

	(void)state;
	assert_non_null(exchange_begin(bed.exchange, "", false, &waiter, NULL));
	assert_stage(EXCHANGE_NONE);
}

/* What it had no room for comes one by one: it is not read before none has come for a while. */
static void events_that_it_has_yet_to_say(void **state)
{
	(void)state;
	as_far_as_silence();
	for (int n = 0; n < 5; n++) {
		for (int i = 0; i < QUIET_ROUNDS / 2; i++)
			a_round();
		assert_stage(EXCHANGE_PART);
		stored_sends(&bed.rig, XS_WATCH_EVENT, 0, 0, "a\0t", 4);
		rig_run(&bed.rig);
	}
	for (int i = 0; i <= QUIET_ROUNDS; i++)
		a_round();
	assert_stage(EXCHANGE_ASKED);
}

/* It is told at once, and guests do not wait for somebody who has gone. */
static void who_is_to_read_goes_before(void **state)
{
	(void)state;
	as_far_as_silence();
	exchange_forget(bed.exchange, NULL);
	while (exchange_stage(bed.exchange) == EXCHANGE_PART)
		a_round();
	bed_look();
	assert_stage(EXCHANGE_UNDO);
	goes_on_as_before();
}

/* The keeper is slow, and who asked goes, or the daemon dies: it goes on with what there is. */
static void what_was_read_is_enough(void **state)
{
	(void)state;
	as_far_as_asked();
	reader_comes(START_WANT);
	bed.told = false;
	reader_gives();
	exchange_forget(bed.exchange, NULL);
	assert_stage(EXCHANGE_ASKED);
	bed.waits = bed.watcher->gone(bed.exchange);
	assert_true(bed.waits);
	bed.told = true;
	goes_on_with_the_other();
	assert_string_equal(bed_words()->with, "/usr/sbin/other");
}

/* It lives until nothing of it can get lost. */
static void not_before_the_keeper_has_it(void **state)
{
	(void)state;
	as_far_as_asked();
	reader_comes(START_WANT);
	bed.told = false;
	reader_gives();
	bed_look();
	assert_stage(EXCHANGE_ASKED);
	assert_false(bed.killed);
	bed.told = true;
	bed_look();
	assert_stage(EXCHANGE_HAVE);
	assert_true(bed.killed);
}

static void a_reader_that_nobody_wants(void **state)
{
	(void)state;
	reader_comes(START_AFRESH);
	reader_gives();
	assert_stage(EXCHANGE_NONE);
	as_far_as_asked();
	bed.exchange->deadline = 1;
	bed_look();
	assert_stage(EXCHANGE_UNDO);
	reader_comes(START_AFRESH);
	reader_gives();
	assert_int_equal(bed.state, -1);
	goes_on_as_before();
	assert_int_equal(bed.result.outcome, EXCHANGE_UNCHANGED);
}

static void a_reader_that_fails(void **state)
{
	(void)state;
	as_far_as_asked();
	exchange_forget(bed.exchange, NULL);
	assert_stage(EXCHANGE_UNDO);
	goes_on_as_before();
}

/* The next xsproxyd finds the daemon there that was to be killed, and nobody was served since. */
static void xsproxyd_ends_before_the_daemon_does(void **state)
{
	(void)state;
	as_far_as_asked();
	reader_comes(START_WANT);
	reader_gives();
	bed.killed = false;
	bed_restart(true);
	assert_stage(EXCHANGE_HAVE);
	assert_true(bed.killed);
	bed.waits = bed.watcher->gone(bed.exchange);
	assert_true(bed.waits);
	goes_on_with_the_other();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_goes_well, reads_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(nobody_reads, reads_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(not_before_the_keeper_has_it, reads_setup,
						bed_teardown),
		cmocka_unit_test_setup_teardown(a_reader_that_nobody_wants, reads_setup,
						bed_teardown),
		cmocka_unit_test_setup_teardown(events_that_it_has_yet_to_say, reads_setup,
						bed_teardown),
		cmocka_unit_test_setup_teardown(who_is_to_read_goes_before, reads_setup,
						bed_teardown),
		cmocka_unit_test_setup_teardown(what_was_read_is_enough, reads_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(a_reader_that_fails, reads_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(xsproxyd_ends_before_the_daemon_does, reads_setup,
						bed_teardown),
	};

	return cmocka_run_group_tests_name("exchange, the store is read", tests, NULL, NULL);
}
