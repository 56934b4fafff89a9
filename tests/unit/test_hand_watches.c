// SPDX-License-Identifier: MIT
/*
 * The watches of a connection at a native xenstored are handed to its session: from then on they
 * are as those that it has seen come, whoever asks for them, ends them, or makes them anew.
 */
#include "tests/unit/hand_bed.h"

#include "proxy/session/watch_entry.h"

static struct spelt spelt;

static void spell_texts(void)
{
	spelt.len = spelt.count = 0;
	for (uint32_t i = 0; i < ANEW_TEXTS; i++) {
		const char *path = anew_texts[i].text, *token = path + strlen(path) + 1;

		spelt_add(&spelt, path, token, i == ANEW_DEPTH ? token + strlen(token) + 1 : "");
	}
}

static void hand_watches(struct rig *rig)
{
	const struct conns_view view = spelt_view(&spelt);

	hand(rig, &view);
	assert_int_equal(rig->s->watches.count, spelt.count);
	assert_int_equal(HASH_COUNT(rig->s->watches.table), spelt.count);
	assert_int_equal(rig->s->watches.intents, 0);
	assert_int_equal(word_get(&rig->s->ledger->pending_mask), 0);
}

static void they_are_listed_as_spelt(void **state)
{
	struct rig *rig = *state;
	const struct watch *watch;

	spell_texts();
	hand_watches(rig);
	watch = watches_from(&rig->s->watches, 0);
	for (uint32_t i = 0; i < ANEW_TEXTS; i++, watch = watch_next(watch)) {
		const char *depth = watch_depth(&rig->s->watches, watch);
		uint32_t len, want = anew_texts[i].len - (i == ANEW_DEPTH ? 2 : 0);
		const char *text = watch_text(&rig->s->watches, watch, &len);

		assert_int_equal(len, want);
		assert_memory_equal(text, anew_texts[i].text, len);
		assert_int_equal(watch_batch(&rig->s->watches, watch), 0);
		if (i == ANEW_DEPTH)
			assert_string_equal(depth, "2");
		else
			assert_null(depth);
	}
	assert_null(watch);
}

static void another_xenstored_is_told_of_them(void **state)
{
	static struct anew after;
	struct rig *rig = *state;

	spell_texts();
	rig->daemon.paused = true;
	hand_watches(rig);
	renew_forget(rig->s);
	anew_begins(&after, rig);
	renew(&after, true);
	serve_again(rig);
	assert_int_equal(after.watches, ANEW_TEXTS);
	for (uint32_t i = 0; i < ANEW_TEXTS; i++)
		assert_message(&after.watch[i], XS_WATCH, 0, anew_texts[i].text, anew_texts[i].len);
}

/* The guest ends one, in another spelling, and asks for it once more. */
static void they_end_as_others_do(void **state)
{
	static const char absolute[] = "/local/domain/7/data\0rel";
	struct rig *rig = *state;

	spell_texts();
	hand_watches(rig);
	rig_exchange(rig, XS_UNWATCH, 0, absolute, sizeof(absolute), XS_UNWATCH, "OK");
	assert_int_equal(rig->s->watches.count, ANEW_TEXTS - 1);
	watch(rig, absolute, sizeof(absolute));
	assert_int_equal(rig->s->watches.count, ANEW_TEXTS);
	rig_exchange(rig, XS_RESET_WATCHES, 0, "", 1, XS_RESET_WATCHES, "OK");
	assert_int_equal(rig->s->watches.count, 0);
}

/* Those that xenstored has granted stay, however few there may be by now. */
static void more_than_are_allowed(void **state)
{
	struct rig *rig = *state;
	const struct watch *watch;
	char path[64];

	spelt.len = spelt.count = 0;
	for (uint32_t i = 0; i < 5000; i++) {
		sprintf(path, "%sdata/%u", i % 2 ? "/" : "", i * 7919 % 5000);
		spelt_add(&spelt, path, "some token that is not short", "");
	}
	hand_watches(rig);
	assert_true(spelt.count > rig->daemon.config.watches);
	watch = watches_from(&rig->s->watches, 0);
	for (uint32_t i = 0; i < 5000; i++, watch = watch_next(watch)) {
		uint32_t len;

		sprintf(path, "%sdata/%u", i % 2 ? "/" : "", i * 7919 % 5000);
		assert_string_equal(watch_text(&rig->s->watches, watch, &len), path);
	}
	GUEST_SENDS(rig, XS_WATCH, 1, 0, "more\0t");
	rig_run(rig);
	assert_stored_idle(rig);
	GUEST_GETS(rig, XS_ERROR, 1, 0, "ENOMEM");
	/* Nor are they in the way of what is to come. */
	rig_exchange(rig, XS_READ, 0, "x", 2, XS_READ, "y");
}

static void the_longest(void **state)
{
	static char token[XENSTORE_PAYLOAD_MAX];
	struct rig *rig = *state;

	spelt.len = spelt.count = 0;
	memset(token, 't', MESSAGE_WATCH_MAX - 5 - 1);
	spelt_add(&spelt, "data", token, "");
	token[1] = 0;
	spelt_add(&spelt, "data", token, "");
	hand_watches(rig);
}

/* --- what cannot be, or cannot be kept */

static uint32_t taken;

static int tries(void **state, const char *path, const char *token, const char *depth)
{
	struct conns_view view;
	int err;

	spell_texts();
	spelt_add(&spelt, path, token, depth);
	view = spelt_view(&spelt);
	err = hand_in(((struct rig *)*state)->s, &view);
	taken = ((struct rig *)*state)->s->watches.count;
	open_again(state);
	return err;
}

static void assert_lost(void **state, const char *path, const char *token, const char *depth)
{
	assert_int_equal(tries(state, path, token, depth), 0);
	assert_int_equal(taken, spelt.count - 1);
}

static void no_watches(void **state)
{
	static char text[9000];

	assert_int_equal(tries(state, "other", "t", ""), 0);
	assert_int_equal(tries(state, "other", "t", "07"), 0);
	assert_int_equal(tries(state, "other", "t", "-1"), -EBADMSG);
	assert_int_equal(tries(state, "other", "t", "2x"), -EBADMSG);
	assert_int_equal(tries(state, "other", "t", "2147483647"), 0);
	assert_int_equal(tries(state, "other", "t", "12345678901234567890"), -EBADMSG);
	/* They are there already. */
	assert_int_equal(tries(state, "data", "rel", ""), -EBADMSG);
	assert_int_equal(tries(state, "/local/domain/7/data", "rel", ""), -EBADMSG);
	assert_int_equal(tries(state, "deep", "t", ""), -EBADMSG);
	memset(text, 'x', MESSAGE_WATCH_MAX - 5);
	assert_lost(state, "path", text, "");
	assert_int_equal(tries(state, "path", text + 1, ""), 0);
	assert_int_equal(taken, spelt.count);
	assert_lost(state, "path", text + 1, "1");
	memset(text, 'x', sizeof(text) - 1);
	assert_lost(state, text, "", "");
	assert_lost(state, "path", text, "");
	assert_lost(state, "path", "t", text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		HAND_TEST(they_are_listed_as_spelt),
		HAND_TEST(another_xenstored_is_told_of_them),
		HAND_TEST(they_end_as_others_do),
		HAND_TEST(more_than_are_allowed),
		HAND_TEST(the_longest),
		cmocka_unit_test_setup_teardown(no_watches, hand_setup, rig_teardown),
	};

	return cmocka_run_group_tests_name("hand, watches", tests, NULL, NULL);
}
