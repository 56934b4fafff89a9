// SPDX-License-Identifier: MIT
/*
 * One side of a session: when the other side is woken (always when it might wait, never else), when
 * there is new work already, and that indexes are taken anew each turn.
 */
#include <errno.h>

#include "tests/unit/bed.h"

#include "proxy/session/endpoint.h"

#define SIZE 64u

struct side {
	struct endpoint end;
	struct ledger_sock *at; /* the queues' words, where commits may change them */
	uint8_t in[SIZE], out[SIZE];
	struct bed *bed;
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
	((struct side *)owner)->kicks++;
}

static int setup(void **state)
{
	struct side *side = calloc(1, sizeof(*side));
	uint32_t start = 0u - 20; /* so that all of this passes 2^32 */
	void *bed;

	assert_non_null(side);
	bed_open(&bed);
	side->bed = bed;
	side->at = ledger_more(side->bed->ledger)->sock;
	atomic_store(&side->at->in_prod, start);
	atomic_store(&side->at->in_cons, start);
	atomic_store(&side->at->out_prod, start);
	atomic_store(&side->at->out_cons, start);
	side->end = (struct endpoint){
		.in = { side->in, SIZE, &side->at->in_prod, &side->at->in_cons },
		.out = { side->out, SIZE, &side->at->out_prod, &side->at->out_cons },
		.kick = kick,
		.owner = side,
	};
	*state = side;
	return 0;
}

static int teardown(void **state)
{
	struct side *side = *state;
	void *bed = side->bed;

	bed_close(&bed);
	free(side);
	return 0;
}

static void add(ledger_word *word, uint32_t n)
{
	atomic_fetch_add(word, n);
}

static void consume(struct side *side, uint32_t len)
{
	struct commit commit;

	commit_begin(&commit, &side->bed->place);
	endpoint_consume(&side->end, &commit, len);
	commit_end(&commit);
}

static void produce(struct side *side, uint32_t len)
{
	struct commit commit;

	commit_begin(&commit, &side->bed->place);
	endpoint_produce(&side->end, &commit, len);
	commit_end(&commit);
}

static void an_idle_turn_wakes_nobody(void **state)
{
	struct side *side = *state;

	add(&side->at->in_prod, 5);
	assert_int_equal(endpoint_begin(&side->end), 0);
	assert_int_equal(ring_used(&side->end.in_view), 5);
	assert_int_equal(ring_room(&side->end.out, &side->end.out_view), SIZE);
	assert_false(endpoint_end(&side->end));
	assert_int_equal(side->kicks, 0);
}

static void steps_move_words_and_view(void **state)
{
	struct side *side = *state;

	add(&side->at->in_prod, 50);
	endpoint_begin(&side->end);
	consume(side, 30);
	consume(side, 20);
	produce(side, 7);
	produce(side, 8);
	assert_int_equal(ring_used(&side->end.in_view), 0);
	assert_int_equal(ring_used(&side->end.out_view), 15);
	assert_int_equal(word_get(&side->at->in_cons), word_get(&side->at->in_prod));
	assert_int_equal(word_get(&side->at->out_prod) - word_get(&side->at->out_cons), 15);
}

static void both_moves_fit_one_commit(void **state)
{
	struct side *side = *state;
	struct commit commit;

	add(&side->at->in_prod, 50);
	endpoint_begin(&side->end);
	commit_begin(&commit, &side->bed->place);
	endpoint_consume(&side->end, &commit, 10);
	endpoint_consume(&side->end, &commit, 10);
	endpoint_produce(&side->end, &commit, 3);
	assert_int_equal(commit.n, 2);
	assert_int_equal(word_get(&side->at->in_cons), 0u - 20);
	commit_end(&commit);
	assert_int_equal(word_get(&side->at->in_cons), 0);
	assert_int_equal(word_get(&side->at->out_prod), 0u - 17);
}

static void what_was_sent_wakes(void **state)
{
	struct side *side = *state;

	endpoint_begin(&side->end);
	produce(side, 1);
	produce(side, 1);
	assert_false(endpoint_end(&side->end));
	assert_int_equal(side->kicks, 1);
	/* Only in the turn that sent it. */
	endpoint_begin(&side->end);
	assert_false(endpoint_end(&side->end));
	assert_int_equal(side->kicks, 1);
}

static void reading_wakes_only_who_saw_a_full_queue(void **state)
{
	struct side *side = *state;

	add(&side->at->in_prod, SIZE - 1);
	endpoint_begin(&side->end);
	consume(side, SIZE - 1);
	assert_false(endpoint_end(&side->end));
	assert_int_equal(side->kicks, 0);

	add(&side->at->in_prod, SIZE);
	endpoint_begin(&side->end);
	consume(side, 1);
	assert_false(endpoint_end(&side->end));
	assert_int_equal(side->kicks, 1);
}

/* The other side filled the queue after the turn had loaded its index, and went to sleep. */
static void filled_while_we_were_reading(void **state)
{
	struct side *side = *state;

	add(&side->at->in_prod, 10);
	endpoint_begin(&side->end);
	add(&side->at->in_prod, SIZE - 10);
	consume(side, 10);
	assert_true(endpoint_end(&side->end)); /* and there is more to read */
	assert_int_equal(side->kicks, 1);
}

/* Full, but nothing was taken: who waits for room waits on. */
static void nothing_read_wakes_nobody(void **state)
{
	struct side *side = *state;

	add(&side->at->in_prod, SIZE);
	endpoint_begin(&side->end);
	assert_false(endpoint_end(&side->end));
	assert_int_equal(side->kicks, 0);
}

static void news_during_the_turn(void **state)
{
	struct side *side = *state;

	endpoint_begin(&side->end);
	add(&side->at->in_prod, 1);
	assert_true(endpoint_end(&side->end));
	endpoint_begin(&side->end);
	assert_false(endpoint_end(&side->end));
}

static void room_counts_only_for_who_missed_it(void **state)
{
	struct side *side = *state;

	add(&side->at->out_prod, SIZE);
	endpoint_begin(&side->end);
	add(&side->at->out_cons, 1);
	assert_false(endpoint_end(&side->end));

	add(&side->at->out_prod, 1);
	endpoint_begin(&side->end);
	side->end.starved = true;
	assert_false(endpoint_end(&side->end));
	endpoint_begin(&side->end);
	assert_false(side->end.starved);
	side->end.starved = true;
	add(&side->at->out_cons, 1);
	assert_true(endpoint_end(&side->end));
}

static void broken_indexes(void **state)
{
	struct side *side = *state;

	add(&side->at->in_prod, SIZE + 1);
	assert_int_equal(endpoint_begin(&side->end), -EIO);
	add(&side->at->in_cons, 1);
	assert_int_equal(endpoint_begin(&side->end), 0);
	add(&side->at->out_cons, 1);
	assert_int_equal(endpoint_begin(&side->end), -EIO);
}

/* hvmloader sets all indexes to 0 between two turns. */
static void indexes_are_not_kept_between_turns(void **state)
{
	struct side *side = *state;

	add(&side->at->in_prod, 30);
	endpoint_begin(&side->end);
	consume(side, 30);
	endpoint_end(&side->end);
	atomic_store(&side->at->in_prod, 4);
	atomic_store(&side->at->in_cons, 0);
	atomic_store(&side->at->out_prod, 0);
	atomic_store(&side->at->out_cons, 0);
	assert_int_equal(endpoint_begin(&side->end), 0);
	assert_int_equal(ring_used(&side->end.in_view), 4);
	consume(side, 4);
	produce(side, 2);
	assert_int_equal(word_get(&side->at->in_cons), 4);
	assert_int_equal(word_get(&side->at->out_prod), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
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
