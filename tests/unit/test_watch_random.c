// SPDX-License-Identifier: MIT
/*
 * A random life of a connection's watches against a model of upstream's list: pipelined WATCH and
 * UNWATCH in both spellings, duplicates, RESET_WATCHES, compaction. After every step the next
 * process recovers the ledger and must know the same; in the end all memory is back in the pool.
 */
#include <stdio.h>

#include "tests/unit/watch_bed.h"

#define KEYS  60 /* path and token pairs */
#define STEPS 6000

struct request {
	uint32_t type;
	uint32_t key;
	bool relative;
	int slot;
};

struct life {
	struct bed *bed;
	struct watches set;
	uint32_t seq;

	/* upstream: requests that it has not answered, and its list in order of registration */
	struct request queue[LEDGER_PENDING];
	uint32_t queued, intents;
	struct request list[KEYS];
	uint32_t count;
};

/* Some pairs are long, so that the log needs many segments. */
static uint32_t make_text(char *to, uint32_t key, bool relative)
{
	uint32_t n = (uint32_t)sprintf(to, "%sk%u", relative ? "" : "/local/domain/7/", key / 2);

	if (key % 7 == 3) {
		memset(to + n, 'x', 900);
		n += 900;
	}
	to[n++] = 0;
	n += (uint32_t)sprintf(to + n, "token%u", key % 2);
	return n + 1;
}

static int find(const struct life *life, uint32_t key)
{
	for (uint32_t i = 0; i < life->count; i++)
		if (life->list[i].key == key)
			return (int)i;
	return -1;
}

static void send(struct life *life)
{
	struct request *req = &life->queue[life->queued];
	struct ledger *ledger = life->bed->ledger;
	struct xsd_sockmsg hdr = { .type = rand() % 5 < 3 ? XS_WATCH : XS_UNWATCH };
	struct ledger_pending *pending;
	struct commit commit;
	char text[1000];
	uint32_t len;

	req->type = hdr.type;
	req->key = (uint32_t)rand() % KEYS;
	req->relative = rand() % 2;
	req->slot = pending_slot(ledger);
	len = make_text(text, req->key, req->relative);
	pending = pending_fill(ledger, req->slot, &life->seq, &hdr, PENDING_FORWARD);
	commit_begin(&commit, &life->bed->place);
	assert_int_equal(intend(&life->set, &commit, hdr.type, text, len, &pending->ref), 0);
	life->intents += pending->ref != 0;
	pending_take(ledger, &commit, req->slot);
	commit_end(&commit);
	life->queued++;
}

/* What upstream does with the oldest request. Return: whether it says OK. */
static bool upstream(struct life *life, const struct request *req)
{
	int at = find(life, req->key);

	if ((req->type == XS_WATCH) == (at >= 0))
		return false; /* EEXIST, ENOENT */
	if (req->type == XS_WATCH) {
		life->list[life->count++] = *req;
		return true;
	}
	life->count--;
	memmove(&life->list[at], &life->list[at + 1],
		(life->count - (uint32_t)at) * sizeof(life->list[0]));
	return true;
}

static void receive(struct life *life)
{
	struct request req = life->queue[0];
	struct ledger *ledger = life->bed->ledger;
	uint32_t pos = ledger->pending[req.slot].ref;
	struct commit commit;

	life->queued--;
	memmove(&life->queue[0], &life->queue[1], life->queued * sizeof(req));
	commit_begin(&commit, &life->bed->place);
	life->intents -= pos != 0;
	if (!upstream(life, &req) && pos)
		watch_refused(&life->set, &commit, pos);
	else if (pos && req.type == XS_WATCH)
		watch_added(&life->set, &commit, pos);
	else if (pos)
		watch_removed(&life->set, &commit, pos);
	pending_drop(ledger, &commit, req.slot);
	commit_end(&commit);
}

static void reset(struct life *life)
{
	ledger_word *epoch = &life->bed->ledger->epoch;
	struct commit commit;

	commit_begin(&commit, &life->bed->place);
	commit_set(&commit, epoch, word_get(epoch) + 1);
	commit_end(&commit);
	watches_forget(&life->set);
	life->count = 0;
}

static void assert_life(const struct life *life, struct watches *set)
{
	const struct watch *watch = watches_from(set, 0);

	assert_int_equal(set->count, life->count);
	assert_int_equal(set->intents, life->intents);
	for (uint32_t i = 0; i < life->count; i++, watch = watch_next(watch)) {
		char text[1000];
		uint32_t want = make_text(text, life->list[i].key, life->list[i].relative), len;

		assert_non_null(watch);
		assert_memory_equal(watch_text(set, watch, &len), text, want);
		assert_int_equal(len, want);
	}
	assert_null(watch);
}

/* A look at any place of the list, from where the last look was, wherever it has changed since. */
static void assert_item(struct life *life)
{
	uint32_t index = (uint32_t)rand() % (life->count + 2), len;
	const struct watch *watch = watches_from(&life->set, index);
	char text[1000];

	if (index >= life->count) {
		assert_null(watch);
		return;
	}
	assert_non_null(watch);
	make_text(text, life->list[index].key, life->list[index].relative);
	assert_string_equal(watch_text(&life->set, watch, &len), text);
	assert_string_equal(watch_text(&life->set, watch, &len) + strlen(text) + 1,
			    text + strlen(text) + 1);
}

static void assert_next_process(const struct life *life, bool count_pages)
{
	struct watches again;
	struct bed other;

	bed_reopen(life->bed, &other);
	watches_init(&again, other.ledger, &other.account, BED_DOMID);
	assert_int_equal(watchlog_recover(&again.log), 0);
	assert_int_equal(watches_recover(&again), 0);
	assert_life(life, &again);
	assert_int_equal(again.live, life->set.live);
	assert_int_equal(again.log.used, life->set.log.used);
	watches_drop(&again);
	if (count_pages)
		assert_int_equal(bed_pages_used(other.pool), bed_pages_used(life->bed->pool));
	bed_reclose(&other);
}

/* Dead records must not pile up: what is dead is bounded by what is live, and a floor. */
static void assert_tidy(const struct life *life)
{
	uint32_t dead = life->set.log.used - life->set.live;

	assert_int_equal(life->set.log.pages, life->bed->account.used);
	if (!life->set.intents)
		assert_true(dead < life->set.live + 3 * POOL_PAGE);
	/* What is referred to may lie in as many pages. */
	assert_true(dead < life->set.live + (3 + LEDGER_PENDING) * POOL_PAGE);
}

static void step(struct life *life)
{
	int what = rand() % 100;

	if (what < 48 && life->queued < LEDGER_PENDING)
		send(life);
	else if (life->queued)
		receive(life);
	if (what == 99)
		reset(life);
	if (what % 20 == 5)
		while (life->queued)
			receive(life);
	while (watches_tidy(&life->set, &life->bed->place))
		;
}

static void live(struct bed *bed, unsigned int seed, bool recover)
{
	struct life life = { .bed = bed, .seq = 1 };

	srand(seed);
	watches_init(&life.set, bed->ledger, &bed->account, BED_DOMID);
	for (int i = 0; i < STEPS; i++) {
		step(&life);
		assert_item(&life);
		if (i % 50 == 0)
			assert_life(&life, &life.set);
		assert_tidy(&life);
		if (recover)
			assert_next_process(&life, false);
	}
	if (recover)
		assert_next_process(&life, true);
	watches_fini(&life.set);
	if (!recover)
		assert_int_equal(bed_pages_used(bed->pool), 0);
}

static void against_the_model(void **state)
{
	live(*state, 5, false);
}

static void with_a_new_process_after_each_step(void **state)
{
	live(*state, 6, true);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BED_TEST(against_the_model),
		BED_TEST(with_a_new_process_after_each_step),
	};

	return cmocka_run_group_tests_name("watch, randomly", tests, NULL, NULL);
}
