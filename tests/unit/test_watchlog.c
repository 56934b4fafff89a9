// SPDX-License-Identifier: MIT
/*
 * The log of watches: what was appended is found again in order, also by the next process; taking
 * back, further segments, bounds; and that all memory goes back to the pool.
 */
#include <errno.h>
#include <stdio.h>

#include "tests/unit/watchlog_bed.h"

#include "protocol/message.h"

static uint32_t append_text(struct bed *bed, struct watchlog *log, const char *text)
{
	uint32_t pos = append(bed, log, text, (uint32_t)strlen(text) + 1);

	assert_int_not_equal(pos, 0);
	return pos;
}

static void assert_texts(const struct watchlog *log, const char *all)
{
	char seen[200] = "";

	for (uint32_t pos = watchlog_next(log, 0); pos; pos = watchlog_next(log, pos))
		strcat(seen, watchlog_at(log, pos)->text);
	assert_string_equal(seen, all);
}

static void what_is_appended_is_there(void **state)
{
	struct bed *bed = *state;
	struct watch_record *record;
	struct watchlog log;
	struct commit commit;
	uint32_t pos;

	watchlog_init(&log, bed->ledger, &bed->account);
	assert_int_equal(watchlog_next(&log, 0), 0);
	commit_begin(&commit, &bed->place);
	pos = watchlog_append(&log, &commit,
			      "/a\0t\0"
			      "3",
			      7, 1, 42);
	assert_int_not_equal(pos, 0);
	/* It exists from the end of the commit on. */
	assert_int_equal(watchlog_next(&log, 0), 0);
	commit_end(&commit);

	assert_int_equal(watchlog_next(&log, 0), pos);
	assert_int_equal(watchlog_next(&log, pos), 0);
	record = watchlog_at(&log, pos);
	assert_int_equal(record->len, 7);
	assert_memory_equal(record->text,
			    "/a\0t\0"
			    "3",
			    7);
	assert_int_equal(record->depth, 1);
	assert_int_equal(record->batch, 42);
	assert_int_not_equal(word_get(&record->live), word_get(&bed->ledger->epoch));
	assert_int_equal(log.used, watchlog_size(&log, pos));
	watchlog_fini(&log);
}

static void records_keep_their_order(void **state)
{
	struct bed *bed = *state;
	uint32_t pos[300], at = 0;
	struct watchlog log;

	watchlog_init(&log, bed->ledger, &bed->account);
	for (uint32_t i = 0; i < 300; i++) {
		char text[120];

		memset(text, 0, sizeof(text));
		snprintf(text, sizeof(text), "/path/%u", i);
		pos[i] = append(bed, &log, text, 10 + i % 110);
		assert_int_not_equal(pos[i], 0);
	}
	for (uint32_t i = 0; i < 300; i++) {
		char text[20];

		at = watchlog_next(&log, at);
		assert_int_equal(at, pos[i]);
		snprintf(text, sizeof(text), "/path/%u", i);
		assert_string_equal(watchlog_at(&log, at)->text, text);
		assert_int_equal(watchlog_at(&log, at)->len, 10 + i % 110);
	}
	assert_int_equal(watchlog_next(&log, at), 0);
	watchlog_fini(&log);
	assert_int_equal(bed_pages_used(bed->pool), 0);
}

/* Every length at every place, so that each way to end a segment occurs. */
static void records_of_every_length(void **state)
{
	static char text[MESSAGE_WATCH_MAX];
	struct bed *bed = *state;
	struct watchlog log;

	memset(text, 'x', sizeof(text));
	for (uint32_t len = 2; len <= sizeof(text); len += len < 64 ? 1 : 173) {
		uint32_t at = 0, n = 9000 / len + 2;

		atomic_store(&bed->ledger->log_tail, 0);
		watchlog_init(&log, bed->ledger, &bed->account);
		for (uint32_t i = 0; i < n; i++) {
			text[0] = (char)i;
			assert_int_not_equal(append(bed, &log, text, len), 0);
		}
		for (uint32_t i = 0; i < n; i++) {
			at = watchlog_next(&log, at);
			assert_int_not_equal(at, 0);
			assert_int_equal(watchlog_at(&log, at)->len, len);
			assert_int_equal(watchlog_at(&log, at)->text[0], (char)i);
			assert_int_equal(watchlog_at(&log, at)->text[len - 1],
					 len == 1 ? (char)i : 'x');
		}
		assert_int_equal(watchlog_next(&log, at), 0);
		watchlog_fini(&log);
	}
}

static void most_guests_need_no_extent(void **state)
{
	struct bed *bed = *state;
	struct watchlog log;
	char text[48] = "/local/domain/7/device/vbd/51712/state";

	watchlog_init(&log, bed->ledger, &bed->account);
	for (int i = 0; i < 20; i++)
		append(bed, &log, text, sizeof(text));
	assert_int_equal(bed_pages_used(bed->pool), 0);
}

static void only_the_last_one_can_be_taken_back(void **state)
{
	struct bed *bed = *state;
	struct watchlog log;
	uint32_t a, b, c;

	watchlog_init(&log, bed->ledger, &bed->account);
	a = append_text(bed, &log, "a");
	b = append_text(bed, &log, "b");
	c = append_text(bed, &log, "c");
	undo(bed, &log, a);
	undo(bed, &log, b);
	assert_texts(&log, "abc");
	undo(bed, &log, c);
	assert_texts(&log, "ab");
	undo(bed, &log, b);
	assert_texts(&log, "a");
	assert_int_equal(append_text(bed, &log, "d"), b);
	assert_texts(&log, "ad");
	assert_int_equal(log.used, watchlog_size(&log, a) + watchlog_size(&log, b));
	watchlog_fini(&log);
}

/* Two in one commit, as an UNWATCH of the last watch does. */
static void two_can_be_taken_back_at_once(void **state)
{
	struct bed *bed = *state;
	struct watchlog log;
	struct commit commit;
	uint32_t b, c;

	watchlog_init(&log, bed->ledger, &bed->account);
	append_text(bed, &log, "a");
	b = append_text(bed, &log, "b");
	c = append_text(bed, &log, "c");
	commit_begin(&commit, &bed->place);
	watchlog_undo(&log, &commit, c);
	watchlog_undo(&log, &commit, b);
	assert_texts(&log, "abc");
	commit_end(&commit);
	assert_texts(&log, "a");
	watchlog_fini(&log);
}

static void taking_back_does_not_leak_segments(void **state)
{
	static char text[2000];
	struct bed *bed = *state;
	struct watchlog log;

	watchlog_init(&log, bed->ledger, &bed->account);
	append(bed, &log, text, 1000);
	for (int i = 0; i < 500; i++) {
		uint32_t pos = append(bed, &log, text, sizeof(text));

		assert_int_not_equal(pos, 0);
		undo(bed, &log, pos);
	}
	assert_int_equal(log.used, watchlog_size(&log, watchlog_next(&log, 0)));
	watchlog_fini(&log);
	assert_int_equal(bed_pages_used(bed->pool), 0);
}

static void appending_without_memory_is_an_error(void **state)
{
	static char text[1500];
	struct bed *bed = *state;
	struct watchlog log;
	uint32_t last;

	bed_bound(bed, 3);
	watchlog_init(&log, bed->ledger, &bed->account);
	strcpy(text, "a");
	append(bed, &log, text, sizeof(text));
	last = bed_exhaust(bed, account_alloc);
	assert_int_equal(append(bed, &log, text, sizeof(text)), 0);
	assert_texts(&log, "a");
	account_release(&bed->account, last);
	strcpy(text, "b");
	assert_int_not_equal(append(bed, &log, text, sizeof(text)), 0);
	assert_texts(&log, "ab");
}

/* No more pages than it may have, however many there are; what it has already stays usable. */
static void pages_are_bounded(void **state)
{
	static char text[1300]; /* three a page, one in the ledger */
	struct bed *bed = *state;
	struct watchlog log;
	uint32_t pos = 0;

	watchlog_init(&log, bed->ledger, &bed->account);
	log.most = 2;
	for (int i = 0; i < 1 + 2 * 3; i++) {
		pos = append(bed, &log, text, sizeof(text));
		assert_int_not_equal(pos, 0);
	}
	assert_int_equal(append(bed, &log, text, sizeof(text)), 0);
	assert_int_equal(log.pages, 2);
	assert_int_equal(bed->account.used, 2);
	undo(bed, &log, pos);
	assert_int_equal(append(bed, &log, text, sizeof(text)), pos);
	watchlog_fini(&log);
	assert_int_equal(log.pages, 0);
	assert_int_equal(bed->account.used, 0);
}

/* --- the next process */

static void broken_chains_are_refused(void **state)
{
	static char text[4000];
	struct bed *bed = *state, other;
	struct watchlog log, again;

	watchlog_init(&log, bed->ledger, &bed->account);
	append(bed, &log, text, sizeof(text));
	append(bed, &log, text, sizeof(text));
	assert_int_equal(word_get(&bed->ledger->log_first), 0);

	for (int i = 0; i < 3; i++) {
		/* The first segment's link: to itself, to nowhere, to a page that is not there. */
		uint32_t link[] = { 0, LEDGERS_EXTENTS, UINT32_MAX };

		*(uint32_t *)bed->ledger->log = link[i];
		bed_reopen(bed, &other);
		watchlog_init(&again, other.ledger, &other.account);
		assert_int_equal(watchlog_recover(&again), -EINVAL);
		bed_reclose(&other);
	}
	atomic_store(&bed->ledger->log_first, UINT32_MAX);
	bed_reopen(bed, &other);
	watchlog_init(&again, other.ledger, &other.account);
	assert_int_equal(watchlog_recover(&again), -EINVAL);
	bed_reclose(&other);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BED_TEST(what_is_appended_is_there),
		BED_TEST(records_keep_their_order),
		BED_TEST(records_of_every_length),
		BED_TEST(most_guests_need_no_extent),
		BED_TEST(only_the_last_one_can_be_taken_back),
		BED_TEST(two_can_be_taken_back_at_once),
		BED_TEST(taking_back_does_not_leak_segments),
		BED_TEST(appending_without_memory_is_an_error),
		BED_TEST(pages_are_bounded),
		BED_TEST(broken_chains_are_refused),
	};

	return cmocka_run_group_tests_name("watchlog", tests, NULL, NULL);
}
