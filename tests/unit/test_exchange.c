// SPDX-License-Identifier: MIT
/*
 * The stages of an exchange of xenstored: what each waits for, what is gone on with when xsproxyd,
 * the keeper, a starter or a daemon ends, and that no word of another process makes it crash.
 */
#include "tests/unit/exchange_events.h"

static void hold_something(void)
{
	watch(&bed.rig, "a\0t", 4);
	rig_exchange(&bed.rig, XS_TRANSACTION_START, 0, "", 1, XS_TRANSACTION_START, "5");
	bed.before.tx[bed.before.txs++] = 5;
	bed.before.next_tx = 5;
}

/* At the first stage there is something that does not come in time. */
static void begin_in_vain(void)
{
	bed_begin("");
	bed_look();
	assert_stage(EXCHANGE_REST);
	bed.exchange->deadline = 1;
	bed_look();
	assert_stage(EXCHANGE_UNDO);
}

/* Return: the id of what the daemon owes the guest, for too long. */
static uint32_t owe_an_answer(void)
{
	uint32_t id;

	hold_something();
	GUEST_SENDS(&bed.rig, XS_READ, 1, 0, "x");
	rig_run(&bed.rig);
	id = STORED_GETS(&bed.rig, XS_READ, 0, "x");
	begin_in_vain();
	return id;
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
	owe_an_answer();
	bed_look_with(&bed.before);
	assert_served();
	assert_int_equal(bed.done, 1);
	assert_int_equal(bed.result.outcome, EXCHANGE_UNCHANGED);
	assert_non_null(strstr(bed.result.why, "owes domain 7"));
	assert_string_equal(bed_words()->with, "");
}

/* Nothing was taken from anybody, so there is nothing to be waited for once more. */
static void what_is_owed_holds_up_nobody(void **state)
{
	(void)state;
	owe_an_answer();
	bed_look();
	assert_served();
	assert_stored_idle(&bed.rig);
}

/* A whole request of it that has come by then is answered, too. */
static void the_daemon_stays_and_answers_later(void **state)
{
	struct rig *rig = &bed.rig;
	uint32_t id;

	(void)state;
	id = owe_an_answer();
	bed_look_with(&bed.before);
	STORED_SENDS(rig, XS_READ, id, 0, "y");
	rig_run(rig);
	GUEST_GETS(rig, XS_READ, 1, 0, "y");
	assert_served();
}

/* Nobody waits for ever for a daemon that accepts no connection of ours. */
static void a_daemon_that_cannot_be_asked(void **state)
{
	(void)state;
	hold_something();
	bed.dials = false;
	begin_in_vain();
	bed_look_with(&bed.before);
	assert_served();
	assert_int_not_equal(strlen(bed.result.why), 0);
}

static void assert_undone_by(void (*what)(void))
{
	hold_something();
	bed_begin("/usr/sbin/other");
	what();
	bed_look_with(&bed.before);
	assert_served();
	assert_int_not_equal(strlen(bed.result.why), 0);
}

static void is_slow(void)
{
	bed_look_with(&bed.before);
	assert_stage(EXCHANGE_ASKED);
	bed.exchange->deadline = 1;
}

static void cannot_rest(void)
{
	bed_look();
	bed.exchange->deadline = 1;
}

/* The one that was there before a failed exchange is not the one that was to be. */
static void the_daemon_before_is_the_one_that_serves(void **state)
{
	static void (*const what[])(void) = { is_slow, cannot_rest };

	for (int i = 0; i < 2; i++) {
		assert_undone_by(what[i]);
		bed_begin("/usr/sbin/third");
		bed_look_with(&bed.before);
		bed_hand_over();
		assert_string_equal(bed.with, "/usr/sbin/third");
		bed.news->failed(bed.exchange, "for a test");
		assert_string_equal(bed.with, "");
		bed_again();
		bed_look_with(&bed.after);
		assert_served();
		assert_int_equal(bed.result.outcome, EXCHANGE_RESTORED);
		bed_teardown(state);
		bed_setup(state);
	}
}

static void exchange_to(const char *with)
{
	bed_begin(with);
	bed.before = (struct anew){ .rig = &bed.rig };
	bed_look_with(&bed.before);
	bed_hand_over();
	assert_string_equal(bed.with, with);
}

static void the_daemon_before_is_the_last_that_came(void **state)
{
	(void)state;
	exchange_to("/usr/sbin/b");
	bed_again();
	bed_look_with(&bed.after);
	assert_served();
	/* c is tried, b comes back, */
	exchange_to("/usr/sbin/c");
	bed.news->came(bed.exchange, START_DAEMON);
	assert_string_equal(bed.with, "/usr/sbin/b");
	/* and another xsproxyd sees it come; */
	bed_restart(false);
	assert_stage(EXCHANGE_STARTED);
	bed_again();
	bed_look_with(&bed.after);
	assert_served();
	/* d is tried. */
	exchange_to("/usr/sbin/d");
	bed.news->came(bed.exchange, START_DAEMON);
	assert_string_equal(bed.with, "/usr/sbin/b");
	bed_again();
	bed_look_with(&bed.after);
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

/* Of a daemon with which there is something, as far as ASKED. */
static void ask_for_the_state(void)
{
	hold_something();
	bed_begin("");
	bed_look_with(&bed.before);
}

/* --- who ends */

static void the_daemon_leaves_nothing(void **state)
{
	(void)state;
	ask_for_the_state();
	bed.waits = bed.watcher->gone(bed.exchange);
	bed.news->came(bed.exchange, START_DAEMON);
	assert_int_equal(bed.order, START_WANT);
	bed.news->state(bed.exchange, -ENOENT, 0);
	assert_int_equal(bed.order, START_AFRESH);
	/* Or it would be asked, and nobody would ever answer. */
	assert_true(bed.gave_up);
	assert_int_equal(bed.done, 1);
	assert_non_null(strstr(bed.result.why, "left no state"));
	assert_false(bed.rig.daemon.paused);
}

/* The starter is told once the keeper has what would be lost otherwise, however late that is. */
static void a_keeper_that_is_slow(void **state)
{
	(void)state;
	ask_for_the_state();
	bed.waits = bed.watcher->gone(bed.exchange);
	happens(CAME);
	bed.told = false;
	bed.order = 0;
	happens(STATE);
	assert_int_equal(bed.order, 0);
	bed.told = true;
	bed_look();
	assert_int_equal(bed.order, START_ENOUGH);
	bed.told = false;
	bed.news->came(bed.exchange, START_DAEMON);
	assert_int_equal(bed.order, START_ENOUGH);
	bed.told = true;
	bed_look();
	assert_int_equal(bed.order, START_RESTORE);
	bed_again();
	bed_look_with(&bed.after);
	assert_served();
}

/* What is of no use any more is not kept. */
static void a_state_that_nobody_waits_for(void **state)
{
	static const bool left[] = { false, true };

	(void)state;
	for (int i = 0; i < 2; i++) {
		bed.state = memfd_create("state", MFD_CLOEXEC);
		exchange_free(bed.exchange);
		bed.left = left[i];
		bed_start();
		assert_int_equal(bed.state, -1);
		assert_int_equal(bed.exchange->state, -1);
		assert_served();
	}
}

/* It is there, and has no more than a part of what sessions have. */
static void the_state_is_lost_when_the_other_daemon_is_there(void **state)
{
	(void)state;
	ask_for_the_state();
	bed_hand_over();
	bed_again();
	bed_look();
	assert_stage(EXCHANGE_RETURN);
	fake_keep_state(NULL, -1, -1);
	bed_restart(true);
	bed_look_with(&bed.after);
	assert_served();
	assert_int_equal(bed.after.watches, 1);
	assert_int_equal(bed.after.txs, 1);
}

/* --- xsproxyd is killed */

static void xsproxyd_is_killed(void **state)
{
	for (int at = BEGUN; at <= DONE; at++) {
		bool bridge = at < ENDED || at >= AGAIN, stays = at < ENDED;
		struct anew *daemon = stays ? &bed.before : &bed.after;

		hold_something();
		for (int what = BEGUN; what <= at; what++)
			happens(what);
		bed_restart(bridge);
		/* The live-update program waits for the next one. */
		for (int what = at < STATE ? CAME : at + 1; !bridge && what <= AGAIN; what++)
			happens(what);
		bed_look_with(daemon);
		assert_served();
		assert_int_equal(daemon->watches, stays ? 0 : 1);
		assert_int_equal(bed.rig.s->watches.count, 1);
		GUEST_SENDS(&bed.rig, XS_TRANSACTION_END, 1, 5, "T");
		anew_lives(daemon);
		if (at <= PARTING)
			GUEST_GETS(&bed.rig, XS_TRANSACTION_END, 1, 5, "OK");
		else
			GUEST_GETS(&bed.rig, XS_ERROR, 1, 5, "EAGAIN");
		assert_int_equal(daemon->txs, 0);
		bed_teardown(state);
		bed_setup(state);
	}
}

/* --- one wrong word */

static const uint32_t values[] = { EXCHANGE_AGAIN + 1, 77, 0x7fffffff, 0x80000000, UINT32_MAX };

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
		EXCHANGE_TEST(what_is_owed_holds_up_nobody),
		EXCHANGE_TEST(the_daemon_stays_and_answers_later),
		EXCHANGE_TEST(a_daemon_that_cannot_be_asked),
		EXCHANGE_TEST(the_daemon_before_is_the_one_that_serves),
		EXCHANGE_TEST(the_daemon_before_is_the_last_that_came),
		EXCHANGE_TEST(an_xsproxyd_that_ends),
		EXCHANGE_TEST(the_daemon_leaves_nothing),
		EXCHANGE_TEST(a_keeper_that_is_slow),
		EXCHANGE_TEST(a_state_that_nobody_waits_for),
		EXCHANGE_TEST(the_state_is_lost_when_the_other_daemon_is_there),
		EXCHANGE_TEST(xsproxyd_is_killed),
		EXCHANGE_TEST(a_stage_that_there_is_not),
		EXCHANGE_TEST(a_stage_that_is_not_the_one),
		EXCHANGE_TEST(names_without_an_end),
	};

	return cmocka_run_group_tests_name("exchange", tests, NULL, NULL);
}
