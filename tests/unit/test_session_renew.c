// SPDX-License-Identifier: MIT
/*
 * What a session has at xenstored is ended there, and made anew with another one: in order, as the
 * guest spelt it, and the guest sees nothing of it.
 */
#include "tests/unit/session_anew.h"

/* --- transactions */

static void parting_ends_transactions_and_they_conflict(void **state)
{
	static struct anew before, after;
	struct rig *rig = *state;

	part_from_two(rig, &before);
	assert_int_equal(before.txs, 0);
	assert_int_equal(before.ends, 2);
	assert_int_equal(before.lasts, 0);
	renew_forget(rig->s);

	anew_begins(&after, rig);
	renew(&after, true);
	assert_int_equal(after.txs, 2);
	assert_int_equal(after.lasts, 1);
	serve_again(rig);
	/* 101 and 102 now; the guest knows nothing of that. */
	GUEST_SENDS(rig, XS_READ, 7, 6, "x");
	rig_run(rig);
	STORED_SENDS(rig, XS_READ, STORED_GETS(rig, XS_READ, 102, "x"), 102, "y");
	rig_run(rig);
	GUEST_GETS(rig, XS_READ, 7, 6, "y");
	end_transaction(rig, 5, "T", 101, "OK", "EAGAIN");
	end_transaction(rig, 6, "F", 102, "OK", "OK");
	assert_int_equal(transaction_count(&rig->s->transactions), 0);
}

static const char *refuses_starts(const struct message *msg)
{
	return msg->hdr.type == XS_TRANSACTION_START ? "EQUOTA" : NULL;
}

static void a_transaction_that_cannot_be_opened_conflicts(void **state)
{
	static struct anew before, after;
	struct rig *rig = *state;

	part_from_two(rig, &before);
	renew_forget(rig->s);
	anew_begins(&after, rig);
	after.refuses = refuses_starts;
	renew(&after, true);
	serve_again(rig);
	assert_int_equal(transaction_count(&rig->s->transactions), 2);
	end_transaction(rig, 5, "T", MESSAGE_TX_UNKNOWN, "ENOENT", "EAGAIN");
	end_transaction(rig, 6, "F", MESSAGE_TX_UNKNOWN, "ENOENT", "OK");
	assert_int_equal(transaction_count(&rig->s->transactions), 0);
	/* Others are not touched by it. */
	open_transaction(rig);
	rig_exchange(rig, XS_TRANSACTION_END, 5, "T", 2, XS_TRANSACTION_END, "OK");
}

static void the_daemon_stays(void **state)
{
	static struct anew daemon;
	struct rig *rig = *state;

	watch(rig, "a\0t", 4);
	open_as(rig, "5");
	daemon = (struct anew){ .tx = { 5 }, .txs = 1, .next_tx = 8 };
	part(rig, &daemon);
	renew(&daemon, false);
	assert_int_equal(daemon.watches, 0);
	serve_again(rig);
	assert_int_equal(rig->s->watches.count, 1);
	end_transaction(rig, 5, "T", 9, "OK", "EAGAIN");
}

/* With the daemon that stays, before it has ended all of them. */
static void undone_while_transactions_are_being_ended(void **state)
{
	static struct anew daemon;
	struct rig *rig = *state;

	open_as(rig, "5");
	open_as(rig, "6");
	daemon = (struct anew){ .rig = rig, .tx = { 5, 6 }, .txs = 2, .next_tx = 8 };
	rig->daemon.paused = true;
	renew_part(rig->s);
	rig_run(rig);
	renew(&daemon, false);
	assert_int_equal(daemon.ends, 2);
	assert_int_equal(daemon.txs, 2);
	serve_again(rig);
	end_transaction(rig, 6, "T", 10, "OK", "EAGAIN");
}

/* --- watches */

static void watches_are_registered_in_order(void **state)
{
	static struct anew after;
	struct rig *rig = *state;
	uint32_t gen;

	register_texts(rig);
	gen = word_get(&rig->s->ledger->watch_gen);
	renew_forget(rig->s);
	anew_begins(&after, rig);
	renew(&after, true);
	serve_again(rig);
	assert_int_equal(after.watches, ANEW_TEXTS);
	for (uint32_t i = 0; i < ANEW_TEXTS; i++)
		assert_message(&after.watch[i], XS_WATCH, 0, anew_texts[i].text, anew_texts[i].len);
	assert_int_equal(rig->s->watches.count, ANEW_TEXTS);
	assert_int_equal(word_get(&rig->s->ledger->watch_gen), gen);
}

static void only_the_first_event_is_dropped(void **state)
{
	static struct anew after;
	struct rig *rig = *state;

	register_texts(rig);
	renew_forget(rig->s);
	anew_begins(&after, rig);
	after.twice = true;
	renew(&after, true);
	assert_guest_idle(rig);
	assert_int_equal(rig->s->fifo.waiting.events, ANEW_TEXTS);
	rig->daemon.paused = false;
	rig_run(rig);
	for (uint32_t i = 0; i < ANEW_TEXTS; i++)
		guest_gets(rig, XS_WATCH_EVENT, 0, 0, anew_texts[i].text,
			   i == ANEW_DEPTH ? anew_texts[i].len - 2 : anew_texts[i].len);
	serve_again(rig);
	/* From now on none is dropped. */
	stored_sends(rig, XS_WATCH_EVENT, 0, 0, anew_texts[0].text, anew_texts[0].len);
	rig_run(rig);
	guest_gets(rig, XS_WATCH_EVENT, 0, 0, anew_texts[0].text, anew_texts[0].len);
}

/* Somebody's end is told once, and may have been while nobody watched. */
static void the_end_of_a_domain_is_not_missed(void **state)
{
	static struct anew after;
	struct rig *rig = *state;

	watch(rig, "@releaseDomain\0xl", 18);
	watch(rig, "@releaseDomain/9\0xl", 20);
	watch(rig, "@releaseDomai\0no", 17);
	renew_forget(rig->s);
	anew_begins(&after, rig);
	renew(&after, true);
	rig->daemon.paused = false;
	rig_run(rig);
	GUEST_GETS(rig, XS_WATCH_EVENT, 0, 0, "@releaseDomain\0xl");
	GUEST_GETS(rig, XS_WATCH_EVENT, 0, 0, "@releaseDomain/9\0xl");
	serve_again(rig);
}

static const char *refuses_some(const struct message *msg)
{
	const char *path = (const char *)msg->payload;

	if (msg->hdr.type != XS_WATCH)
		return NULL;
	return !strcmp(path, "/") || !strcmp(path, "data") || !strcmp(path, "deep") ? "EINVAL"
										    : NULL;
}

static const char *refuses_for_quota(const struct message *msg)
{
	return msg->payload[0] == '@' ? "EQUOTA" : NULL;
}

static void a_watch_that_is_refused_is_lost(void **state)
{
	static struct anew after;
	struct rig *rig = *state;
	uint32_t gen, live;

	register_texts(rig);
	gen = word_get(&rig->s->ledger->watch_gen);
	live = rig->s->watches.live;
	renew_forget(rig->s);
	anew_begins(&after, rig);
	after.refuses = refuses_some;
	renew(&after, true);
	serve_again(rig);
	for (int deaths = 0; deaths < 2; deaths++) {
		const struct watch *left = watches_from(&rig->s->watches, 0);
		uint32_t len;

		assert_int_equal(rig->s->watches.count, ANEW_TEXTS - 4);
		assert_true(rig->s->watches.live < live);
		assert_string_equal(watch_text(&rig->s->watches, left, &len), anew_texts[1].text);
		left = watch_next(left);
		assert_string_equal(watch_text(&rig->s->watches, left, &len), anew_texts[2].text);
		left = watch_next(left);
		assert_string_equal(watch_text(&rig->s->watches, left, &len), "");
		assert_null(watch_next(left));
		rig_restart(rig);
	}
	assert_int_not_equal(word_get(&rig->s->ledger->watch_gen), gen);
	/* It may be had again. */
	watch(rig, anew_texts[0].text, anew_texts[0].len);
	assert_int_equal(rig->s->watches.count, ANEW_TEXTS - 3);
}

static const char *refuses_a_third_word(const struct message *msg)
{
	return msg->hdr.len > anew_key(msg) ? "EINVAL" : NULL;
}

/* Its owner gets more events, and the depth is still there for the daemon behind that one. */
static void a_depth_that_is_not_known(void **state)
{
	static struct anew after, behind;
	struct rig *rig = *state;

	register_texts(rig);
	renew_forget(rig->s);
	anew_begins(&after, rig);
	after.refuses = refuses_a_third_word;
	renew(&after, true);
	serve_again(rig);
	assert_int_equal(rig->s->watches.count, ANEW_TEXTS);
	assert_int_equal(after.watches, ANEW_TEXTS);
	assert_int_equal(after.watch[ANEW_TEXTS - 1].hdr.len,
			 anew_key(&after.watch[ANEW_TEXTS - 1]));
	assert_memory_equal(after.watch[ANEW_TEXTS - 1].payload, anew_texts[ANEW_DEPTH].text,
			    anew_texts[ANEW_DEPTH].len - 2);
	rig->daemon.paused = true;
	renew_forget(rig->s);
	anew_begins(&behind, rig);
	renew(&behind, true);
	serve_again(rig);
	assert_int_equal(behind.watches, ANEW_TEXTS);
	assert_int_equal(behind.watch[ANEW_DEPTH].hdr.len, anew_texts[ANEW_DEPTH].len);
}

/* How many it had before says nothing about how many the other daemon allows. */
static void a_refusal_tells_no_quota(void **state)
{
	static struct anew after;
	struct rig *rig = *state;

	register_texts(rig);
	rig->daemon.flavour = RINGS_FLAVOUR_OCAML;
	renew_forget(rig->s);
	anew_begins(&after, rig);
	after.refuses = refuses_for_quota;
	renew(&after, true);
	serve_again(rig);
	assert_int_equal(rig->s->watches.count, ANEW_TEXTS - 1);
	assert_int_equal(rig->daemon.watch_quota, 0);
}

static void all_refused(void **state)
{
	static struct anew after;
	struct rig *rig = *state;

	watch(rig, "data\0a", 7);
	watch(rig, "data\0b", 7);
	renew_forget(rig->s);
	anew_begins(&after, rig);
	after.refuses = refuses_some;
	renew(&after, true);
	serve_again(rig);
	assert_int_equal(rig->s->watches.count, 0);
	assert_int_equal(rig->s->watches.live, 0);
	assert_null(rig->s->watches.table);
	assert_int_equal(after.lasts, 1);
}

/* An xsproxyd before us has told the daemon of some; the events have been dropped. */
static void a_watch_that_is_there_is_as_good(void **state)
{
	static struct anew after;
	struct rig *rig = *state;

	register_texts(rig);
	renew_forget(rig->s);
	anew_begins(&after, rig);
	for (uint32_t i = 0; i < ANEW_TEXTS; i += 2)
		after.watch[after.watches++] =
			make_message(XS_WATCH, 0, 0, anew_texts[i].text, anew_texts[i].len);
	renew(&after, true);
	serve_again(rig);
	assert_int_equal(rig->s->watches.count, ANEW_TEXTS);
	assert_int_equal(after.watches, ANEW_TEXTS);
}

static void a_watch_that_is_there_has_no_first_event(void **state)
{
	static struct anew after;
	struct rig *rig = *state;

	watch(rig, "a\0t", 4);
	renew_forget(rig->s);
	anew_begins(&after, rig);
	after.watch[after.watches++] = make_message(XS_WATCH, 0, 0, "a\0t", 4);
	renew_begin(rig->s, true);
	rig_run(rig);
	anew_reads(&after);
	while (anew_reads(&after))
		;
	STORED_SENDS(rig, XS_ERROR, after.said[0].hdr.req_id, 0, "EEXIST");
	after.said_at = 1;
	STORED_SENDS(rig, XS_WATCH_EVENT, 0, 0, "a\0t");
	anew_lives(&after);
	rig->daemon.paused = false;
	rig_run(rig);
	GUEST_GETS(rig, XS_WATCH_EVENT, 0, 0, "a\0t");
	serve_again(rig);
}

/* --- once more */

/* The other daemon ends, too, wherever it was; a third one takes its place. */
static void the_other_daemon_ends_too(void **state)
{
	for (uint32_t steps = 0; steps < 60; steps++) {
		static struct anew before, after, third;
		struct rig *rig = *state;

		register_texts(rig);
		part_from_two(rig, &before);
		renew_forget(rig->s);
		anew_begins(&after, rig);
		renew_begin(rig->s, true);
		anew_lives_for(&after, steps);
		renew_forget(rig->s);
		assert_false(renew_busy(rig->s));
		anew_begins(&third, rig);
		third.next_tx = 200;
		renew(&third, true);
		serve_again(rig);
		assert_int_equal(third.watches, ANEW_TEXTS);
		assert_int_equal(third.txs, 2);
		end_transaction(rig, 5, "T", 201, "OK", "EAGAIN");
		end_transaction(rig, 6, "F", 202, "OK", "OK");
		rig_teardown(state);
		setup(state);
	}
}

/* What an xsproxyd before us has asked is answered while we begin once more. */
static void what_was_asked_before_is_answered_first(void **state)
{
	for (uint32_t steps = 0; steps < 60; steps++) {
		static struct anew before, after;
		struct rig *rig = *state;

		register_texts(rig);
		open_as(rig, "5");
		before = (struct anew){ .tx = { 5 }, .txs = 1 };
		part(rig, &before);
		renew_forget(rig->s);
		anew_begins(&after, rig);
		after.refuses = refuses_some;
		renew_begin(rig->s, true);
		anew_lives_for(&after, steps);
		rig_restart(rig);
		renew(&after, true);
		serve_again(rig);
		assert_int_equal(after.watches, ANEW_TEXTS - 4);
		assert_int_equal(rig->s->watches.count, ANEW_TEXTS - 4);
		assert_int_equal(after.txs, 1);
		end_transaction(rig, 5, "T", 101, "OK", "EAGAIN");
		rig_teardown(state);
		setup(state);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		RENEW_TEST(parting_ends_transactions_and_they_conflict),
		RENEW_TEST(a_transaction_that_cannot_be_opened_conflicts),
		RENEW_TEST(the_daemon_stays),
		RENEW_TEST(undone_while_transactions_are_being_ended),
		RENEW_TEST(watches_are_registered_in_order),
		RENEW_TEST(only_the_first_event_is_dropped),
		RENEW_TEST(the_end_of_a_domain_is_not_missed),
		RENEW_TEST(a_watch_that_is_refused_is_lost),
		RENEW_TEST(a_depth_that_is_not_known),
		RENEW_TEST(a_refusal_tells_no_quota),
		RENEW_TEST(all_refused),
		RENEW_TEST(a_watch_that_is_there_is_as_good),
		RENEW_TEST(a_watch_that_is_there_has_no_first_event),
		RENEW_TEST(the_other_daemon_ends_too),
		RENEW_TEST(what_was_asked_before_is_answered_first),
	};

	return cmocka_run_group_tests_name("session, anew", tests, NULL, NULL);
}
