// SPDX-License-Identifier: MIT
/*
 * An xsproxyd may die while sessions part from a xenstored or make anew what they have at another
 * one: the next one begins once more, with the same one or with none of it, and in the end each
 * watch is there once, each transaction conflicts, and the guest has seen nothing.
 */
#include "tests/unit/kill_point.h"
#include "tests/unit/session_parting.h"

/* --- a stage, and death in it */

static long stores;

static void count_store(void *arg)
{
	stores++;
	(void)arg;
}

static void run_once(void *arg)
{
	rig_turn(arg);
}

static void forget_once(void *arg)
{
	renew_forget(((struct rig *)arg)->s);
}

/* Return: whether it died in @fn, at the store number @at of its life. */
static bool dies(struct bed *bed, long at, void (*fn)(void *arg))
{
	if (!die_at_store(at < stores ? -1 : at - stores, fn, &bed->rig))
		return false;
	rig_die(&bed->rig);
	return true;
}

/* Return: whether it died. */
static bool run_stage(struct bed *bed, struct anew *daemon, long at)
{
	bool moved = true;

	for (int n = 0; moved; n++) {
		assert_true(n < 3000);
		if (dies(bed, at, run_once))
			return true;
		moved = anew_reads(daemon);
		/* It takes what there is, and has an answer for each, but writes one at a time. */
		while (anew_reads(daemon))
			;
		moved = anew_writes(daemon) || moved || bed->rig.s->task.queued;
	}
	return false;
}

/* What the process that follows does with what it finds. */
enum next {
	SAME_DAEMON, /* goes on with it */
	OTHER_DAEMON /* RETURN: it has ended, too */
};

struct life {
	enum stage stage;
	enum next next;
	bool half;
	int lag; /* how much the daemon does before the next process is there */
};

static void follow(struct bed *bed, const struct life *life, struct anew **daemon)
{
	for (int i = 0; i < life->lag; i++) {
		anew_reads(*daemon);
		anew_writes(*daemon);
	}
	assert_int_equal(rig_revive(&bed->rig), 0);
	/* It runs before the daemon has been found there. */
	if (life->stage == RETURN)
		renew_expect(bed->rig.s);
	rig_run(&bed->rig);
	if (life->next == OTHER_DAEMON) {
		renew_forget(bed->rig.s);
		*daemon = &bed->other;
		anew_begins(*daemon, &bed->rig);
	}
	begin_stage(bed, life->stage == PART ? UNDO : life->stage);
}

/* Die at the store number @at, and the next one @gap stores later (-1: it lives). Return: whether
 * the first one died. */
static bool live(const struct life *life, long at, long gap)
{
	static struct bed bed;
	struct anew *daemon = &bed.before;
	bool died;

	bed_open(&bed, life->half);
	if (life->stage != PART) {
		renew_part(bed.rig.s);
		anew_lives(daemon);
		assert_int_equal(daemon->ends, STARTS);
	}
	if (life->stage == RETURN) {
		renew_forget(bed.rig.s);
		daemon = &bed.after;
		anew_begins(daemon, &bed.rig);
	}
	stores = 0;
	kill_point_visit = count_store;
	begin_stage(&bed, life->stage);
	died = run_stage(&bed, daemon, at);
	if (died) {
		follow(&bed, life, &daemon);
		stores = 0;
		if (gap >= 0 && run_stage(&bed, daemon, gap))
			follow(&bed, life, &daemon);
	}
	kill_point_visit = NULL;
	if (life->stage == PART && !died) {
		assert_int_equal(daemon->ends, STARTS);
		begin_stage(&bed, UNDO);
	}
	anew_lives(daemon);
	assert_whole(&bed, daemon, life->stage == RETURN);
	finish(&bed, daemon);
	rig_close(&bed.rig);
	return died;
}

static void die_everywhere(enum stage stage, enum next next, long least)
{
	for (int half = 0; half < 2; half++) {
		for (int lag = 0; lag < 40; lag += 13) {
			const struct life life = { stage, next, half, lag };
			long at = 0;

			while (live(&life, at, at % 5 ? -1 : at / 5))
				at++;
			assert_true(at > least);
		}
	}
}

static void death_while_transactions_are_ended(void **state)
{
	(void)state;
	die_everywhere(PART, SAME_DAEMON, 20);
}

static void death_while_all_is_made_anew(void **state)
{
	(void)state;
	die_everywhere(RETURN, SAME_DAEMON, 100);
}

static void death_of_both(void **state)
{
	(void)state;
	die_everywhere(RETURN, OTHER_DAEMON, 100);
}

static void death_while_transactions_are_opened_again(void **state)
{
	(void)state;
	die_everywhere(UNDO, SAME_DAEMON, 20);
}

static void death_while_it_is_forgotten(void **state)
{
	long at = 0;
	bool died = true;

	(void)state;
	for (; died; at++) {
		static struct bed bed;

		bed_open(&bed, true);
		renew_part(bed.rig.s);
		anew_lives(&bed.before);
		anew_begins(&bed.after, &bed.rig);
		renew_begin(bed.rig.s, true);
		for (int i = 0; i < 9; i++)
			rig_run(&bed.rig);
		stores = 0;
		kill_point_visit = count_store;
		died = dies(&bed, at, forget_once);
		kill_point_visit = NULL;
		if (died) {
			assert_int_equal(rig_revive(&bed.rig), 0);
			renew_forget(bed.rig.s);
		}
		anew_begins(&bed.after, &bed.rig);
		renew_begin(bed.rig.s, true);
		anew_lives(&bed.after);
		assert_whole(&bed, &bed.after, true);
		finish(&bed, &bed.after);
		rig_close(&bed.rig);
	}
	assert_true(at > 8);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(death_while_transactions_are_ended),
		cmocka_unit_test(death_while_all_is_made_anew),
		cmocka_unit_test(death_of_both),
		cmocka_unit_test(death_while_transactions_are_opened_again),
		cmocka_unit_test(death_while_it_is_forgotten),
	};

	return cmocka_run_group_tests_name("session, anew, killed", tests, NULL, NULL);
}
