// SPDX-License-Identifier: MIT
/*
 * One side of a session: when the other side is woken (always when it might wait, never else), when
 * there is new work already, and that indexes are taken anew each turn.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/session/endpoint.h"

#define SIZE 64u

struct bed {
	struct endpoint end;
	ledger_word in_prod, in_cons, out_prod, out_cons;
	uint8_t in[SIZE], out[SIZE];
	struct ledger ledger;
	struct ledger_place place;
	int kicks;
};

/* The end of a turn, as session_run() does it. */
static bool endpoint_end(struct endpoint *end)
{
	endpoint_kick(end);
	return endpoint_again(end);
}

static void kick(void *owner)
{
	((struct bed *)owner)->kicks++;
}

static int setup(void **state)
{
	static struct bed bed;
	uint32_t start = 0u - 20; /* so that all of this passes 2^32 */

	bed = (struct bed){ .kicks = 0 };
	ledger_format(&bed.ledger, NULL, 1);
	bed.place.ledger = &bed.ledger;
	atomic_store(&bed.in_prod, start);
	atomic_store(&bed.in_cons, start);
	atomic_store(&bed.out_prod, start);
	atomic_store(&bed.out_cons, start);
	bed.end = (struct endpoint){
		.in = { bed.in, SIZE, &bed.in_prod, &bed.in_cons },
		.out = { bed.out, SIZE, &bed.out_prod, &bed.out_cons },
		.kick = kick,
		.owner = &bed,
	};
	*state = &bed;
	return 0;
}

static void add(ledger_word *word, uint32_t n)
{
	atomic_fetch_add(word, n);
}

static void consume(struct bed *bed, uint32_t len)
{
	struct commit commit;

	commit_begin(&commit, &bed->place);
	endpoint_consume(&bed->end, &commit, len);
	commit_end(&commit);
}

static void produce(struct bed *bed, uint32_t len)
{
	struct commit commit;

	commit_begin(&commit, &bed->place);
	endpoint_produce(&bed->end, &commit, len);
	commit_end(&commit);
}

static void an_idle_turn_wakes_nobody(void **state)
{
	struct bed *bed = *state;

	add(&bed->in_prod, 5);
	assert_int_equal(endpoint_begin(&bed->end), 0);
	assert_int_equal(ring_used(&bed->end.in_view), 5);
	assert_int_equal(ring_room(&bed->end.out, &bed->end.out_view), SIZE);
	assert_false(endpoint_end(&bed->end));
	assert_int_equal(bed->kicks, 0);
}

static void steps_move_words_and_view(void **state)
{
	struct bed *bed = *state;

	add(&bed->in_prod, 50);
	endpoint_begin(&bed->end);
	consume(bed, 30);
	consume(bed, 20);
	produce(bed, 7);
	produce(bed, 8);
	assert_int_equal(ring_used(&bed->end.in_view), 0);
	assert_int_equal(ring_used(&bed->end.out_view), 15);
	assert_int_equal(word_get(&bed->in_cons), word_get(&bed->in_prod));
	assert_int_equal(word_get(&bed->out_prod) - word_get(&bed->out_cons), 15);
}

static void both_moves_fit_one_commit(void **state)
{
	struct bed *bed = *state;
	struct commit commit;

	add(&bed->in_prod, 50);
	endpoint_begin(&bed->end);
	commit_begin(&commit, &bed->place);
	endpoint_consume(&bed->end, &commit, 10);
	endpoint_consume(&bed->end, &commit, 10);
	endpoint_produce(&bed->end, &commit, 3);
	assert_int_equal(commit.n, 2);
	assert_int_equal(word_get(&bed->in_cons), 0u - 20);
	commit_end(&commit);
	assert_int_equal(word_get(&bed->in_cons), 0);
	assert_int_equal(word_get(&bed->out_prod), 0u - 17);
}

static void what_was_sent_wakes(void **state)
{
	struct bed *bed = *state;

	endpoint_begin(&bed->end);
	produce(bed, 1);
	produce(bed, 1);
	assert_false(endpoint_end(&bed->end));
	assert_int_equal(bed->kicks, 1);
	/* Only in the turn that sent it. */
	endpoint_begin(&bed->end);
	assert_false(endpoint_end(&bed->end));
	assert_int_equal(bed->kicks, 1);
}

static void reading_wakes_only_who_saw_a_full_queue(void **state)
{
	struct bed *bed = *state;

	add(&bed->in_prod, SIZE - 1);
	endpoint_begin(&bed->end);
	consume(bed, SIZE - 1);
	assert_false(endpoint_end(&bed->end));
	assert_int_equal(bed->kicks, 0);

	add(&bed->in_prod, SIZE);
	endpoint_begin(&bed->end);
	consume(bed, 1);
	assert_false(endpoint_end(&bed->end));
	assert_int_equal(bed->kicks, 1);
}

/* The other side filled the queue after the turn had loaded its index, and went to sleep. */
static void filled_while_we_were_reading(void **state)
{
	struct bed *bed = *state;

	add(&bed->in_prod, 10);
	endpoint_begin(&bed->end);
	add(&bed->in_prod, SIZE - 10);
	consume(bed, 10);
	assert_true(endpoint_end(&bed->end)); /* and there is more to read */
	assert_int_equal(bed->kicks, 1);
}

/* Full, but nothing was taken: who waits for room waits on. */
static void nothing_read_wakes_nobody(void **state)
{
	struct bed *bed = *state;

	add(&bed->in_prod, SIZE);
	endpoint_begin(&bed->end);
	assert_false(endpoint_end(&bed->end));
	assert_int_equal(bed->kicks, 0);
}

static void news_during_the_turn(void **state)
{
	struct bed *bed = *state;

	endpoint_begin(&bed->end);
	add(&bed->in_prod, 1);
	assert_true(endpoint_end(&bed->end));
	endpoint_begin(&bed->end);
	assert_false(endpoint_end(&bed->end));
}

static void room_counts_only_for_who_missed_it(void **state)
{
	struct bed *bed = *state;

	add(&bed->out_prod, SIZE);
	endpoint_begin(&bed->end);
	add(&bed->out_cons, 1);
	assert_false(endpoint_end(&bed->end));

	add(&bed->out_prod, 1);
	endpoint_begin(&bed->end);
	bed->end.starved = true;
	assert_false(endpoint_end(&bed->end));
	endpoint_begin(&bed->end);
	assert_false(bed->end.starved);
	bed->end.starved = true;
	add(&bed->out_cons, 1);
	assert_true(endpoint_end(&bed->end));
}

static void broken_indexes(void **state)
{
	struct bed *bed = *state;

	add(&bed->in_prod, SIZE + 1);
	assert_int_equal(endpoint_begin(&bed->end), -EIO);
	add(&bed->in_cons, 1);
	assert_int_equal(endpoint_begin(&bed->end), 0);
	add(&bed->out_cons, 1);
	assert_int_equal(endpoint_begin(&bed->end), -EIO);
}

/* hvmloader sets all indexes to 0 between two turns. */
static void indexes_are_not_kept_between_turns(void **state)
{
	struct bed *bed = *state;

	add(&bed->in_prod, 30);
	endpoint_begin(&bed->end);
	consume(bed, 30);
	endpoint_end(&bed->end);
	atomic_store(&bed->in_prod, 4);
	atomic_store(&bed->in_cons, 0);
	atomic_store(&bed->out_prod, 0);
	atomic_store(&bed->out_cons, 0);
	assert_int_equal(endpoint_begin(&bed->end), 0);
	assert_int_equal(ring_used(&bed->end.in_view), 4);
	consume(bed, 4);
	produce(bed, 2);
	assert_int_equal(word_get(&bed->in_cons), 4);
	assert_int_equal(word_get(&bed->out_prod), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
	static const struct CMUnitTest tests[] = {
		TEST(an_idle_turn_wakes_nobody),
		TEST(steps_move_words_and_view),
		TEST(both_moves_fit_one_commit),
		TEST(what_was_sent_wakes),
		TEST(reading_wakes_only_who_saw_a_full_queue),
		TEST(filled_while_we_were_reading),
		TEST(nothing_read_wakes_nobody),
		TEST(news_during_the_turn),
		TEST(room_counts_only_for_who_missed_it),
		TEST(broken_indexes),
		TEST(indexes_are_not_kept_between_turns),
	};

	return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
