/* SPDX-License-Identifier: MIT */
/*
 * bed - a ledger with a pool of pages under it, as a session has it: in shared memory, or in
 * private memory; and a look at the same ledger through the eyes of the next process.
 */
#ifndef XSPROXY_TESTS_UNIT_BED_H
#define XSPROXY_TESTS_UNIT_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/session/account.h"
#include "proxy/session/ledger.h"

#define BED_DOMID	  7
#define BED_PRIVATE_PAGES 1100

struct bed {
	bool shared;
	struct rings rings;
	struct ledgers ledgers;
	struct ledger *ledger;
	struct ledger_place place;
	struct pool *pool;
	struct account account;
};

static inline void bed_place(struct bed *bed)
{
	bed->ledger = ledgers_ledger(&bed->ledgers, BED_DOMID);
	bed->place = (struct ledger_place){ .ledger = bed->ledger,
					    .rings = &bed->rings,
					    .ledgers = &bed->ledgers };
	assert_int_equal(pool_new_shared(&bed->pool, &bed->ledgers), 0);
	account_init(&bed->account, bed->pool, false, 0);
}

static inline int bed_open_shared(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	assert_non_null(bed);
	bed->shared = true;
	assert_int_equal(rings_create(&bed->rings, RINGS_FLAVOUR_C), 0);
	assert_int_equal(ledgers_create(&bed->ledgers, rings_header(&bed->rings)->id), 0);
	assert_int_equal(arena_reserve(&bed->ledgers.arena,
				       ledgers_ledger_off(&bed->ledgers, BED_DOMID), ARENA_PAGE),
			 0);
	bed_place(bed);
	ledger_format(bed->ledger, &bed->ledgers, 1);
	*state = bed;
	return 0;
}

static inline int bed_open_private(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	assert_non_null(bed);
	bed->rings = (struct rings)RINGS_NULL;
	bed->ledgers = (struct ledgers)LEDGERS_NULL;
	bed->ledger = calloc(1, sizeof(*bed->ledger));
	assert_non_null(bed->ledger);
	ledger_format(bed->ledger, NULL, 1);
	bed->place = (struct ledger_place){ .ledger = bed->ledger };
	assert_int_equal(pool_new_private(&bed->pool, BED_PRIVATE_PAGES), 0);
	account_init(&bed->account, bed->pool, false, 0);
	*state = bed;
	return 0;
}

static inline int bed_close(void **state)
{
	struct bed *bed = *state;

	pool_free(bed->pool);
	if (!bed->shared)
		free(bed->ledger);
	ledgers_close(&bed->ledgers);
	rings_close(&bed->rings);
	free(bed);
	return 0;
}

/* How many pages a pool has handed out. It can only be freed afterwards. */
static inline uint32_t bed_pages_used(const struct bed *bed, struct pool *pool)
{
	uint32_t n = 0;

	if (!bed->shared) {
		for (n = BED_PRIVATE_PAGES; pool_alloc(pool); n--)
			;
		return n;
	}
	for (uint32_t page = 1; page < POOL_SHARED; page++)
		n += pool_claim(pool, page) != 0;
	return n;
}

/* The same memory, mapped elsewhere, with a pool that knows nothing yet. */
static inline void bed_reopen(const struct bed *bed, struct bed *again)
{
	*again = (struct bed){ .shared = true };
	assert_int_equal(rings_open(&again->rings, dup(bed->rings.arena.fd)), 0);
	assert_int_equal(ledgers_open(&again->ledgers, dup(bed->ledgers.arena.fd)), 0);
	bed_place(again);
}

static inline void bed_reclose(struct bed *again)
{
	pool_free(again->pool);
	ledgers_close(&again->ledgers);
	rings_close(&again->rings);
}

#define BED_TEST(name) cmocka_unit_test_setup_teardown(name, bed_open_shared, bed_close)
#define BED_TEST_PRIVATE(name)                                              \
	{                                                                   \
#name " (private)", name, bed_open_private, bed_close, NULL \
	}
#define BED_TEST_BOTH(name) BED_TEST(name), BED_TEST_PRIVATE(name)

#endif
