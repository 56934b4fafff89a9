// SPDX-License-Identifier: MIT
/*
 * What a session has at xenstored is ended there, and made anew with another one: in order, as the
 * guest spelt it, and the guest sees nothing of it.
 */
#include "tests/unit/session_anew.h"
#include "tests/unit/session_holding.h"

static void open_as(struct rig *rig, const char *id)
{
	rig_exchange(rig, XS_TRANSACTION_START, 0, "", 1, XS_TRANSACTION_START, id);
}

/* All that it has with the daemon before is over, as in the stage PART. */
static void part(struct rig *rig, struct anew *before)
{
	rig->daemon.paused = true;
	before->rig = rig;
	renew_part(rig->s);
	anew_lives(before);
	assert_true(renew_rests(rig->s));
}

static void renew(struct anew *a, bool watches)
{
	renew_begin(a->rig->s, watches);
	assert_true(renew_busy(a->rig->s));
	anew_lives(a);
}

/* Everybody goes on. */
static void go_on(struct rig *rig)
{
	assert_true(renew_rests(rig->s));
	rig->daemon.paused = false;
	rig_run(rig);
	assert_guest_idle(rig);
	assert_stored_idle(rig);
	assert_int_equal(word_get(&rig->s->ledger->pending_mask), 0);
	assert_int_equal(rig->s->watches.intents, 0);
}

static void end_transaction(struct rig *rig, uint32_t id, const char *how, uint32_t upstream,
			    const char *says, const char *reply)
{
	struct message msg;

	guest_sends(rig, XS_TRANSACTION_END, 8, id, how, 2);
	rig_run(rig);
	queue_get_message(&rig->stored_in, &msg);
	assert_message(&msg, XS_TRANSACTION_END, upstream, "F", 2);
	stored_sends(rig, says[0] == 'E' ? XS_ERROR : XS_TRANSACTION_END, msg.hdr.req_id, upstream,
		     says, (uint32_t)strlen(says) + 1);
	rig_run(rig);
	guest_gets(rig, reply[0] == 'E' ? XS_ERROR : XS_TRANSACTION_END, 8, id, reply,
		   (uint32_t)strlen(reply) + 1);
}

/* --- transactions */

static void parting_ends_transactions_and_they_conflict(void **state)
{
	static struct anew before, after;
	struct rig *rig = *state;

	open_as(rig, "5");
	open_as(rig, "6");
	before = (struct anew){ .tx = { 5, 6 }, .txs = 2 };
	part(rig, &before);
	assert_int_equal(before.txs, 0);
	assert_int_equal(before.ends, 2);
	assert_int_equal(before.lasts, 0);
	renew_forget(rig->s);

	anew_begins(&after, rig);
	renew(&after, true);
	assert_int_equal(after.txs, 2);
	assert_int_equal(after.lasts, 1);
	go_on(rig);
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

	open_as(rig, "5");
	open_as(rig, "6");
	before = (struct anew){ .tx = { 5, 6 }, .txs = 2 };
	part(rig, &before);
	renew_forget(rig->s);
	anew_begins(&after, rig);
	after.refuses = refuses_starts;
	renew(&after, true);
	go_on(rig);
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
	go_on(rig);
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
	go_on(rig);
	end_transaction(rig, 6, "T", 10, "OK", "EAGAIN");
}

/* --- watches */

static const struct {
	const char *text;
	uint32_t len;
} texts[] = {
	{ "data\0rel", 9 },
	{ "/local/domain/7/device\0abs", 27 },
	{ "@introduceDomain\0new", 21 },
	{ "deep\0t\0002", 9 },
	{ "data\0another", 13 },
	{ "\0", 2 },
	{ "/\0root", 7 },
};

#define DEPTH 3 /* the one that has a depth */
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

static void register_texts(struct rig *rig)
{
	for (uint32_t i = 0; i < TEXTS; i++)
		watch(rig, texts[i].text, texts[i].len);
}

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
	go_on(rig);
	assert_int_equal(after.watches, TEXTS);
	for (uint32_t i = 0; i < TEXTS; i++)
		assert_message(&after.watch[i], XS_WATCH, 0, texts[i].text, texts[i].len);
	assert_int_equal(rig->s->watches.count, TEXTS);
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
	assert_int_equal(rig->s->fifo.waiting.events, TEXTS);
	rig->daemon.paused = false;
	rig_run(rig);
	for (uint32_t i = 0; i < TEXTS; i++)
		guest_gets(rig, XS_WATCH_EVENT, 0, 0, texts[i].text,
			   i == DEPTH ? texts[i].len - 2 : texts[i].len);
	go_on(rig);
	/* From now on none is dropped. */
	stored_sends(rig, XS_WATCH_EVENT, 0, 0, texts[0].text, texts[0].len);
	rig_run(rig);
	guest_gets(rig, XS_WATCH_EVENT, 0, 0, texts[0].text, texts[0].len);
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
	go_on(rig);
}

static const char *refuses_some(const struct message *msg)
{
	const char *path = (const char *)msg->payload;

	if (msg->hdr.type != XS_WATCH)
		return NULL;
	return !strcmp(path, "/") || !strcmp(path, "data") || !strcmp(path, "deep") ? "EINVAL"
										    : NULL;
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
	go_on(rig);
	for (int deaths = 0; deaths < 2; deaths++) {
		const struct watch *left = watches_from(&rig->s->watches, 0);
		uint32_t len;

		assert_int_equal(rig->s->watches.count, TEXTS - 4);
		assert_true(rig->s->watches.live < live);
		assert_string_equal(watch_text(&rig->s->watches, left, &len), texts[1].text);
		left = watch_next(left);
		assert_string_equal(watch_text(&rig->s->watches, left, &len), texts[2].text);
		left = watch_next(left);
		assert_string_equal(watch_text(&rig->s->watches, left, &len), "");
		assert_null(watch_next(left));
		rig_restart(rig);
	}
	assert_int_not_equal(word_get(&rig->s->ledger->watch_gen), gen);
	/* It may be had again. */
	watch(rig, texts[0].text, texts[0].len);
	assert_int_equal(rig->s->watches.count, TEXTS - 3);
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
	go_on(rig);
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
	for (uint32_t i = 0; i < TEXTS; i += 2)
		after.watch[after.watches++] =
			make_message(XS_WATCH, 0, 0, texts[i].text, texts[i].len);
	renew(&after, true);
	go_on(rig);
	assert_int_equal(rig->s->watches.count, TEXTS);
	assert_int_equal(after.watches, TEXTS);
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
	go_on(rig);
}

/* --- once more */

/* The other daemon ends, too, wherever it was; a third one takes its place. */
static void the_other_daemon_ends_too(void **state)
{
	for (uint32_t steps = 0; steps < 60; steps++) {
		static struct anew before, after, third;
		struct rig *rig = *state;

		register_texts(rig);
		open_as(rig, "5");
		open_as(rig, "6");
		before = (struct anew){ .tx = { 5, 6 }, .txs = 2 };
		part(rig, &before);
		renew_forget(rig->s);
		anew_begins(&after, rig);
		renew_begin(rig->s, true);
		for (uint32_t i = 0; i < steps; i++) {
			rig_run(rig);
			anew_reads(&after);
			anew_writes(&after);
		}
		renew_forget(rig->s);
		assert_false(renew_busy(rig->s));
		anew_begins(&third, rig);
		third.next_tx = 200;
		renew(&third, true);
		go_on(rig);
		assert_int_equal(third.watches, TEXTS);
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
		for (uint32_t i = 0; i < steps; i++) {
			rig_run(rig);
			anew_reads(&after);
			anew_writes(&after);
		}
		rig_restart(rig);
		renew(&after, true);
		go_on(rig);
		assert_int_equal(after.watches, TEXTS - 4);
		assert_int_equal(rig->s->watches.count, TEXTS - 4);
		assert_int_equal(after.txs, 1);
		end_transaction(rig, 5, "T", 101, "OK", "EAGAIN");
		rig_teardown(state);
		setup(state);
	}
}

/* --- much of it */

#define MANY 150

static void more_than_slots_and_ring_hold(void **state)
{
	static struct anew before, after;
	struct rig *rig = *state;
	char text[40];

	for (uint32_t i = 0; i < MANY; i++)
		watch(rig, text, (uint32_t)sprintf(text, "data/%u%ctoken", i, 0) + 1);
	for (uint32_t i = 1; i <= 40; i++) {
		sprintf(text, "%u", i);
		open_as(rig, text);
		before.tx[before.txs++] = i;
	}
	part(rig, &before);
	assert_int_equal(before.ends, 40);
	assert_int_equal(before.txs, 0);
	renew_forget(rig->s);
	anew_begins(&after, rig);
	renew(&after, true);
	go_on(rig);
	assert_int_equal(after.watches, MANY);
	assert_int_equal(after.txs, 40);
	for (uint32_t i = 0; i < MANY; i++) {
		sprintf(text, "data/%u", i);
		assert_string_equal((char *)after.watch[i].payload, text);
	}
	end_transaction(rig, 40, "T", 140, "OK", "EAGAIN");
}

/* The third is longer than a ring. */
static uint32_t large_watch(char text[4096], char name)
{
	uint32_t n = name == 'c' ? 3000 : 900;

	memset(text, name, n);
	text[2] = 0;
	text[n - 1] = 0;
	return n;
}

/* With the daemon before, which takes and answers it in pieces; the guest reads both messages. */
static void register_large(struct rig *rig, char name)
{
	static struct anew before;
	static char text[4096];
	struct message msg = make_message(XS_WATCH, 77, 0, text, large_watch(text, name));
	uint32_t n = 0;

	memcpy(msg.payload, text, msg.hdr.len);
	before = (struct anew){ .rig = rig };
	while (n < message_size(&msg.hdr)) {
		n += queue_put(&rig->guest_out, (uint8_t *)&msg + n, message_size(&msg.hdr) - n);
		anew_lives(&before);
	}
	assert_int_equal(before.watches, 1);
	for (int i = 0; i < 2; i++) {
		drain(rig, &rig->guest_in, &msg.hdr, MESSAGE_HEADER, MESSAGE_HEADER);
		for (n = 0; n < msg.hdr.len; anew_lives(&before))
			n += queue_get(&rig->guest_in, msg.payload + n, msg.hdr.len - n);
		assert_int_equal(msg.hdr.type, i ? XS_WATCH_EVENT : XS_WATCH);
	}
	anew_lives(&before);
}

static void assert_large(const struct anew *after)
{
	char text[4096];

	assert_int_equal(after->watches, 5);
	for (char name = 'a'; name <= 'e'; name++)
		assert_message(&after->watch[name - 'a'], XS_WATCH, 0, text,
			       large_watch(text, name));
}

static void larger_than_a_ring(void **state)
{
	static struct anew after;
	struct rig *rig = *state;

	for (char name = 'a'; name <= 'e'; name++)
		register_large(rig, name);
	renew_forget(rig->s);
	anew_begins(&after, rig);
	renew(&after, true);
	go_on(rig);
	assert_large(&after);
	assert_int_equal(rig->s->watches.count, 5);
}

/* A request of its that is there in part waits for nobody, and is whole afterwards. */
static void larger_than_a_ring_beside_half_a_request(void **state)
{
	static const uint32_t parts[] = { 5, MESSAGE_HEADER, 20, 700, 1016 };
	struct message msg = make_message(XS_WRITE, 3, 0, "", 0);

	msg.hdr.len = 1500;
	fill(msg.payload, 1500, 3);
	for (uint32_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		static struct anew after;
		struct rig *rig = *state;
		struct message got;

		register_large(rig, 'c');
		queue_put(&rig->guest_out, &msg, parts[i]);
		rig_run(rig);
		renew_forget(rig->s);
		anew_begins(&after, rig);
		renew(&after, true);
		assert_int_equal(after.watches, 1);
		go_on(rig);
		for (uint32_t n = parts[i], m = 0; m < message_size(&msg.hdr);) {
			n += queue_put(&rig->guest_out, (uint8_t *)&msg + n,
				       message_size(&msg.hdr) - n);
			rig_run(rig);
			m += queue_get(&rig->stored_in, (uint8_t *)&got + m,
				       message_size(&msg.hdr) - m);
			rig_run(rig);
		}
		assert_message(&got, XS_WRITE, 0, msg.payload, 1500);
		STORED_SENDS(rig, XS_WRITE, got.hdr.req_id, 0, "OK");
		rig_run(rig);
		GUEST_GETS(rig, XS_WRITE, 3, 0, "OK");
		rig_teardown(state);
		setup(state);
	}
}

#define RENEW_TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

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
		RENEW_TEST(all_refused),
		RENEW_TEST(a_watch_that_is_there_is_as_good),
		RENEW_TEST(a_watch_that_is_there_has_no_first_event),
		RENEW_TEST(the_other_daemon_ends_too),
		RENEW_TEST(what_was_asked_before_is_answered_first),
		RENEW_TEST(more_than_slots_and_ring_hold),
		RENEW_TEST(larger_than_a_ring),
		RENEW_TEST(larger_than_a_ring_beside_half_a_request),
	};

	return cmocka_run_group_tests_name("session, anew", tests, NULL, NULL);
}
