// SPDX-License-Identifier: MIT
/*
 * Requests under way: slots come and go with their commit, ids are unique, never 0 and below 2^30,
 * also where the counter wraps and after a restart.
 */
#include "tests/unit/bed.h"

#include "proxy/session/pending.h"

struct requests {
	struct ledger *ledger;
	const struct ledger_place *place;
	uint32_t seq;
};

/* None is under way. */
static struct requests none(void **state, uint32_t seq)
{
	const struct bed *bed = *state;

	ledger_format(bed->ledger, &bed->ledgers, 1);
	return (struct requests){ .ledger = bed->ledger, .place = &bed->place, .seq = seq };
}

/* Return: the slot, or -1. */
static int take(struct requests *reqs, uint32_t req_id, enum pending_kind kind)
{
	struct xsd_sockmsg req = { .type = XS_READ, .req_id = req_id, .tx_id = req_id + 1 };
	int slot = pending_slot(reqs->ledger);
	struct commit commit;

	if (slot < 0)
		return slot;
	pending_fill(reqs->ledger, slot, &reqs->seq, &req, kind);
	commit_begin(&commit, reqs->place);
	pending_take(reqs->ledger, &commit, slot);
	commit_end(&commit);
	return slot;
}

static void drop(struct requests *reqs, int slot)
{
	struct commit commit;

	commit_begin(&commit, reqs->place);
	pending_drop(reqs->ledger, &commit, slot);
	commit_end(&commit);
}

static uint32_t id_of(const struct requests *reqs, int slot)
{
	return reqs->ledger->pending[slot].id;
}

static void a_slot_counts_from_its_commit_on(void **state)
{
	struct xsd_sockmsg req = { .type = XS_WATCH, .req_id = 0x11, .tx_id = 0x22 };
	struct ledger_pending *pending;
	struct commit commit;
	struct requests reqs;

	reqs = none(state, 1);
	assert_int_equal(pending_slot(reqs.ledger), 0);
	reqs.ledger->pending[0].ref = reqs.ledger->pending[0].flags =
		reqs.ledger->pending[0].up_tx = 5;
	pending = pending_fill(reqs.ledger, 0, &reqs.seq, &req, PENDING_SWALLOW);
	assert_int_equal(pending->req_id, 0x11);
	assert_int_equal(pending->tx_id, 0x22);
	assert_int_equal(pending->type, XS_WATCH);
	assert_int_equal(pending->kind, PENDING_SWALLOW);
	assert_int_equal(pending->ref | pending->flags | pending->up_tx, 0);
	assert_int_equal(pending_find(reqs.ledger, pending->id), -1);
	assert_int_equal(pending_upstream(reqs.ledger), 0);

	commit_begin(&commit, reqs.place);
	pending_take(reqs.ledger, &commit, 0);
	assert_int_equal(pending_find(reqs.ledger, pending->id), -1);
	commit_end(&commit);
	assert_int_equal(pending_find(reqs.ledger, pending->id), 0);
	assert_int_equal(pending_upstream(reqs.ledger), 1);
	assert_int_equal(pending_slot(reqs.ledger), 1);

	drop(&reqs, 0);
	assert_int_equal(pending_find(reqs.ledger, pending->id), -1);
	assert_int_equal(pending_slot(reqs.ledger), 0);
}

static void several_in_one_commit(void **state)
{
	struct commit commit;
	struct requests reqs;

	reqs = none(state, 1);
	take(&reqs, 0, PENDING_FORWARD);
	take(&reqs, 0, PENDING_FORWARD);
	commit_begin(&commit, reqs.place);
	pending_drop(reqs.ledger, &commit, 0);
	pending_take(reqs.ledger, &commit, 4);
	pending_take(reqs.ledger, &commit, 31);
	commit_end(&commit);
	assert_int_equal(word_get(&reqs.ledger->pending_mask), 1u << 1 | 1u << 4 | 1u << 31);
}

static void all_slots_then_none(void **state)
{
	uint32_t seen = 0, n = 0;
	struct requests reqs;

	reqs = none(state, 1);
	for (int i = 0; i < LEDGER_PENDING; i++)
		seen |= 1u << take(&reqs, 0, PENDING_FORWARD);
	assert_int_equal(seen, UINT32_MAX);
	assert_int_equal(take(&reqs, 0, PENDING_FORWARD), -1);
	assert_int_equal(pending_upstream(reqs.ledger), LEDGER_PENDING);
	PENDING_EACH(reqs.ledger, slot)
	n += slot;
	assert_int_equal(n, 31 * 32 / 2);
	drop(&reqs, 17);
	assert_int_equal(take(&reqs, 0, PENDING_FORWARD), 17);
}

static void answers_of_ours_are_not_upstreams(void **state)
{
	struct requests reqs;
	int slot;

	reqs = none(state, 1);
	slot = take(&reqs, 0, PENDING_ANSWER);
	assert_int_equal(pending_upstream(reqs.ledger), 0);
	assert_int_equal(pending_find(reqs.ledger, id_of(&reqs, slot)), -1);
	take(&reqs, 0, PENDING_DISCARD);
	assert_int_equal(pending_upstream(reqs.ledger), 1);
}

/* Three times around the counter's end, slots used in a mixed order. */
static void ids_hold_their_promise(void **state, uint32_t seq)
{
	uint32_t last = 0;
	struct requests reqs;

	reqs = none(state, seq);
	for (int i = 0; i < 20; i++)
		take(&reqs, 0, PENDING_FORWARD);
	for (uint32_t i = 0; i < 200; i++) {
		int slot = (int)(i * 7 % 20);
		uint32_t old = id_of(&reqs, slot);

		drop(&reqs, slot);
		slot = take(&reqs, 0, PENDING_FORWARD);
		assert_int_not_equal(id_of(&reqs, slot), old);
		assert_int_not_equal(id_of(&reqs, slot), last);
		last = id_of(&reqs, slot);
		assert_int_equal(pending_find(reqs.ledger, old), -1);
		for (int a = 0; a < LEDGER_PENDING; a++) {
			if (!(word_get(&reqs.ledger->pending_mask) & 1u << a))
				continue;
			assert_true(id_of(&reqs, a) > 0 && id_of(&reqs, a) < 1u << 30);
			assert_int_equal(pending_find(reqs.ledger, id_of(&reqs, a)), a);
			for (int b = 0; b < 20; b++)
				assert_true(a == b || id_of(&reqs, a) != id_of(&reqs, b));
		}
	}
}

static void ids_are_unique_and_small(void **state)
{
	static const uint32_t counters[] = { 0, 0x2000000, 0x4000000, 0x80000000, UINT32_MAX };

	/* The first slot, where a counter of 0 would make the id of events. */
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		struct requests reqs;

		reqs = none(state, counters[i]);
		assert_in_range(id_of(&reqs, take(&reqs, 0, PENDING_FORWARD)), 1, (1u << 30) - 1);
	}
	ids_hold_their_promise(state, 1);
	ids_hold_their_promise(state, 0x1ffffff - 100);
	ids_hold_their_promise(state, UINT32_MAX - 100);
	ids_hold_their_promise(state, 0);
}

static void a_restarted_counter_goes_on(void **state)
{
	struct requests reqs;
	int slot;

	reqs = none(state, 1);
	assert_true(pending_seq_recover(reqs.ledger) > 0);
	reqs.seq = 500;
	slot = take(&reqs, 0, PENDING_FORWARD);
	take(&reqs, 0, PENDING_SWALLOW);
	drop(&reqs, slot);

	/* Slot 0 is free again and must not get the id of the request that is under way, or its
	 * own. */
	reqs.seq = pending_seq_recover(reqs.ledger);
	assert_int_equal(take(&reqs, 0, PENDING_FORWARD), slot);
	assert_int_equal(pending_find(reqs.ledger, id_of(&reqs, slot)), slot);
	assert_true(id_of(&reqs, slot) > id_of(&reqs, 1));

	/* The highest number there is: the next one starts anew, and is still good. */
	reqs = none(state, 0x1ffffff);
	slot = take(&reqs, 0, PENDING_FORWARD);
	reqs.seq = pending_seq_recover(reqs.ledger);
	take(&reqs, 0, PENDING_FORWARD);
	assert_true(id_of(&reqs, 1) > 0 && id_of(&reqs, 1) < 1u << 30);
	assert_int_equal(pending_find(reqs.ledger, id_of(&reqs, 1)), 1);
	assert_int_equal(pending_find(reqs.ledger, id_of(&reqs, slot)), slot);
}

static void foreign_ids_find_nothing(void **state)
{
	struct requests reqs;
	uint32_t id;

	reqs = none(state, 9);
	id = id_of(&reqs, take(&reqs, 0, PENDING_FORWARD));
	assert_int_equal(pending_find(reqs.ledger, 0), -1);
	assert_int_equal(pending_find(reqs.ledger, id + 1), -1);
	assert_int_equal(pending_find(reqs.ledger, id + LEDGER_PENDING), -1);
	assert_int_equal(pending_find(reqs.ledger, id | 1u << 30), -1);
	assert_int_equal(pending_find(reqs.ledger, UINT32_MAX), -1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BED_TEST(a_slot_counts_from_its_commit_on),
		BED_TEST(several_in_one_commit),
		BED_TEST(all_slots_then_none),
		BED_TEST(answers_of_ours_are_not_upstreams),
		BED_TEST(ids_are_unique_and_small),
		BED_TEST(a_restarted_counter_goes_on),
		BED_TEST(foreign_ids_find_nothing),
	};

	return cmocka_run_group_tests_name("pending", tests, NULL, NULL);
}
