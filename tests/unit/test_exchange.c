// SPDX-License-Identifier: MIT
/*
 * The stages of an exchange of xenstored: what each waits for, what is gone on with when xsproxyd,
 * the keeper, a starter or a daemon ends, and that no word of another process makes it crash.
 */
#include "tests/unit/exchange_bed.h"

static void hold_something(void)
{
	watch(&bed.rig, "a\0t", 4);
	rig_exchange(&bed.rig, XS_TRANSACTION_START, 0, "", 1, XS_TRANSACTION_START, "5");
	bed.before.tx[bed.before.txs++] = 5;
	bed.before.next_tx = 5;
}

static void assert_served(void)
{
	assert_stage(EXCHANGE_NONE);
	assert_false(bed.rig.daemon.paused || bed.rig.daemon.parted);
	assert_null(exchange_doing(bed.exchange));
	rig_run(&bed.rig);
	assert_guest_idle(&bed.rig);
}

static void all_goes_well(void **state)
{
	(void)state;
	hold_something();
	bed_begin("/usr/sbin/other");
	bed_look_with(&bed.before);
	assert_stage(EXCHANGE_ASKED);
	assert_int_equal(bed.before.ends, 1);
	bed_hand_over();
	assert_string_equal(bed.with, "/usr/sbin/other");
	bed_again();
	bed_look_with(&bed.after);
	assert_served();
	assert_int_equal(bed.after.watches, 1);
	assert_int_equal(bed.after.txs, 1);
	assert_int_equal(bed.done, 1);
	assert_int_equal(bed.result.outcome, EXCHANGE_DONE);
	assert_string_equal(bed.result.why, "");
	assert_int_equal(bed.state, -1);
	assert_string_equal(bed_words()->with, "/usr/sbin/other");
}

/* --- who keeps xenstored */

/* What the daemon owes one guest would hold up all others. */
static void an_answer_that_does_not_come(void **state)
{
	(void)state;
	hold_something();
	GUEST_SENDS(&bed.rig, XS_READ, 1, 0, "x");
	rig_run(&bed.rig);
	STORED_GETS(&bed.rig, XS_READ, 0, "x");
	bed_begin("");
	bed_look();
	assert_stage(EXCHANGE_REST);
	bed.exchange->deadline = 0;
	bed_look();
	assert_stage(EXCHANGE_UNDO);
	bed_look_with(&bed.before);
	assert_served();
	assert_int_equal(bed.done, 1);
	assert_int_equal(bed.result.outcome, EXCHANGE_UNCHANGED);
	assert_non_null(strstr(bed.result.why, "owes domain 7"));
	assert_string_equal(bed_words()->with, "");
}

/* A whole request of it that has come by then is answered, too. */
static void the_daemon_stays_and_answers_later(void **state)
{
	struct rig *rig = &bed.rig;
	uint32_t id;

	(void)state;
	hold_something();
	GUEST_SENDS(rig, XS_READ, 1, 0, "x");
	rig_run(rig);
	id = STORED_GETS(rig, XS_READ, 0, "x");
	bed_begin("");
	bed_look();
	bed.exchange->deadline = 0;
	bed_look();
	bed_look_with(&bed.before);
	STORED_SENDS(rig, XS_READ, id, 0, "y");
	rig_run(rig);
	GUEST_GETS(rig, XS_READ, 1, 0, "y");
	assert_served();
}

/* --- what came of it */

static void assert_restored(void)
{
	struct exchange_result last;

	assert_true(exchange_last(bed.exchange, &last));
	assert_int_equal(last.outcome, EXCHANGE_RESTORED);
	assert_string_equal(last.why, "the new xenstored cannot be started: for a test");
	assert_true(last.ended);
}

/* The next one knows, also where it had to see to the end itself. */
static void an_xsproxyd_that_ends(void **state)
{
	struct exchange_result last;
	uint64_t since;

	(void)state;
	assert_false(exchange_last(bed.exchange, &last));
	bed_begin("/usr/sbin/other");
	since = bed.exchange->since;
	bed_look_with(&bed.before);
	bed_hand_over();
	bed.news->failed(bed.exchange, "for a test");
	assert_string_equal(bed.with, "");
	bed_restart(false);
	assert_int_equal(bed.exchange->since, since);
	assert_false(exchange_last(bed.exchange, &last));
	bed_again();
	bed_look_with(&bed.after);
	assert_served();
	assert_restored();
	assert_string_equal(bed_words()->with, "");
	bed_restart(true);
	assert_restored();
}

/* --- one wrong word */

static const uint32_t values[] = { EXCHANGE_UNDO + 1, 9, 77, 0x7fffffff, 0x80000000, UINT32_MAX };

/* What may come at any time. */
static void anything(uint32_t which)
{
	switch (which) {
	case 0:
		bed_look();
		break;
	case 1:
		bed.news->came(bed.exchange, START_DAEMON);
		break;
	case 2:
		bed.news->came(bed.exchange, START_UPDATE);
		break;
	case 3:
		bed.news->state(bed.exchange, -ENOENT, 0);
		break;
	case 4:
		bed.news->state(bed.exchange, memfd_create("state", MFD_CLOEXEC), 0);
		break;
	case 5:
		bed.news->failed(bed.exchange, "for a test");
		break;
	case 6:
		bed.watcher->came(bed.exchange);
		break;
	case 7:
		bed.waits = bed.watcher->gone(bed.exchange);
		break;
	case 8:
		bed_restart(false);
		break;
	case 9:
		bed_restart(true);
		break;
	default:
		bed.rig.daemon.paused = false;
		exchange_doing(bed.exchange);
	}
}

static void a_stage_that_there_is_not(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		for (uint32_t which = 0; which < 11; which++) {
			atomic_store(&bed_words()->stage, values[i]);
			assert_null(exchange_doing(bed.exchange));
			anything(which);
			assert_null(exchange_doing(bed.exchange));
			assert_false(bed.rig.daemon.parted);
			bed.serves = true;
			bed.waits = false;
		}
	}
	/* And one can begin. */
	atomic_store(&bed_words()->stage, UINT32_MAX);
	bed.rig.daemon.paused = false;
	bed_begin("");
	bed_look_with(&bed.before);
	assert_stage(EXCHANGE_ASKED);
}

static void a_stage_that_is_not_the_one(void **state)
{
	(void)state;
	for (uint32_t stage = 0; stage <= EXCHANGE_UNDO; stage++) {
		for (uint32_t which = 0; which < 11; which++) {
			atomic_store(&bed_words()->stage, stage);
			anything(which);
			exchange_doing(bed.exchange);
			bed_teardown(state);
			bed_setup(state);
		}
	}
}

static void names_without_an_end(void **state)
{
	struct ledgers_exchange *words = bed_words();

	(void)state;
	bed_begin("other");
	bed_look_with(&bed.before);
	memset(words->with, 'w', sizeof(words->with));
	memset(words->was, 'a', sizeof(words->was));
	bed_hand_over();
	assert_int_equal(strlen(bed.with), LEDGERS_DAEMON_MAX - 1);
	bed.news->failed(bed.exchange, "for a test");
	assert_int_equal(strspn(bed.with, "a"), LEDGERS_DAEMON_MAX - 1);
	bed_again();
	bed_look_with(&bed.after);
	assert_served();
	memset(words->with, 'w', sizeof(words->with));
	bed_begin("other");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		EXCHANGE_TEST(all_goes_well),
		EXCHANGE_TEST(an_answer_that_does_not_come),
		EXCHANGE_TEST(the_daemon_stays_and_answers_later),
		EXCHANGE_TEST(an_xsproxyd_that_ends),
		EXCHANGE_TEST(a_stage_that_there_is_not),
		EXCHANGE_TEST(a_stage_that_is_not_the_one),
		EXCHANGE_TEST(names_without_an_end),
	};

	return cmocka_run_group_tests_name("exchange", tests, NULL, NULL);
}
