// SPDX-License-Identifier: MIT
/*
 * The watches of a connection: that only upstream's OK makes one, the order of registration
 * whatever is under way, duplicates, RESET_WATCHES, paging, and memory that runs out.
 */
#include <errno.h>

#include "tests/unit/watch_bed.h"

static uint32_t gencnt(const struct bed *bed)
{
	return word_get(&bed->ledger->watch_gen);
}

static void exists_from_upstreams_ok_on(void **state)
{
	struct bed *bed = *state;
	struct watches set;
	uint32_t gen = gencnt(bed);
	int slot;

	init(bed, &set);
	slot = ask_pair(bed, &set, XS_WATCH, "/a", "t");
	assert_list(&set, "");
	assert_int_equal(set.intents, 1);
	assert_int_equal(gencnt(bed), gen);
	answer(bed, &set, slot, true);
	assert_list(&set, "/a t;");
	assert_int_equal(set.intents, 0);
	assert_int_not_equal(gencnt(bed), gen);

	gen = gencnt(bed);
	slot = ask_pair(bed, &set, XS_UNWATCH, "/a", "t");
	assert_list(&set, "/a t;");
	answer(bed, &set, slot, true);
	assert_list(&set, "");
	assert_int_not_equal(gencnt(bed), gen);
	watches_fini(&set);
}

static void refused_requests_change_nothing(void **state)
{
	struct bed *bed = *state;
	struct watches set;
	uint32_t gen, used;

	init(bed, &set);
	watch(bed, &set, "/a", "t");
	gen = gencnt(bed);
	used = set.log.used;
	answer(bed, &set, ask_pair(bed, &set, XS_WATCH, "/b", "t"), false);
	answer(bed, &set, ask_pair(bed, &set, XS_WATCH, "/a", "t"), false);
	answer(bed, &set, ask_pair(bed, &set, XS_UNWATCH, "/b", "t"), false);
	answer(bed, &set, ask_pair(bed, &set, XS_UNWATCH, "/a", "t"), false);
	assert_list(&set, "/a t;");
	assert_int_equal(gencnt(bed), gen);
	assert_int_equal(set.log.used, used);
	watches_fini(&set);
}

static void a_duplicate_changes_nothing(void **state)
{
	struct bed *bed = *state;
	struct watches set;
	int first, second, third;

	init(bed, &set);
	/* Both on their way at once; upstream says OK and EEXIST. */
	first = ask_pair(bed, &set, XS_WATCH, "x", "t");
	second = ask_pair(bed, &set, XS_WATCH, "/local/domain/7/x", "t");
	third = ask_pair(bed, &set, XS_WATCH, "z", "t");
	answer(bed, &set, first, true);
	answer(bed, &set, second, false);
	answer(bed, &set, third, true);
	assert_list(&set, "x t;z t;");
	watches_fini(&set);
}

/* A guest pipelines: upstream's list results, whatever is on its way at the same time. */
static void intents_resolve_in_order(void **state)
{
	struct bed *bed = *state;
	struct watches set;
	int slot[6];

	init(bed, &set);
	watch(bed, &set, "a", "t");
	watch(bed, &set, "b", "t");
	slot[0] = ask_pair(bed, &set, XS_UNWATCH, "a", "t");
	slot[1] = ask_pair(bed, &set, XS_WATCH, "a", "t");
	slot[2] = ask_pair(bed, &set, XS_WATCH, "c", "t");
	slot[3] = ask_pair(bed, &set, XS_UNWATCH, "c", "t");
	slot[4] = ask_pair(bed, &set, XS_UNWATCH, "c", "t");
	slot[5] = ask_pair(bed, &set, XS_WATCH, "c", "t");
	answer(bed, &set, slot[0], true);
	assert_list(&set, "b t;");
	answer(bed, &set, slot[1], true);
	assert_list(&set, "b t;a t;");
	answer(bed, &set, slot[2], true);
	answer(bed, &set, slot[3], true);
	assert_list(&set, "b t;a t;");
	answer(bed, &set, slot[4], false);
	answer(bed, &set, slot[5], true);
	assert_list(&set, "b t;a t;c t;");
	watches_fini(&set);
}

static void without_memory(void **state)
{
	static char payload[1400];
	struct bed *bed = *state;
	struct watches set;
	struct commit commit;
	uint32_t pos;

	bed_bound(bed, 3);
	init(bed, &set);
	memset(payload, 'x', sizeof(payload));
	payload[700] = payload[sizeof(payload) - 1] = 0;
	answer(bed, &set, ask(bed, &set, XS_WATCH, payload, sizeof(payload)), true);
	bed_exhaust(bed, account_alloc);
	payload[0] = 'y';
	commit_begin(&commit, &bed->place);
	assert_int_equal(watch_intend(&set, &commit, (uint8_t *)payload, sizeof(payload), 0, &pos),
			 -ENOMEM);
	commit_end(&commit);
	assert_int_equal(set.intents, 0);
	assert_int_equal(set.count, 1);
	watches_fini(&set);
}

/* RESET_WATCHES: the confirmed ones are gone, those that were asked for later are not. */
static void forgetting_spares_intents(void **state)
{
	struct bed *bed = *state;
	struct watches set;
	struct commit commit;
	int a, b;

	init(bed, &set);
	watch(bed, &set, "a", "t");
	watch(bed, &set, "b", "t");
	a = ask_pair(bed, &set, XS_WATCH, "a", "t");
	b = ask_pair(bed, &set, XS_UNWATCH, "b", "t");
	commit_begin(&commit, &bed->place);
	commit_set(&commit, &bed->ledger->epoch, word_get(&bed->ledger->epoch) + 1);
	commit_end(&commit);
	watches_forget(&set);
	assert_list(&set, "");
	answer(bed, &set, a, true);
	answer(bed, &set, b, false);
	assert_list(&set, "a t;");
	watches_fini(&set);
}

static void paging(void **state)
{
	struct bed *bed = *state;
	struct watches set;
	char path[20];

	init(bed, &set);
	for (int i = 0; i < 100; i++) {
		sprintf(path, "%d", i);
		watch(bed, &set, path, "t");
	}
	srand(4);
	for (int i = 0; i < 500; i++) {
		uint32_t index = (uint32_t)rand() % 110, len, want = index;
		const struct watch *w;

		/* In the middle of it the list changes below, above and at the cursor. */
		if (i % 50 == 10)
			unwatch(bed, &set, "20", "t");
		if (i % 50 == 40)
			watch(bed, &set, "20", "t"); /* now the last one */
		w = watches_from(&set, index);
		if (index >= set.count) {
			assert_null(w);
			continue;
		}
		assert_non_null(w);
		if (set.count == 99)
			want += index >= 20;
		else if (i >= 40)
			want = index == 99 ? 20 : index + (index >= 20);
		sprintf(path, "%u", want);
		assert_string_equal(watch_text(&set, w, &len), path);
	}
	watches_fini(&set);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BED_TEST(exists_from_upstreams_ok_on),
		BED_TEST(refused_requests_change_nothing),
		BED_TEST(a_duplicate_changes_nothing),
		BED_TEST(intents_resolve_in_order),
		BED_TEST(without_memory),
		BED_TEST(forgetting_spares_intents),
		BED_TEST(paging),
	};

	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
