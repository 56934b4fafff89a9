/* SPDX-License-Identifier: MIT */
/*
 * The watches of a connection: what identifies one, that only upstream's OK makes one, the order of
 * registration, paging, and a random life against a simple model, looked at by the next process
 * after every step.
 */
#include <errno.h>
#include <stdio.h>

#include "tests/unit/bed.h"

#include "proxy/message.h"
#include "proxy/pending.h"
#include "proxy/watch.h"

/* A request as up.c sends it. Returns its slot. */
static int ask(struct bed *bed, struct watches *set, uint32_t type, const void *payload,
	       uint32_t len)
{
	static uint32_t seq = 1;
	struct xsd_sockmsg hdr = { .type = type, .len = len };
	int slot = pending_slot(bed->ledger);
	struct ledger_pending *pending =
		pending_fill(bed->ledger, slot, &seq, &hdr, PENDING_FORWARD);
	struct commit commit;

	commit_begin(&commit, &bed->place);
	assert_int_equal(watch_intend(set, &commit, payload, len, 0, &pending->ref), 0);
	pending_take(bed->ledger, &commit, slot);
	commit_end(&commit);
	return slot;
}

/* A reply as down.c takes it. */
static void answer(struct bed *bed, struct watches *set, int slot, bool ok)
{
	const struct ledger_pending *pending = &bed->ledger->pending[slot];
	struct commit commit;

	commit_begin(&commit, &bed->place);
	if (!ok)
		watch_refused(set, &commit, pending->ref);
	else if (pending->type == XS_WATCH)
		watch_added(set, &commit, pending->ref);
	else
		watch_removed(set, &commit, pending->ref);
	pending_drop(bed->ledger, &commit, slot);
	commit_end(&commit);
}

/* "path NUL token NUL" */
static uint32_t make(char *to, const char *path, const char *token)
{
	uint32_t n = (uint32_t)sprintf(to, "%s", path) + 1;

	return n + (uint32_t)sprintf(to + n, "%s", token) + 1;
}

static int ask_pair(struct bed *bed, struct watches *set, uint32_t type, const char *path,
		    const char *token)
{
	char payload[256];

	return ask(bed, set, type, payload, make(payload, path, token));
}

static void do_pair(struct bed *bed, struct watches *set, uint32_t type, const char *path,
		    const char *token)
{
	answer(bed, set, ask_pair(bed, set, type, path, token), true);
}

static void watch(struct bed *bed, struct watches *set, const char *path, const char *token)
{
	do_pair(bed, set, XS_WATCH, path, token);
}

static void unwatch(struct bed *bed, struct watches *set, const char *path, const char *token)
{
	do_pair(bed, set, XS_UNWATCH, path, token);
}

/* The list as "path token;path token;" */
static void assert_list(struct watches *set, const char *all)
{
	char seen[500] = "";
	uint32_t n = 0;

	for (const struct watch *w = watches_from(set, 0); w; w = watch_next(w), n++) {
		uint32_t len;
		const char *text = watch_text(set, w, &len);

		assert_int_equal(len, strlen(text) + strlen(text + strlen(text) + 1) + 2);
		sprintf(seen + strlen(seen), "%s %s;", text, text + strlen(text) + 1);
	}
	assert_string_equal(seen, all);
	assert_int_equal(set->count, n);
}

static void init(struct bed *bed, struct watches *set)
{
	watches_init(set, bed->ledger, bed->pool, BED_DOMID);
}

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

/* What the daemons make of a payload (semantics.md, section 1). */
static void payloads(void **state)
{
	static const struct {
		const char *octets;
		uint32_t len, kept;
		const char *list; /* if upstream says OK */
	} cases[] = {
		{ "/a\0t", 4, 0, "" },		  /* token not terminated: refused by both */
		{ "/a", 3, 0, "" },		  /* no token */
		{ "/a", 2, 0, "" },		  /* not even a path */
		{ "", 0, 0, "" },		  /* nothing */
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
		if (!cases[i].kept) {
			assert_int_equal(bed->ledger->pending[slot].ref, 0);
			assert_int_equal(set.intents, 0);
			atomic_store(&bed->ledger->pending_mask, 0);
			continue;
		}
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
	assert_int_equal(bed_pages_used(bed, bed->pool), 0);
}

static void without_memory(void **state)
{
	static char payload[1400];
	struct bed *bed = *state;
	struct watches set;
	struct commit commit;
	uint32_t pos;

	init(bed, &set);
	memset(payload, 'x', sizeof(payload));
	payload[700] = payload[sizeof(payload) - 1] = 0;
	answer(bed, &set, ask(bed, &set, XS_WATCH, payload, sizeof(payload)), true);
	while (pool_alloc(bed->pool))
		;
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

static void what_explains_an_event(void **state)
{
	static const struct {
		const char *path, *token;
		bool own, batched;
	} cases[] = {
		{ "data", "t", true, false },		{ "data/x/y", "t", true, false },
		{ "datax", "t", false, false },		{ "dat", "t", false, false },
		{ "data", "u", false, false },		{ "/a/b/c", "t", true, false },
		{ "/a/b", "t", true, false },		{ "/a", "t", false, false },
		{ "@releaseDomain", "s", true, false }, { "/x/y", "b", false, true },
		{ "/x/y", "t", false, false },
	};
	struct bed *bed = *state;
	struct watches set;
	uint32_t pos;

	init(bed, &set);
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
		BED_TEST_BOTH(exists_from_upstreams_ok_on),
		BED_TEST_BOTH(refused_requests_change_nothing),
		BED_TEST_BOTH(identity_is_canonical),
		BED_TEST_BOTH(path_and_token_do_not_run_together),
		BED_TEST_BOTH(a_duplicate_changes_nothing),
		BED_TEST_BOTH(intents_resolve_in_order),
		BED_TEST_BOTH(payloads),
		BED_TEST_BOTH(the_longest_watch),
		BED_TEST_PRIVATE(without_memory),
		BED_TEST_BOTH(forgetting_spares_intents),
		BED_TEST_BOTH(paging),
		BED_TEST_BOTH(what_explains_an_event),
	};

	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
