// SPDX-License-Identifier: MIT
/*
 * Open transactions: guest and upstream ids, extents beyond the ledger's own slots, ending all by
 * the epoch, and that the next process finds exactly what the last one knew.
 */
#include <errno.h>

#include "tests/unit/bed.h"

#include "proxy/session/pending.h"
#include "proxy/session/transaction.h"

static void open_at(struct bed *bed, struct transactions *set, int slot, uint32_t guest,
		    uint32_t upstream, uint32_t flags)
{
	struct commit commit;

	commit_begin(&commit, &bed->place);
	transaction_open(set, &commit, slot, guest, upstream, flags);
	commit_end(&commit);
}

static int open_one(struct bed *bed, struct transactions *set, uint32_t guest)
{
	int slot = transaction_reserve(set);

	assert_true(slot >= 0);
	open_at(bed, set, slot, guest, guest + 1000, 0);
	return slot;
}

static void end_one(struct bed *bed, struct transactions *set, uint32_t guest)
{
	int slot = transaction_find(set, guest);
	struct commit commit;

	assert_true(slot >= 0);
	commit_begin(&commit, &bed->place);
	transaction_end(set, &commit, slot);
	commit_end(&commit);
}

static void next_epoch(struct bed *bed)
{
	struct commit commit;

	commit_begin(&commit, &bed->place);
	commit_set(&commit, &bed->ledger->epoch, word_get(&bed->ledger->epoch) + 1);
	commit_end(&commit);
}

static void opens_with_its_commit(void **state)
{
	struct bed *bed = *state;
	struct transactions set;
	struct commit commit;
	int slot;

	transactions_init(&set, bed->ledger, &bed->account);
	assert_int_equal(transaction_count(&set), 0);
	assert_int_equal(transaction_find(&set, 5), -ENOENT);
	assert_int_equal(transaction_find(&set, 0), -ENOENT);
	slot = transaction_reserve(&set);
	commit_begin(&commit, &bed->place);
	transaction_open(&set, &commit, slot, 5, 77, TRANSACTION_CONFLICT);
	assert_false(transaction_live(&set, slot));
	assert_int_equal(transaction_find(&set, 5), -ENOENT);
	commit_end(&commit);

	assert_true(transaction_live(&set, slot));
	assert_int_equal(transaction_find(&set, 5), slot);
	assert_int_equal(transaction_find(&set, 77), -ENOENT);
	assert_int_equal(transaction_at(&set, slot)->upstream, 77);
	assert_int_equal(transaction_at(&set, slot)->flags, TRANSACTION_CONFLICT);
	assert_int_equal(transaction_count(&set), 1);

	end_one(bed, &set, 5);
	assert_false(transaction_live(&set, slot));
	assert_int_equal(transaction_find(&set, 5), -ENOENT);
	assert_int_equal(transaction_count(&set), 0);
	transactions_fini(&set);
}

/* A slot that a START under way refers to is not given to another one. */
static void reserved_slots_stay_reserved(void **state)
{
	struct xsd_sockmsg start = { .type = XS_TRANSACTION_START };
	struct bed *bed = *state;
	struct transactions set;
	uint32_t seq = 1;
	int slot[3];

	transactions_init(&set, bed->ledger, &bed->account);
	for (int i = 0; i < 3; i++) {
		struct commit commit;

		slot[i] = transaction_reserve(&set);
		pending_fill(bed->ledger, i, &seq, &start, PENDING_FORWARD)->ref =
			(uint32_t)slot[i];
		commit_begin(&commit, &bed->place);
		pending_take(bed->ledger, &commit, i);
		commit_end(&commit);
	}
	assert_true(slot[0] != slot[1] && slot[1] != slot[2] && slot[0] != slot[2]);
	open_at(bed, &set, slot[1], 9, 9, 0);
	assert_int_equal(transaction_find(&set, 9), slot[1]);
	/* Refused by upstream: its slot is free for the next. */
	atomic_store(&bed->ledger->pending_mask, 1u << 2);
	assert_int_equal(transaction_reserve(&set), slot[0]);
	transactions_fini(&set);
}

static void extents_beyond_the_ledger(void **state)
{
	const uint32_t many = LEDGER_TX + 256 + 10;
	struct bed *bed = *state;
	struct transactions set;

	transactions_init(&set, bed->ledger, &bed->account);
	for (uint32_t i = 0; i < many; i++)
		assert_int_equal(open_one(bed, &set, i + 1), i);
	assert_int_equal(transaction_count(&set), many);
	for (uint32_t i = 0; i < many; i++)
		assert_int_equal(transaction_find(&set, i + 1), i);

	end_one(bed, &set, 4);
	end_one(bed, &set, 200);
	assert_int_equal(transaction_count(&set), many - 2);
	assert_int_equal(open_one(bed, &set, 5000), 3);
	assert_int_equal(open_one(bed, &set, 5001), 199);
	transactions_fini(&set);
	assert_int_equal(bed_pages_used(bed->pool), 0);
}

static void an_old_extent_holds_no_ghosts(void **state)
{
	struct bed *bed = *state;
	struct transactions set;
	uint32_t page = pool_alloc(bed->pool);

	/* What the page held before looks like live entries. */
	memset(pool_page(bed->pool, page), 0, POOL_PAGE);
	for (uint32_t i = 0; i < POOL_PAGE / sizeof(struct ledger_tx); i++) {
		struct ledger_tx *tx = (struct ledger_tx *)pool_page(bed->pool, page) + i;

		tx->guest = 1;
		atomic_store(&tx->live, word_get(&bed->ledger->epoch));
	}
	pool_release(bed->pool, page);

	transactions_init(&set, bed->ledger, &bed->account);
	for (uint32_t i = 0; i <= LEDGER_TX; i++)
		open_one(bed, &set, i + 100);
	assert_int_equal(bed->ledger->tx_page[0], page);
	assert_int_equal(open_one(bed, &set, 200), LEDGER_TX + 1);
	assert_int_equal(transaction_count(&set), LEDGER_TX + 2);
	assert_int_equal(transaction_find(&set, 1), -ENOENT);
	transactions_fini(&set);
}

static void the_epoch_ends_all(void **state)
{
	struct bed *bed = *state;
	struct transactions set;

	transactions_init(&set, bed->ledger, &bed->account);
	for (uint32_t i = 0; i < 40; i++)
		open_one(bed, &set, i + 1);
	next_epoch(bed);
	assert_int_equal(transaction_count(&set), 0);
	for (uint32_t i = 0; i < 40; i++)
		assert_int_equal(transaction_find(&set, i + 1), -ENOENT);
	assert_int_equal(open_one(bed, &set, 3), 0);
	assert_int_equal(transaction_count(&set), 1);
	transactions_fini(&set);
}

static void no_space_is_an_error(void **state)
{
	struct bed *bed = *state;
	struct transactions set;

	transactions_init(&set, bed->ledger, &bed->account);
	for (uint32_t i = 0; i < TRANSACTION_MAX; i++)
		open_one(bed, &set, i + 1);
	assert_int_equal(transaction_reserve(&set), -ENOSPC);
	assert_int_equal(transaction_count(&set), TRANSACTION_MAX);
	end_one(bed, &set, 4000);
	assert_int_equal(open_one(bed, &set, 4000), 3999);
	transactions_fini(&set);
	assert_int_equal(bed_pages_used(bed->pool), 0);
}

static void no_memory_is_an_error(void **state)
{
	struct bed *bed = *state;
	struct transactions set;
	uint32_t last;

	bed_bound(bed, 3);
	transactions_init(&set, bed->ledger, &bed->account);
	for (uint32_t i = 0; i < LEDGER_TX; i++)
		open_one(bed, &set, i + 1);
	last = bed_exhaust(bed, account_alloc);
	assert_int_equal(transaction_reserve(&set), -ENOSPC);
	assert_int_equal(bed->ledger->tx_page[0], 0);
	account_release(&bed->account, last);
	assert_int_equal(open_one(bed, &set, 99), LEDGER_TX);
	transactions_fini(&set);
}

static void guest_ids_never_clash(void **state)
{
	struct bed *bed = *state;
	struct transactions set;

	transactions_init(&set, bed->ledger, &bed->account);
	assert_int_equal(transaction_guest_id(&set, 7), 7);
	open_one(bed, &set, 7);
	assert_int_equal(transaction_guest_id(&set, 6), 6);
	assert_int_equal(transaction_guest_id(&set, 7), 8);
	open_one(bed, &set, 20);
	assert_int_equal(transaction_guest_id(&set, 7), 21);
	end_one(bed, &set, 20);
	assert_int_equal(transaction_guest_id(&set, 7), 8);

	/* Above the highest number there is nothing, and 0 is no transaction. */
	open_one(bed, &set, UINT32_MAX);
	for (uint32_t i = 0; i < 10; i++) {
		uint32_t id = transaction_guest_id(&set, 7);

		assert_int_not_equal(id, 0);
		assert_int_equal(transaction_find(&set, id), -ENOENT);
		open_one(bed, &set, id);
	}
	transactions_fini(&set);
}

/* --- the next process */

static void assert_same(struct transactions *a, struct transactions *b)
{
	assert_int_equal(transaction_count(a), transaction_count(b));
	for (uint32_t guest = 0; guest < 600; guest++) {
		int slot = transaction_find(a, guest);

		assert_int_equal(transaction_find(b, guest), slot);
		if (slot < 0)
			continue;
		assert_int_equal(transaction_at(a, slot)->upstream,
				 transaction_at(b, slot)->upstream);
		assert_int_equal(transaction_at(a, slot)->flags, transaction_at(b, slot)->flags);
	}
}

static void recovery_finds_what_there_was(void **state)
{
	struct transactions set, again;
	struct bed *bed = *state, other;

	srand(2);
	transactions_init(&set, bed->ledger, &bed->account);
	for (int step = 0; step < 800; step++) {
		uint32_t guest = (uint32_t)rand() % 599 + 1;

		if (transaction_find(&set, guest) >= 0)
			end_one(bed, &set, guest);
		else
			open_one(bed, &set, guest);
		if (rand() % 300 == 0)
			next_epoch(bed);
		if (step % 20)
			continue;
		bed_reopen(bed, &other);
		transactions_init(&again, other.ledger, &other.account);
		assert_int_equal(transactions_recover(&again), 0);
		assert_same(&set, &again);
		/* It goes on from there without harm to what is open. */
		assert_int_equal(transaction_reserve(&again), transaction_reserve(&set));
		bed_reclose(&other);
	}

	bed_reopen(bed, &other);
	transactions_init(&again, other.ledger, &other.account);
	assert_int_equal(transactions_recover(&again), 0);
	transactions_fini(&again);
	assert_int_equal(bed_pages_used(other.pool), 0);
	bed_reclose(&other);
}

static void recovery_refuses_strange_pages(void **state)
{
	struct transactions again;
	struct bed *bed = *state, other;

	bed->ledger->tx_page[3] = POOL_SHARED;
	bed_reopen(bed, &other);
	transactions_init(&again, other.ledger, &other.account);
	assert_int_equal(transactions_recover(&again), -EINVAL);
	bed->ledger->tx_page[3] = bed->ledger->tx_page[4] = 9;
	assert_int_equal(transactions_recover(&again), -EBUSY);
	bed_reclose(&other);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BED_TEST(opens_with_its_commit),
		BED_TEST(reserved_slots_stay_reserved),
		BED_TEST(extents_beyond_the_ledger),
		BED_TEST(an_old_extent_holds_no_ghosts),
		BED_TEST(the_epoch_ends_all),
		BED_TEST(no_space_is_an_error),
		BED_TEST(no_memory_is_an_error),
		BED_TEST(guest_ids_never_clash),
		BED_TEST(recovery_finds_what_there_was),
		BED_TEST(recovery_refuses_strange_pages),
	};

	return cmocka_run_group_tests_name("transaction", tests, NULL, NULL);
}
