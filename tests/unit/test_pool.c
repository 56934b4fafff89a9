// SPDX-License-Identifier: MIT
/*
 * Pages for what does not fit a ledger: handed out once, never page 0, given back, claimed by
 * number after a restart; their memory lies in extents and goes back to the system.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "proxy/session/account.h"

#define MANY 300u /* more than are kept warm */

struct bed {
	struct ledgers ledgers;
	struct pool *pool;
};

static int setup(void **state)
{
	static struct bed bed;

	assert_int_equal(ledgers_create(&bed.ledgers, 1), 0);
	assert_int_equal(pool_new_shared(&bed.pool, &bed.ledgers), 0);
	*state = &bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	pool_free(bed->pool);
	ledgers_close(&bed->ledgers);
	return 0;
}

static long long octets_of(const struct ledgers *ledgers)
{
	struct stat st;

	assert_int_equal(fstat(ledgers->arena.fd, &st), 0);
	return st.st_blocks * 512;
}

static void shared_pages_are_extents(void **state)
{
	struct bed *bed = *state;
	long long before = octets_of(&bed->ledgers);
	uint32_t a = pool_alloc(bed->pool), b = pool_alloc(bed->pool);

	assert_true(a && b && a != b && a < POOL_SHARED && b < POOL_SHARED);
	assert_ptr_equal(pool_page(bed->pool, a),
			 bed->ledgers.arena.base + ledgers_extent_off(&bed->ledgers, a));
	assert_ptr_equal(pool_page(bed->pool, b),
			 bed->ledgers.arena.base + ledgers_extent_off(&bed->ledgers, b));
	/* The memory is there before it is used, so no write can fail. */
	assert_int_equal(octets_of(&bed->ledgers) - before, 2 * POOL_PAGE);
	memset(pool_page(bed->pool, a), 1, POOL_PAGE);
}

static void warm_memory_is_limited(void **state)
{
	struct bed *bed = *state;
	long long before = octets_of(&bed->ledgers), kept;
	uint32_t page[MANY];

	for (uint32_t i = 0; i < MANY; i++)
		page[i] = pool_alloc(bed->pool);
	assert_int_equal(octets_of(&bed->ledgers) - before, MANY * POOL_PAGE);
	for (uint32_t i = 0; i < MANY; i++)
		pool_release(bed->pool, page[i]);
	kept = octets_of(&bed->ledgers) - before;
	assert_true(kept > 0 && kept < MANY * POOL_PAGE);
	/* What is kept is used first. */
	for (uint32_t i = 0; i < kept / POOL_PAGE; i++)
		assert_int_not_equal(pool_alloc(bed->pool), 0);
	assert_int_equal(octets_of(&bed->ledgers) - before, kept);
	assert_int_not_equal(pool_alloc(bed->pool), 0);
	assert_int_equal(octets_of(&bed->ledgers) - before, kept + POOL_PAGE);
}

static void claimed_pages_are_used(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(pool_claim(bed->pool, 0), -EINVAL);
	assert_int_equal(pool_claim(bed->pool, POOL_SHARED), -EINVAL);
	assert_int_equal(pool_claim(bed->pool, UINT32_MAX), -EINVAL);
	assert_int_equal(pool_claim(bed->pool, POOL_SHARED - 1), 0);
	assert_int_equal(pool_claim(bed->pool, POOL_SHARED - 1), -EBUSY);
	assert_int_equal(pool_claim(bed->pool, 1), 0);
	assert_int_equal(pool_claim(bed->pool, 2), 0);
	for (int i = 0; i < 5; i++)
		assert_true(pool_alloc(bed->pool) > 2);
	pool_release(bed->pool, 2);
	assert_int_equal(pool_alloc(bed->pool), 2);
}

static void a_warm_page_can_be_claimed(void **state)
{
	struct bed *bed = *state;
	long long before = octets_of(&bed->ledgers);
	uint32_t a = pool_alloc(bed->pool), b = pool_alloc(bed->pool);

	pool_release(bed->pool, a);
	pool_release(bed->pool, b);
	assert_int_equal(pool_claim(bed->pool, a), 0);
	assert_int_equal(pool_alloc(bed->pool), b);
	assert_int_equal(octets_of(&bed->ledgers) - before, 2 * POOL_PAGE);
	assert_int_not_equal(pool_alloc(bed->pool), 0);
	assert_int_equal(octets_of(&bed->ledgers) - before, 3 * POOL_PAGE);
}

/* Another process sees the octets under the same number. */
static void a_page_outlives_the_pool(void **state)
{
	struct bed *bed = *state;
	uint32_t page = pool_alloc(bed->pool);

	strcpy(pool_page(bed->pool, page), "octets");
	bed->pool = pool_free(bed->pool);
	assert_int_equal(pool_new_shared(&bed->pool, &bed->ledgers), 0);
	assert_int_equal(pool_claim(bed->pool, page), 0);
	assert_string_equal(pool_page(bed->pool, page), "octets");
}

/* Sockets': what is there may be somebody's until all have claimed what is theirs. */
static void what_is_left_is_nobodys_before_it_is_settled(void **state)
{
	uint32_t page[4], other[MANY];
	struct ledgers ledgers;
	struct pool *pool;
	long long before;

	(void)state;
	assert_int_equal(ledgers_create(&ledgers, 1), 0);
	assert_int_equal(pool_new_sockets(&pool, &ledgers), 0);
	before = octets_of(&ledgers);
	/* Nobody has touched them. */
	for (int i = 0; i < 4; i++)
		page[i] = pool_alloc(pool);
	pool_free(pool);

	assert_int_equal(pool_new_sockets(&pool, &ledgers), 0);
	for (uint32_t i = 0; i < MANY; i++) {
		other[i] = pool_alloc(pool);
		assert_int_not_equal(other[i], 0);
		for (int j = 0; j < 4; j++)
			assert_int_not_equal(other[i], page[j]);
	}
	assert_int_equal(pool_claim(pool, page[1]), 0);
	assert_int_equal(pool_claim(pool, page[1]), -EBUSY);
	assert_int_equal(octets_of(&ledgers) - before, (MANY + 4) * POOL_PAGE);
	pool_settle(pool);
	assert_int_equal(octets_of(&ledgers) - before, (MANY + 1) * POOL_PAGE);
	assert_int_equal(pool_claim(pool, page[1]), -EBUSY);
	assert_int_equal(pool_claim(pool, page[2]), 0);
	pool_settle(pool);
	assert_int_equal(pool_claim(pool, page[2]), -EBUSY);
	pool_free(pool);
	ledgers_close(&ledgers);
}

/* All of them were, and as many as there are can be had afterwards. */
static void none_is_lost_by_settling(void **state)
{
	struct ledgers ledgers;
	struct pool *pool;
	uint32_t n = 0;

	(void)state;
	assert_int_equal(ledgers_create(&ledgers, 1), 0);
	ledgers.extents = MANY;
	assert_int_equal(arena_reserve(&ledgers.arena, ledgers_extent_off(&ledgers, 1),
				       (uint64_t)(MANY - 1) * POOL_PAGE),
			 0);
	memset(ledgers.arena.base + ledgers_extent_off(&ledgers, 1), 1, (MANY - 1) * POOL_PAGE);
	assert_int_equal(pool_new_sockets(&pool, &ledgers), 0);
	assert_int_equal(pool_alloc_privileged(pool), 0);
	assert_int_equal(pool_claim(pool, 7), 0);
	pool_settle(pool);
	while (pool_alloc_privileged(pool))
		n++;
	assert_int_equal(n, MANY - 2);
	pool_free(pool);
	ledgers_close(&ledgers);
}

static void without_memory_there_is_no_page(void **state)
{
	struct bed *bed = *state;
	struct ledgers broken = bed->ledgers;
	struct pool *pool;

	assert_null(pool_free(NULL));
	broken.arena.fd = -1; /* so that fallocate fails */
	assert_int_equal(pool_new_shared(&pool, &broken), 0);
	assert_int_equal(pool_alloc(pool), 0);
	assert_int_equal(pool_alloc(pool), 0);
	pool_free(pool);
}

static void the_pool_is_capped(void **state)
{
	struct bed *bed = *state;
	uint32_t page = pool_alloc(bed->pool);

	for (uint32_t i = 1; i < POOL_SHARED; i++)
		assert_int_equal(pool_claim(bed->pool, i), i == page ? -EBUSY : 0);
	assert_int_equal(pool_alloc(bed->pool), 0);
	pool_release(bed->pool, 12345);
	assert_int_equal(pool_alloc_vital(bed->pool), 0);
	assert_int_equal(pool_alloc_privileged(bed->pool), 12345);
}

/* Wherever the search begins, the first page, the last one and those between are found. */
static void what_is_free_is_found(void **state)
{
	static const uint32_t pages[] = { 1, 2, 12345, POOL_SHARED - 2, POOL_SHARED - 1 };
	const size_t n = sizeof(pages) / sizeof(pages[0]);
	struct bed *bed = *state;

	for (uint32_t i = 1; i < POOL_SHARED; i++)
		assert_int_equal(pool_claim(bed->pool, i), 0);
	for (size_t i = 0; i < n * n; i++) {
		uint32_t one = pages[i / n], two = pages[i % n];

		pool_release(bed->pool, one);
		assert_int_equal(pool_alloc_privileged(bed->pool), one);
		pool_release(bed->pool, two);
		if (one != two)
			pool_release(bed->pool, one);
		assert_int_equal(pool_alloc_privileged(bed->pool), one);
		assert_int_equal(pool_alloc_privileged(bed->pool), one != two ? two : 0);
		assert_int_equal(pool_alloc_privileged(bed->pool), 0);
	}
}

/* Claim page after page, from the top down, until @alloc finds none. Return: how many are left. */
static uint32_t hoard(struct bed *bed, uint32_t from, uint32_t (*alloc)(struct pool *pool))
{
	uint32_t page;

	for (; (page = alloc(bed->pool)); from--) {
		pool_release(bed->pool, page);
		assert_int_equal(pool_claim(bed->pool, from), 0);
	}
	return from;
}

/*
 * Who hoards pages leaves enough for what others cannot do without; and all guests together, with
 * all that they cannot do without, leave enough for dom0.
 */
static void reserves_are_left(void **state)
{
	struct bed *bed = *state;
	uint32_t left = hoard(bed, POOL_SHARED - 1, pool_alloc), vital;

	assert_in_range(left, 8192 + 4096, POOL_SHARED / 4);
	vital = hoard(bed, left, pool_alloc_vital);
	assert_int_equal(left - vital, 8192);
	assert_int_equal(pool_alloc(bed->pool), 0);
	for (uint32_t i = 1; i <= vital; i++)
		assert_int_not_equal(pool_alloc_privileged(bed->pool), 0);
	assert_int_equal(pool_alloc_privileged(bed->pool), 0);
	pool_release(bed->pool, 77);
	assert_int_equal(pool_alloc(bed->pool), 0);
	assert_int_equal(pool_alloc_vital(bed->pool), 0);
	assert_int_equal(pool_alloc_privileged(bed->pool), 77);
}

/* Toolstack sockets have all extents of their memory, and nobody there is more than another. */
static void sockets_have_all_extents(void **state)
{
	struct bed *bed = *state;
	uint32_t left;

	pool_free(bed->pool);
	assert_int_equal(pool_new_sockets(&bed->pool, &bed->ledgers), 0);
	assert_int_equal(pool_claim(bed->pool, LEDGERS_EXTENTS), -EINVAL);
	left = hoard(bed, LEDGERS_EXTENTS - 1, pool_alloc);
	assert_int_equal(left, 8192);
	assert_int_equal(hoard(bed, left, pool_alloc_vital), 0);
	assert_int_equal(pool_alloc_privileged(bed->pool), 0);
}

/* --- accounts */

static void accounts_count(void **state)
{
	struct bed *bed = *state;
	struct account guest, dom0;
	uint32_t a, b;

	account_init(&guest, bed->pool, false, 0);
	account_init(&dom0, bed->pool, true, 0);
	a = account_alloc(&guest);
	b = account_alloc_vital(&guest);
	assert_true(a && b && a != b);
	assert_int_equal(guest.used, 2);
	assert_int_equal(account_claim(&dom0, a), -EBUSY);
	assert_int_equal(account_claim(&dom0, 1234), 0);
	assert_int_equal(dom0.used, 1);
	account_release(&guest, 0);
	account_release(&guest, a);
	assert_int_equal(guest.used, 1);
	assert_int_equal(account_claim(&dom0, a), 0);
	assert_int_equal(dom0.used, 2);
}

static void only_dom0_takes_the_last_ones(void **state)
{
	struct bed *bed = *state;
	struct account guest, dom0;
	uint32_t left = hoard(bed, POOL_SHARED - 1, pool_alloc);

	account_init(&guest, bed->pool, false, 0);
	account_init(&dom0, bed->pool, true, 0);
	assert_int_equal(account_alloc(&guest), 0);
	assert_int_not_equal(account_alloc(&dom0), 0);
	hoard(bed, left - 1, pool_alloc_vital);
	assert_int_equal(account_alloc_vital(&guest), 0);
	assert_int_not_equal(account_alloc_vital(&dom0), 0);
	assert_int_not_equal(account_alloc(&dom0), 0);
	assert_int_equal(guest.used, 0);
	assert_int_equal(dom0.used, 3);
}

/* More are not to be had, however many there are, but for the few that are vital. */
static void accounts_are_bounded(void **state)
{
	struct bed *bed = *state;
	struct account client, other;
	uint32_t page = 0;

	account_init(&client, bed->pool, false, 5);
	account_init(&other, bed->pool, false, 5);
	for (int i = 0; i < 5; i++)
		assert_int_not_equal(page = account_alloc(&client), 0);
	assert_int_equal(account_alloc(&client), 0);
	for (int i = 0; i < 16; i++)
		assert_int_not_equal(account_alloc_vital(&client), 0);
	assert_int_equal(account_alloc_vital(&client), 0);
	assert_int_equal(client.used, 5 + 16);
	account_release(&client, page);
	assert_int_equal(account_alloc(&client), 0);
	assert_int_not_equal(account_alloc_vital(&client), 0);
	/* What it has is no loss of others. */
	for (int i = 0; i < 5; i++)
		assert_int_not_equal(account_alloc(&other), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(shared_pages_are_extents, setup, teardown),
		cmocka_unit_test_setup_teardown(warm_memory_is_limited, setup, teardown),
		cmocka_unit_test_setup_teardown(claimed_pages_are_used, setup, teardown),
		cmocka_unit_test_setup_teardown(a_warm_page_can_be_claimed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_page_outlives_the_pool, setup, teardown),
		cmocka_unit_test_setup_teardown(without_memory_there_is_no_page, setup, teardown),
		cmocka_unit_test_setup_teardown(the_pool_is_capped, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_free_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(reserves_are_left, setup, teardown),
		cmocka_unit_test_setup_teardown(sockets_have_all_extents, setup, teardown),
		cmocka_unit_test(what_is_left_is_nobodys_before_it_is_settled),
		cmocka_unit_test(none_is_lost_by_settling),
		cmocka_unit_test_setup_teardown(accounts_count, setup, teardown),
		cmocka_unit_test_setup_teardown(only_dom0_takes_the_last_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(accounts_are_bounded, setup, teardown),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
