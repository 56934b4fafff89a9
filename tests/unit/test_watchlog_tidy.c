// SPDX-License-Identifier: MIT
/*
 * Getting rid of the dead records of a log: what lives keeps its order and is told where it is,
 * what a request under way refers to stays where it is, one page is enough, whatever the log's
 * size, and a process that dies at any store leaves a log that the next one finds whole.
 */
#include <errno.h>
#include <stdio.h>

#include "tests/unit/kill_point.h"
#include "tests/unit/watchlog_bed.h"

#include "proxy/session/pending.h"

#define RECORDS 3000u
#define LEN	84u /* of a record's text; 40 a page */

/* Where each record is, by the number that its text begins with. */
struct places {
	struct watchlog log;
	uint32_t pos[RECORDS + 1];
	bool live[RECORDS + 1];
	uint32_t n, moves;
};

static void moved(void *arg, uint32_t from, uint32_t to)
{
	struct places *places = arg;
	uint32_t i;

	memcpy(&i, watchlog_at(&places->log, from)->text, sizeof(i));
	assert_int_equal(places->pos[i], from);
	places->pos[i] = to;
	places->moves++;
}

static void add(struct bed *bed, struct places *places, uint32_t len, bool live)
{
	static char text[4000];
	uint32_t i = places->n++;

	memset(text, 'x', sizeof(text));
	memcpy(text, &i, sizeof(i));
	places->pos[i] = append(bed, &places->log, text, len);
	assert_int_not_equal(places->pos[i], 0);
	places->live[i] = live;
	set_live(bed, &places->log, places->pos[i], live);
}

static struct places *fill(struct bed *bed, uint32_t n, uint32_t len, uint32_t every)
{
	static struct places places;

	memset(&places, 0, sizeof(places));
	watchlog_init(&places.log, bed->ledger, &bed->account);
	for (uint32_t i = 0; i < n; i++)
		add(bed, &places, len, i % every == 0);
	return &places;
}

static uint32_t live_octets(const struct places *places)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < places->n; i++)
		if (places->live[i])
			sum += watchlog_size(&places->log, places->pos[i]);
	return sum;
}

/* The living are all there, in order, where they were said to be, and no octet of them differs. */
static void assert_places(const struct places *places, const struct watchlog *log)
{
	uint32_t epoch = word_get(&log->ledger->epoch), i = 0, used = 0;

	for (uint32_t pos = watchlog_next(log, 0); pos; pos = watchlog_next(log, pos)) {
		const struct watch_record *record = watchlog_at(log, pos);

		used += watchlog_size(log, pos);
		if (word_get(&record->live) != epoch)
			continue;
		while (i < places->n && !places->live[i])
			i++;
		assert_int_equal(places->pos[i], pos);
		assert_memory_equal(record->text, &i, sizeof(i));
		assert_int_equal(record->text[record->len - 1], 'x');
		i++;
	}
	while (i < places->n)
		assert_false(places->live[i++]);
	assert_int_equal(log->used, used);
}

static void what_lives_keeps_its_order(void **state)
{
	struct bed *bed = *state;
	struct places *places = fill(bed, RECORDS, LEN, 3);
	uint32_t pages = places->log.pages;

	watchlog_at(&places->log, places->pos[3])->batch = 8;
	watchlog_at(&places->log, places->pos[3])->depth = 1;
	assert_int_equal(tidy(bed, &places->log, moved, places), 0);
	assert_places(places, &places->log);
	assert_true(places->log.pages < pages / 2);
	assert_int_equal(places->log.pages, bed->account.used);
	assert_int_equal(watchlog_at(&places->log, places->pos[3])->batch, 8);
	assert_int_equal(watchlog_at(&places->log, places->pos[3])->depth, 1);
	/* It goes on as ever. */
	add(bed, places, LEN, true);
	assert_places(places, &places->log);
	watchlog_fini(&places->log);
	assert_int_equal(bed_pages_used(bed->pool), 0);
}

/* After that no two neighbours would fit one page: what is dead is less than what lives. */
static void what_is_dead_is_bounded(void **state)
{
	static const uint32_t lens[] = { 20, 84, 700, 1300, 2020, 2040, 2100, 4000 };
	struct bed *bed = *state;

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		for (uint32_t every = 1; every < 30; every += 4) {
			struct places *places = fill(bed, 400, lens[i], every);
			uint32_t live = live_octets(places);

			tidy(bed, &places->log, moved, places);
			assert_places(places, &places->log);
			assert_true(places->log.used - live <= live + POOL_PAGE);
			assert_true(places->log.pages <= 2 + 2 * live / 2000);
			watchlog_fini(&places->log);
			atomic_store(&bed->ledger->log_tail, 0);
		}
	}
}

/* A few segments at once, however long the log is. */
static void each_step_is_short(void **state)
{
	struct bed *bed = *state;
	struct places *places = fill(bed, RECORDS, LEN, 4);
	uint32_t steps = 0, before = 0;
	int err;

	do {
		err = watchlog_tidy(&places->log, &bed->place, moved, places);
		assert_in_range(places->moves - before, 0, 64 * 40);
		before = places->moves;
		assert_places(places, &places->log);
		steps++;
	} while (err == -EAGAIN);
	assert_int_equal(err, 0);
	assert_in_range(steps, 3, RECORDS / 40);
	/* No record was moved often. */
	assert_true(places->moves <= RECORDS / 4 * 3);
	watchlog_fini(&places->log);
}

/* Nothing lives: no page is needed at all, and none stays. */
static void the_dead_need_no_memory(void **state)
{
	struct bed *bed = *state;
	struct places *places = fill(bed, RECORDS, LEN, RECORDS);

	set_live(bed, &places->log, places->pos[0], false);
	places->live[0] = false;
	while (pool_alloc_vital(bed->pool))
		;
	assert_true(watchlog_home(&places->log, &bed->place, 0, moved, places));
	assert_int_equal(watchlog_next(&places->log, 0), 0);
	assert_int_equal(places->log.used, 0);
	assert_int_equal(bed->account.used, 0);
	assert_int_equal(word_get(&bed->ledger->log_first), 0);
	add(bed, places, LEN, true);
	assert_places(places, &places->log);
}

/* Small again: the log returns to the ledger page, and every extent to the pool. */
static void home_is_the_ledger(void **state)
{
	struct bed *bed = *state;
	struct places *places = fill(bed, 100, LEN, 10);

	/* It begins there, so it cannot yet. */
	assert_false(watchlog_home(&places->log, &bed->place, live_octets(places), moved, places));
	assert_int_equal(tidy(bed, &places->log, moved, places), 0);
	assert_int_not_equal(word_get(&bed->ledger->log_first), 0);
	assert_true(watchlog_home(&places->log, &bed->place, live_octets(places), moved, places));
	assert_int_equal(word_get(&bed->ledger->log_first), 0);
	assert_places(places, &places->log);
	assert_int_equal(bed_pages_used(bed->pool), 0);
}

static void an_old_epoch_is_dead(void **state)
{
	struct bed *bed = *state;
	struct places *places = fill(bed, 200, LEN, 1);

	for (uint32_t i = 0; i < 200; i++)
		places->live[i] = false;
	atomic_store(&bed->ledger->epoch, 2);
	add(bed, places, LEN, true);
	assert_int_equal(tidy(bed, &places->log, moved, places), 0);
	assert_int_equal(places->moves, 1);
	assert_places(places, &places->log);
	watchlog_fini(&places->log);
}

/* Records that requests under way refer to stay where they are, and so do their neighbours. */
static void what_is_referred_to_stays(void **state)
{
	struct bed *bed = *state;
	struct places *places = fill(bed, RECORDS, LEN, 50);
	uint32_t seq = 1, ref[4], left = places->log.used;

	for (uint32_t i = 0; i < 4; i++) {
		struct xsd_sockmsg hdr = { .type = i % 2 ? XS_WATCH : XS_UNWATCH };
		int slot = pending_slot(bed->ledger);
		struct commit commit;

		ref[i] = places->pos[i * 700 + 33];
		pending_fill(bed->ledger, slot, &seq, &hdr, PENDING_FORWARD)->ref = ref[i];
		commit_begin(&commit, &bed->place);
		pending_take(bed->ledger, &commit, slot);
		commit_end(&commit);
	}
	assert_int_equal(tidy(bed, &places->log, moved, places), 0);
	assert_places(places, &places->log);
	for (uint32_t i = 0; i < 4; i++) {
		uint32_t want = i * 700 + 33;

		assert_memory_equal(watchlog_at(&places->log, ref[i])->text, &want, sizeof(want));
	}
	assert_true(places->log.used < left / 4);
	atomic_store(&bed->ledger->pending_mask, 0);
	assert_int_equal(tidy(bed, &places->log, moved, places), 0);
	assert_places(places, &places->log);
	watchlog_fini(&places->log);
}

/* One page is enough, and without it nothing changes. */
static void one_page_is_enough(void **state)
{
	struct bed *bed = *state;
	struct places *places;
	uint32_t last, used;

	bed_bound(bed, RECORDS / 30);
	places = fill(bed, RECORDS, LEN, 3);
	used = places->log.used;
	last = bed_exhaust(bed, account_alloc_vital);
	assert_int_equal(watchlog_tidy(&places->log, &bed->place, moved, places), -ENOMEM);
	assert_int_equal(places->moves, 0);
	assert_int_equal(places->log.used, used);
	assert_places(places, &places->log);
	account_release(&bed->account, last);
	assert_int_equal(tidy(bed, &places->log, moved, places), 0);
	assert_places(places, &places->log);
	assert_true(places->log.used < used / 2);
	/* What it has won can be used. */
	add(bed, places, 4000, true);
}

/* --- the next process */

/* Called for each record that moves; nobody here keeps positions. */
static void moved_nowhere(void *arg, uint32_t from, uint32_t to)
{
	(void)arg;
	(void)from;
	(void)to;
}

static void tidy_once(void *arg)
{
	void **both = arg;
	struct places *places = both[1];

	places->log.at_start = true;
	tidy(both[0], &places->log, moved_nowhere, NULL);
	/* Then it may be small enough. */
	if (live_octets(places) < 1000)
		watchlog_home(&places->log, &((struct bed *)both[0])->place, live_octets(places),
			      moved_nowhere, NULL);
}

/* The texts of the living, in order, as the process that comes next finds them. */
static void assert_next_process(struct bed *bed, const struct places *places)
{
	uint32_t i = 0, epoch = word_get(&bed->ledger->epoch);
	struct watchlog again;
	struct bed other;

	bed_reopen(bed, &other);
	assert_int_equal(ledger_recover(&other.place), 0);
	watchlog_init(&again, other.ledger, &other.account);
	assert_int_equal(watchlog_recover(&again), 0);
	assert_int_equal(again.pages, other.account.used);
	for (uint32_t pos = watchlog_next(&again, 0); pos; pos = watchlog_next(&again, pos)) {
		if (word_get(&watchlog_at(&again, pos)->live) != epoch)
			continue;
		while (i < places->n && !places->live[i])
			i++;
		assert_memory_equal(watchlog_at(&again, pos)->text, &i, sizeof(i));
		i++;
	}
	while (i < places->n)
		assert_false(places->live[i++]);
	bed_reclose(&other);
}

static void death_at_each_store(void **state)
{
	static const uint32_t every[] = { 1, 2, 5, 40, 200 };
	struct bed *bed = *state;

	for (size_t i = 0; i < sizeof(every) / sizeof(every[0]); i++) {
		bool died = true;
		long at;

		for (at = 0; died; at++) {
			struct places *places = fill(bed, 600, LEN, every[i]);
			void *both[] = { bed, places };

			died = die_at_store(at, tidy_once, both);
			assert_next_process(bed, places);
			/* The pages that the dead one had are nobody's now. */
			pool_free(bed->pool);
			assert_int_equal(pool_new_shared(&bed->pool, &bed->ledgers), 0);
			account_init(&bed->account, bed->pool, false, 0);
			ledger_format(bed->ledger, &bed->ledgers, 1);
		}
		assert_true(every[i] == 1 || at > 4);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BED_TEST(what_lives_keeps_its_order), BED_TEST(what_is_dead_is_bounded),
		BED_TEST(each_step_is_short),	      BED_TEST(the_dead_need_no_memory),
		BED_TEST(home_is_the_ledger),	      BED_TEST(an_old_epoch_is_dead),
		BED_TEST(what_is_referred_to_stays),  BED_TEST(one_page_is_enough),
		BED_TEST(death_at_each_store),
	};

	return cmocka_run_group_tests_name("watchlog, tidying", tests, NULL, NULL);
}
