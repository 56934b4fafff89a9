/* SPDX-License-Identifier: MIT */
/*
 * bed - a ledger with a pool of pages under it, as a session has it: in an arena, or in private
 * memory; and a look at the same ledger through the eyes of the next process.
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

#include "proxy/ledger.h"
#include "proxy/pool.h"

#define BED_DOMID	  7
#define BED_PRIVATE_PAGES 1100

struct bed {
	bool shared;
	struct arena arena;
	struct ledger *ledger;
	struct ledger_place place;
	struct pool *pool;
};

static inline int bed_open_shared(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	assert_non_null(bed);
	bed->shared = true;
	assert_int_equal(arena_create(&bed->arena, ARENA_FLAVOUR_C), 0);
	assert_int_equal(arena_reserve(&bed->arena, arena_ledger_off(BED_DOMID)), 0);
	bed->ledger = (struct ledger *)(bed->arena.base + arena_ledger_off(BED_DOMID));
	ledger_format(bed->ledger, 1);
	bed->place = (struct ledger_place){ .ledger = bed->ledger, .arena = &bed->arena };
	assert_int_equal(pool_new_shared(&bed->pool, &bed->arena), 0);
	*state = bed;
	return 0;
}

static inline int bed_open_private(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	assert_non_null(bed);
	bed->arena = (struct arena)ARENA_NULL;
	bed->ledger = calloc(1, sizeof(*bed->ledger));
	assert_non_null(bed->ledger);
	ledger_format(bed->ledger, 1);
	bed->place = (struct ledger_place){ .ledger = bed->ledger };
	assert_int_equal(pool_new_private(&bed->pool, BED_PRIVATE_PAGES), 0);
	*state = bed;
	return 0;
}

static inline int bed_close(void **state)
{
	struct bed *bed = *state;

	pool_free(bed->pool);
	if (!bed->shared)
		free(bed->ledger);
	arena_close(&bed->arena);
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
	for (uint32_t page = 1; page < ARENA_EXTENTS; page++)
		n += pool_claim(pool, page) != 0;
	return n;
}

/* The same arena, mapped elsewhere, with a pool that knows nothing yet. */
static inline void bed_reopen(const struct bed *bed, struct bed *again)
{
	*again = (struct bed){ .shared = true };
	assert_int_equal(arena_open(&again->arena, dup(bed->arena.fd)), 0);
	again->ledger = (struct ledger *)(again->arena.base + arena_ledger_off(BED_DOMID));
	again->place = (struct ledger_place){ .ledger = again->ledger, .arena = &again->arena };
	assert_int_equal(pool_new_shared(&again->pool, &again->arena), 0);
}

static inline void bed_reclose(struct bed *again)
{
	pool_free(again->pool);
	arena_close(&again->arena);
}

#define BED_TEST(name) cmocka_unit_test_setup_teardown(name, bed_open_shared, bed_close)
#define BED_TEST_PRIVATE(name)                                              \
	{                                                                   \
#name " (private)", name, bed_open_private, bed_close, NULL \
	}
#define BED_TEST_BOTH(name) BED_TEST(name), BED_TEST_PRIVATE(name)

#endif
