// SPDX-License-Identifier: MIT
/*
 * Requests under way: slots come and go with their commit, ids are unique, never 0 and below 2^30,
 * also where the counter wraps and after a restart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/session/pending.h"

struct bed {
	struct ledger ledger;
	struct ledger_place place;
	uint32_t seq;
};

static void bed_init(struct bed *bed, uint32_t seq)
{
	memset(&bed->ledger, 0, sizeof(bed->ledger));
	ledger_format(&bed->ledger, NULL, 1);
	bed->place = (struct ledger_place){ .ledger = &bed->ledger };
	bed->seq = seq;
}

/* Return: the slot, or -1. */
static int take(struct bed *bed, uint32_t req_id, enum pending_kind kind)
{
	struct xsd_sockmsg req = { .type = XS_READ, .req_id = req_id, .tx_id = req_id + 1 };
	int slot = pending_slot(&bed->ledger);
	struct commit commit;

	if (slot < 0)
		return slot;
	pending_fill(&bed->ledger, slot, &bed->seq, &req, kind);
	commit_begin(&commit, &bed->place);
	pending_take(&bed->ledger, &commit, slot);
	commit_end(&commit);
	return slot;
}

static void drop(struct bed *bed, int slot)
{
	struct commit commit;

	commit_begin(&commit, &bed->place);
	pending_drop(&bed->ledger, &commit, slot);
	commit_end(&commit);
}

static uint32_t id_of(const struct bed *bed, int slot)
{
	return bed->ledger.pending[slot].id;
}

static void a_slot_counts_from_its_commit_on(void **state)
{
	struct xsd_sockmsg req = { .type = XS_WATCH, .req_id = 0x11, .tx_id = 0x22 };
	struct ledger_pending *pending;
	struct commit commit;
	struct bed bed;

	(void)state;
	bed_init(&bed, 1);
	assert_int_equal(pending_slot(&bed.ledger), 0);
	bed.ledger.pending[0].ref = bed.ledger.pending[0].flags = bed.ledger.pending[0].up_tx = 5;
	pending = pending_fill(&bed.ledger, 0, &bed.seq, &req, PENDING_SWALLOW);
	assert_int_equal(pending->req_id, 0x11);
	assert_int_equal(pending->tx_id, 0x22);
	assert_int_equal(pending->type, XS_WATCH);
	assert_int_equal(pending->kind, PENDING_SWALLOW);
	assert_int_equal(pending->ref | pending->flags | pending->up_tx, 0);
	assert_int_equal(pending_find(&bed.ledger, pending->id), -1);
	assert_int_equal(pending_upstream(&bed.ledger), 0);

	commit_begin(&commit, &bed.place);
	pending_take(&bed.ledger, &commit, 0);
	assert_int_equal(pending_find(&bed.ledger, pending->id), -1);
	commit_end(&commit);
	assert_int_equal(pending_find(&bed.ledger, pending->id), 0);
	assert_int_equal(pending_upstream(&bed.ledger), 1);
	assert_int_equal(pending_slot(&bed.ledger), 1);

	drop(&bed, 0);
	assert_int_equal(pending_find(&bed.ledger, pending->id), -1);
	assert_int_equal(pending_slot(&bed.ledger), 0);
}

static void several_in_one_commit(void **state)
{
	struct commit commit;
	struct bed bed;

	(void)state;
	bed_init(&bed, 1);
	take(&bed, 0, PENDING_FORWARD);
	take(&bed, 0, PENDING_FORWARD);
	commit_begin(&commit, &bed.place);
	pending_drop(&bed.ledger, &commit, 0);
	pending_take(&bed.ledger, &commit, 4);
	pending_take(&bed.ledger, &commit, 31);
	commit_end(&commit);
	assert_int_equal(word_get(&bed.ledger.pending_mask), 1u << 1 | 1u << 4 | 1u << 31);
}

static void all_slots_then_none(void **state)
{
	uint32_t seen = 0, n = 0;
	struct bed bed;

	(void)state;
	bed_init(&bed, 1);
	for (int i = 0; i < LEDGER_PENDING; i++)
		seen |= 1u << take(&bed, 0, PENDING_FORWARD);
	assert_int_equal(seen, UINT32_MAX);
	assert_int_equal(take(&bed, 0, PENDING_FORWARD), -1);
	assert_int_equal(pending_upstream(&bed.ledger), LEDGER_PENDING);
	PENDING_EACH(&bed.ledger, slot)
	n += slot;
	assert_int_equal(n, 31 * 32 / 2);
	drop(&bed, 17);
	assert_int_equal(take(&bed, 0, PENDING_FORWARD), 17);
}

static void answers_of_ours_are_not_upstreams(void **state)
{
	struct bed bed;
	int slot;

	(void)state;
	bed_init(&bed, 1);
	slot = take(&bed, 0, PENDING_ANSWER);
	assert_int_equal(pending_upstream(&bed.ledger), 0);
	assert_int_equal(pending_find(&bed.ledger, id_of(&bed, slot)), -1);
	take(&bed, 0, PENDING_DISCARD);
	assert_int_equal(pending_upstream(&bed.ledger), 1);
}

/* Three times around the counter's end, slots used in a mixed order. */
static void ids_hold_their_promise(uint32_t seq)
{
	uint32_t last = 0;
	struct bed bed;

	bed_init(&bed, seq);
	for (int i = 0; i < 20; i++)
		take(&bed, 0, PENDING_FORWARD);
	for (uint32_t i = 0; i < 200; i++) {
		int slot = (int)(i * 7 % 20);
		uint32_t old = id_of(&bed, slot);

		drop(&bed, slot);
		slot = take(&bed, 0, PENDING_FORWARD);
		assert_int_not_equal(id_of(&bed, slot), old);
		assert_int_not_equal(id_of(&bed, slot), last);
		last = id_of(&bed, slot);
		assert_int_equal(pending_find(&bed.ledger, old), -1);
		for (int a = 0; a < LEDGER_PENDING; a++) {
			if (!(word_get(&bed.ledger.pending_mask) & 1u << a))
				continue;
			assert_true(id_of(&bed, a) > 0 && id_of(&bed, a) < 1u << 30);
			assert_int_equal(pending_find(&bed.ledger, id_of(&bed, a)), a);
			for (int b = 0; b < 20; b++)
				assert_true(a == b || id_of(&bed, a) != id_of(&bed, b));
		}
	}
}

static void ids_are_unique_and_small(void **state)
{
	static const uint32_t counters[] = { 0, 0x2000000, 0x4000000, 0x80000000, UINT32_MAX };

	(void)state;
	/* The first slot, where a counter of 0 would make the id of events. */
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		struct bed bed;

		bed_init(&bed, counters[i]);
		assert_in_range(id_of(&bed, take(&bed, 0, PENDING_FORWARD)), 1, (1u << 30) - 1);
	}
	ids_hold_their_promise(1);
	ids_hold_their_promise(0x1ffffff - 100);
	ids_hold_their_promise(UINT32_MAX - 100);
	ids_hold_their_promise(0);
}

static void a_restarted_counter_goes_on(void **state)
{
	struct bed bed;
	int slot;

	(void)state;
	bed_init(&bed, 1);
	assert_true(pending_seq_recover(&bed.ledger) > 0);
	bed.seq = 500;
	slot = take(&bed, 0, PENDING_FORWARD);
	take(&bed, 0, PENDING_SWALLOW);
	drop(&bed, slot);

	/* Slot 0 is free again and must not get the id of the request that is under way, or its
	 * own. */
	bed.seq = pending_seq_recover(&bed.ledger);
	assert_int_equal(take(&bed, 0, PENDING_FORWARD), slot);
	assert_int_equal(pending_find(&bed.ledger, id_of(&bed, slot)), slot);
	assert_true(id_of(&bed, slot) > id_of(&bed, 1));

	/* The highest number there is: the next one starts anew, and is still good. */
	bed_init(&bed, 0x1ffffff);
	slot = take(&bed, 0, PENDING_FORWARD);
	bed.seq = pending_seq_recover(&bed.ledger);
	take(&bed, 0, PENDING_FORWARD);
	assert_true(id_of(&bed, 1) > 0 && id_of(&bed, 1) < 1u << 30);
	assert_int_equal(pending_find(&bed.ledger, id_of(&bed, 1)), 1);
	assert_int_equal(pending_find(&bed.ledger, id_of(&bed, slot)), slot);
}

static void foreign_ids_find_nothing(void **state)
{
	struct bed bed;
	uint32_t id;

	(void)state;
	bed_init(&bed, 9);
	id = id_of(&bed, take(&bed, 0, PENDING_FORWARD));
	assert_int_equal(pending_find(&bed.ledger, 0), -1);
	assert_int_equal(pending_find(&bed.ledger, id + 1), -1);
	assert_int_equal(pending_find(&bed.ledger, id + LEDGER_PENDING), -1);
	assert_int_equal(pending_find(&bed.ledger, id | 1u << 30), -1);
	assert_int_equal(pending_find(&bed.ledger, UINT32_MAX), -1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slot_counts_from_its_commit_on),
		cmocka_unit_test(several_in_one_commit),
		cmocka_unit_test(all_slots_then_none),
		cmocka_unit_test(answers_of_ours_are_not_upstreams),
		cmocka_unit_test(ids_are_unique_and_small),
		cmocka_unit_test(a_restarted_counter_goes_on),
		cmocka_unit_test(foreign_ids_find_nothing),
	};

	return cmocka_run_group_tests_name("pending", tests, NULL, NULL);
}
