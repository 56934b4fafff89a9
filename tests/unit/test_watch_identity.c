// SPDX-License-Identifier: MIT
/*
 * What makes two watches the same, what the daemons make of a payload, how long one may be, and
 * which watch explains an event.
 */
#include <errno.h>

#include "tests/unit/watch_bed.h"

/* Path in its canonical form and token; not the spelling, which is kept. */
static void identity_is_canonical(void **state)
{
	struct bed *bed = *state;
	struct watches set;

	init(bed, &set);
	watch(bed, &set, "data/x", "t");
	watch(bed, &set, "data/x", "T");
	watch(bed, &set, "data/X", "t");
	watch(bed, &set, "@releaseDomain", "t");
	watch(bed, &set, "/", "t");
	assert_list(&set, "data/x t;data/x T;data/X t;@releaseDomain t;/ t;");
	/* Added relative, removed absolute. */
	unwatch(bed, &set, "/local/domain/7/data/x", "t");
	assert_list(&set, "data/x T;data/X t;@releaseDomain t;/ t;");
	unwatch(bed, &set, "/local/domain/7/data/x", "T");
	/* The other way round; what is exported is what the guest wrote. */
	watch(bed, &set, "/local/domain/7/y", "t");
	assert_list(&set, "data/X t;@releaseDomain t;/ t;/local/domain/7/y t;");
	unwatch(bed, &set, "y", "t");
	unwatch(bed, &set, "@releaseDomain", "t");
	unwatch(bed, &set, "/", "t");
	assert_list(&set, "data/X t;");
	/* Those of other domains are others. */
	watch(bed, &set, "/local/domain/70/data/X", "t");
	unwatch(bed, &set, "/local/domain/70/data/X", "t");
	assert_list(&set, "data/X t;");
	watches_fini(&set);
}

/* No path and token may be mistaken for another pair with the same octets in a row. */
static void path_and_token_do_not_run_together(void **state)
{
	struct bed *bed = *state;
	struct watches set;

	init(bed, &set);
	watch(bed, &set, "/a", "bc");
	watch(bed, &set, "/ab", "c");
	watch(bed, &set, "/abc", "");
	watch(bed, &set, "", "");
	assert_int_equal(set.count, 4);
	unwatch(bed, &set, "/ab", "c");
	assert_list(&set, "/a bc;/abc ; ;");
	watches_fini(&set);
}

/* What the daemons make of a payload (docs/daemons.md, "What a WATCH says"). */
static void payloads(void **state)
{
	static const struct {
		const char *octets;
		uint32_t len, kept;
		const char *list; /* if upstream says OK */
	} cases[] = {
		{ "\0", 2, 2, " ;" },		  /* two empty strings: upstream decides */
		{ "/a\0t\0junk", 9, 5, "/a t;" }, /* the C daemon ignores what follows */
		{ "/a\0t\0"
		  "2",
		  7, 7, NULL }, /* depth */
		{ "/a\0t\0"
		  "2\0x",
		  9, 9, NULL },
	};
	struct bed *bed = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct watch_record *record;
		struct watches set;
		int slot;

		init(bed, &set);
		slot = ask(bed, &set, XS_WATCH, cases[i].octets, cases[i].len);
		record = watchlog_at(&set.log, bed->ledger->pending[slot].ref);
		assert_int_equal(record->depth, cases[i].list == NULL);
		if (cases[i].list) {
			assert_int_equal(record->len, cases[i].kept);
			answer(bed, &set, slot, true);
			assert_list(&set, cases[i].list);
		} else {
			assert_memory_equal(record->text,
					    "/a\0t\0"
					    "2",
					    7);
			answer(bed, &set, slot, false);
		}
		watches_fini(&set);
		atomic_store(&bed->ledger->log_tail, 0);
		atomic_store(&bed->ledger->epoch, word_get(&bed->ledger->epoch) + 1);
	}
}

/* What cannot be tracked is not forwarded. */
static void no_watches(void **state)
{
	static const struct {
		const char *octets;
		uint32_t len;
	} cases[] = {
		{ "/a\0t", 4 }, /* token not terminated */
		{ "/a", 3 },	/* no token */
		{ "/a", 2 },	/* not even a path */
		{ "", 0 },
	};
	struct bed *bed = *state;
	struct watches set;
	struct commit commit;
	uint32_t pos;

	init(bed, &set);
	commit_begin(&commit, &bed->place);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(watch_intend(&set, &commit, (const uint8_t *)cases[i].octets,
					      cases[i].len, 0, &pos),
				 -EINVAL);
	assert_int_equal(set.intents, 0);
	watches_fini(&set);
}

static void the_longest_watch(void **state)
{
	static char payload[MESSAGE_WATCH_MAX + 1];
	struct bed *bed = *state;
	struct watches set;
	struct commit commit;
	uint32_t pos = 99, len;

	init(bed, &set);
	memset(payload, 'x', sizeof(payload));
	payload[3000] = payload[MESSAGE_WATCH_MAX - 1] = 0;
	commit_begin(&commit, &bed->place);
	assert_int_equal(
		watch_intend(&set, &commit, (uint8_t *)payload, MESSAGE_WATCH_MAX + 1, 0, &pos),
		-E2BIG);
	commit_end(&commit);
	assert_int_equal(set.intents, 0);
	for (int i = 0; i < 3; i++) {
		payload[0] = (char)('a' + i);
		answer(bed, &set, ask(bed, &set, XS_WATCH, payload, MESSAGE_WATCH_MAX), true);
	}
	assert_int_equal(set.count, 3);
	payload[0] = 'b';
	assert_memory_equal(watch_text(&set, watches_from(&set, 1), &len), payload,
			    MESSAGE_WATCH_MAX);
	assert_int_equal(len, MESSAGE_WATCH_MAX);
	answer(bed, &set, ask(bed, &set, XS_UNWATCH, payload, MESSAGE_WATCH_MAX), true);
	assert_int_equal(set.count, 2);
	watches_fini(&set);
	assert_int_equal(bed_pages_used(bed->pool), 0);
}

static void what_explains_an_event(void **state)
{
	static const struct {
		const char *path, *token;
		bool own, batched;
	} cases[] = {
		{ "data", "t", true, false },
		{ "data/x/y", "t", true, false },
		{ "datax", "t", false, false },
		{ "dat", "t", false, false },
		{ "data", "u", false, false },
		{ "/a/b/c", "t", true, false },
		{ "/a/b", "t", true, false },
		{ "/a", "t", false, false },
		{ "@releaseDomain", "s", true, false },
		{ "/x/y", "b", false, true },
		{ "/x/y", "t", false, false },
		{ "/", "r", true, false },
		{ "/x/y", "r", true, false },
		{ "x", "r", false, false },
		{ "@releaseDomain", "r", false, false },
	};
	struct bed *bed = *state;
	struct watches set;
	uint32_t pos;

	init(bed, &set);
	watch(bed, &set, "/", "r");
	watch(bed, &set, "data", "t");
	watch(bed, &set, "/a/b", "t");
	watch(bed, &set, "@releaseDomain", "s");
	pos = bed->ledger->pending[ask_pair(bed, &set, XS_WATCH, "/x", "b")].ref;
	watchlog_at(&set.log, pos)->batch = 9;
	answer(bed, &set, 0, true);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(watches_explain(&set, cases[i].path, cases[i].token, 9),
				 cases[i].own);
		assert_int_equal(watches_explain(&set, cases[i].path, cases[i].token, 10),
				 cases[i].own || cases[i].batched);
	}
	watches_fini(&set);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BED_TEST(identity_is_canonical),
		BED_TEST(path_and_token_do_not_run_together),
		BED_TEST(payloads),
		BED_TEST(no_watches),
		BED_TEST(the_longest_watch),
		BED_TEST(what_explains_an_event),
	};

	return cmocka_run_group_tests_name("watch, identity", tests, NULL, NULL);
}
