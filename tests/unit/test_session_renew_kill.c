// SPDX-License-Identifier: MIT
/*
 * An xsproxyd may die while sessions part from a xenstored or make anew what they have at another
 * one: the next one begins once more, with the same one or with none of it, and in the end each
 * watch is there once, each transaction conflicts, and the guest has seen nothing.
 */
#include "protocol/table.h"
#include "proxy/session/watch_entry.h"
#include "tests/unit/kill_point.h"
#include "tests/unit/session_anew.h"

/* A guest with as much as does not fit the ring at once; one watch is larger than it. */
static const char *const names[] = { "data", "/local/domain/7/a", "@introduceDomain", "b/c", "/" };

#define WATCHES	  8
#define STARTS	  3
#define LARGE	  5 /* this watch */
#define LARGE_LEN 1400

static uint32_t watch_text_of(uint32_t i, char *text)
{
	uint32_t n = (uint32_t)sprintf(text, "%s", names[i % 5]) + 1;

	if (i == LARGE) {
		memset(text + n, 't', LARGE_LEN);
		n += LARGE_LEN;
	} else {
		n += (uint32_t)sprintf(text + n, "token-%u", i);
	}
	text[n++] = 0;
	return n;
}

/* The daemon before takes and answers it, in pieces. */
static void register_one(struct rig *rig, uint32_t i)
{
	static struct anew before;
	struct message msg = make_message(XS_WATCH, 77, 0, "", 0);
	uint32_t n = 0, left;

	before = (struct anew){ .rig = rig };
	msg.hdr.len = watch_text_of(i, (char *)msg.payload);
	left = 2 * MESSAGE_HEADER + 3 + msg.hdr.len; /* its answer and first event */
	while (left) {
		n += queue_put(&rig->guest_out, (uint8_t *)&msg + n, message_size(&msg.hdr) - n);
		anew_lives(&before);
		left -= queue_get(&rig->guest_in, before.half.payload, left);
	}
}

struct bed {
	struct rig rig;
	struct anew before, after, other;
	bool half; /* the guest has sent a part of a request */
};

#define REQUEST "data/xyz"
#define HALF	4 /* octets of it that are there */

static void bed_open(struct bed *bed, bool half)
{
	char text[8];

	rig_open(&bed->rig, 7, 0u - 300);
	for (uint32_t i = 0; i < WATCHES; i++)
		register_one(&bed->rig, i);
	bed->before = (struct anew){ .rig = &bed->rig, .next_tx = STARTS };
	for (uint32_t i = 1; i <= STARTS; i++) {
		sprintf(text, "%u", i);
		rig_exchange(&bed->rig, XS_TRANSACTION_START, 0, "", 1, XS_TRANSACTION_START, text);
		bed->before.tx[bed->before.txs++] = i;
	}
	bed->half = half;
	if (half) {
		struct message msg = make_message(XS_READ, 9, 0, REQUEST, sizeof(REQUEST));

		queue_put(&bed->rig.guest_out, &msg, MESSAGE_HEADER + HALF);
		rig_run(&bed->rig);
	}
	bed->rig.daemon.paused = true;
}

/* With a daemon that has all that the session has; nothing is under way. */
static void assert_whole(struct bed *bed, const struct anew *daemon, bool told)
{
	struct session *s = bed->rig.s;
	const struct watch *watch = watches_from(&s->watches, 0);
	char text[4096];
	uint32_t len;

	assert_true(renew_rests(s) && !s->watches.intents);
	assert_int_equal(word_get(&s->ledger->pending_mask), 0);
	assert_int_equal(s->watches.count, WATCHES);
	assert_int_equal(HASH_COUNT(s->watches.table), WATCHES);
	assert_int_equal(s->fifo.waiting.events | s->fifo.waiting.replies, 0);
	assert_int_equal(daemon->watches, told ? WATCHES : 0);
	for (uint32_t i = 0; i < WATCHES; i++, watch = watch_next(watch)) {
		len = watch_text_of(i, text);
		assert_memory_equal(watch_text(&s->watches, watch, &len), text, len);
		if (told)
			assert_message(&daemon->watch[i], XS_WATCH, 0, text, len);
	}
	/* One that was begun twice is open once more than it should; not one less, or another. */
	assert_int_equal(transaction_count(&s->transactions), STARTS);
	for (uint32_t slot = 0; slot < STARTS; slot++) {
		uint32_t n = 0, upstream = transaction_at(&s->transactions, (int)slot)->upstream;

		for (uint32_t i = 0; i < daemon->txs; i++)
			n += daemon->tx[i] == upstream;
		assert_int_equal(n, 1);
	}
	assert_true(daemon->txs == STARTS);
}

/* It conflicts if it is not the one that the guest has opened; else it may be as it was. */
static void finish_transaction(struct bed *bed, struct anew *daemon, uint32_t id)
{
	struct rig *rig = &bed->rig;
	struct transactions *all = &rig->s->transactions;
	const struct ledger_tx *tx = transaction_at(all, transaction_find(all, id));
	bool conflicts = tx->flags & TRANSACTION_CONFLICT;

	assert_true(conflicts || (daemon == &bed->before && tx->upstream == id));
	GUEST_SENDS(rig, XS_TRANSACTION_END, id, id, "T");
	anew_lives(daemon);
	if (conflicts)
		GUEST_GETS(rig, XS_ERROR, id, id, "EAGAIN");
	else
		GUEST_GETS(rig, XS_TRANSACTION_END, id, id, "OK");
}

/* Everybody goes on: what the guest has open conflicts, and it hears of its watches. */
static void finish(struct bed *bed, struct anew *daemon)
{
	struct rig *rig = &bed->rig;

	rig->daemon.paused = false;
	rig_run(rig);
	assert_guest_idle(rig);
	assert_stored_idle(rig);
	if (bed->half) {
		queue_put(&rig->guest_out, REQUEST + HALF, sizeof(REQUEST) - HALF);
		rig_run(rig);
		STORED_SENDS(rig, XS_READ, STORED_GETS(rig, XS_READ, 0, REQUEST), 0, "value");
		rig_run(rig);
		GUEST_GETS(rig, XS_READ, 9, 0, "value");
	}
	for (uint32_t i = 1; i <= STARTS; i++)
		finish_transaction(bed, daemon, i);
	assert_int_equal(daemon->txs, 0);
	anew_says(daemon, XS_WATCH_EVENT, 0, 0, "data\0token-0", 13);
	anew_lives(daemon);
	GUEST_GETS(rig, XS_WATCH_EVENT, 0, 0, "data\0token-0");
	assert_guest_idle(rig);
}

/* --- a stage, and death in it */

enum stage { PART, RETURN, UNDO };

static long stores;

static void count_store(void *arg)
{
	stores++;
	(void)arg;
}

static void begin_stage(struct bed *bed, enum stage stage)
{
	if (stage == PART)
		renew_part(bed->rig.s);
	else
		renew_begin(bed->rig.s, stage == RETURN);
}

static void run_once(void *arg)
{
	rig_turn(arg);
}

static void forget_once(void *arg)
{
	renew_forget(((struct rig *)arg)->s);
}

/* Return: whether it died in @fn, at the store number @at of its life. */
static bool dies(struct bed *bed, long at, void (*fn)(void *arg))
{
	if (!die_at_store(at < stores ? -1 : at - stores, fn, &bed->rig))
		return false;
	rig_die(&bed->rig);
	return true;
}

/* Return: whether it died. */
static bool run_stage(struct bed *bed, struct anew *daemon, long at)
{
	bool moved = true;

	for (int n = 0; moved; n++) {
		assert_true(n < 3000);
		if (dies(bed, at, run_once))
			return true;
		moved = anew_reads(daemon);
		/* It takes what there is, and has an answer for each, but writes one at a time. */
		while (anew_reads(daemon))
			;
		moved = anew_writes(daemon) || moved || bed->rig.s->task.queued;
	}
	return false;
}

/* What the process that follows does with what it finds. */
enum next {
	SAME_DAEMON, /* goes on with it */
	OTHER_DAEMON /* RETURN: it has ended, too */
};

struct life {
	enum stage stage;
	enum next next;
	bool half;
	int lag; /* how much the daemon does before the next process is there */
};

static void follow(struct bed *bed, const struct life *life, struct anew **daemon)
{
	for (int i = 0; i < life->lag; i++) {
		anew_reads(*daemon);
		anew_writes(*daemon);
	}
	assert_int_equal(rig_revive(&bed->rig), 0);
	/* It runs before the daemon has been found there. */
	if (life->stage == RETURN)
		renew_expect(bed->rig.s);
	rig_run(&bed->rig);
	if (life->next == OTHER_DAEMON) {
		renew_forget(bed->rig.s);
		*daemon = &bed->other;
		anew_begins(*daemon, &bed->rig);
	}
	begin_stage(bed, life->stage == PART ? UNDO : life->stage);
}

/* Die at the store number @at, and the next one @gap stores later (-1: it lives). Return: whether
 * the first one died. */
static bool live(const struct life *life, long at, long gap)
{
	static struct bed bed;
	struct anew *daemon = &bed.before;
	bool died;

	bed_open(&bed, life->half);
	if (life->stage != PART) {
		renew_part(bed.rig.s);
		anew_lives(daemon);
		assert_int_equal(daemon->ends, STARTS);
	}
	if (life->stage == RETURN) {
		renew_forget(bed.rig.s);
		daemon = &bed.after;
		anew_begins(daemon, &bed.rig);
	}
	stores = 0;
	kill_point_visit = count_store;
	begin_stage(&bed, life->stage);
	died = run_stage(&bed, daemon, at);
	if (died) {
		follow(&bed, life, &daemon);
		stores = 0;
		if (gap >= 0 && run_stage(&bed, daemon, gap))
			follow(&bed, life, &daemon);
	}
	kill_point_visit = NULL;
	if (life->stage == PART && !died) {
		assert_int_equal(daemon->ends, STARTS);
		begin_stage(&bed, UNDO);
	}
	anew_lives(daemon);
	assert_whole(&bed, daemon, life->stage == RETURN);
	finish(&bed, daemon);
	rig_close(&bed.rig);
	return died;
}

static void die_everywhere(enum stage stage, enum next next, long least)
{
	for (int half = 0; half < 2; half++) {
		for (int lag = 0; lag < 40; lag += 13) {
			const struct life life = { stage, next, half, lag };
			long at = 0;

			while (live(&life, at, at % 5 ? -1 : at / 5))
				at++;
			assert_true(at > least);
		}
	}
}

static void death_while_transactions_are_ended(void **state)
{
	(void)state;
	die_everywhere(PART, SAME_DAEMON, 20);
}

static void death_while_all_is_made_anew(void **state)
{
	(void)state;
	die_everywhere(RETURN, SAME_DAEMON, 100);
}

static void death_of_both(void **state)
{
	(void)state;
	die_everywhere(RETURN, OTHER_DAEMON, 100);
}

static void death_while_transactions_are_opened_again(void **state)
{
	(void)state;
	die_everywhere(UNDO, SAME_DAEMON, 20);
}

static void death_while_it_is_forgotten(void **state)
{
	long at = 0;
	bool died = true;

	(void)state;
	for (; died; at++) {
		static struct bed bed;

		bed_open(&bed, true);
		renew_part(bed.rig.s);
		anew_lives(&bed.before);
		anew_begins(&bed.after, &bed.rig);
		renew_begin(bed.rig.s, true);
		for (int i = 0; i < 9; i++)
			rig_run(&bed.rig);
		stores = 0;
		kill_point_visit = count_store;
		died = dies(&bed, at, forget_once);
		kill_point_visit = NULL;
		if (died) {
			assert_int_equal(rig_revive(&bed.rig), 0);
			renew_forget(bed.rig.s);
		}
		anew_begins(&bed.after, &bed.rig);
		renew_begin(bed.rig.s, true);
		anew_lives(&bed.after);
		assert_whole(&bed, &bed.after, true);
		finish(&bed, &bed.after);
		rig_close(&bed.rig);
	}
	assert_true(at > 8);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(death_while_transactions_are_ended),
		cmocka_unit_test(death_while_all_is_made_anew),
		cmocka_unit_test(death_of_both),
		cmocka_unit_test(death_while_transactions_are_opened_again),
		cmocka_unit_test(death_while_it_is_forgotten),
	};

	return cmocka_run_group_tests_name("session, anew, killed", tests, NULL, NULL);
}
