/* SPDX-License-Identifier: MIT */
/*
 * bed - a ledger with a pool of pages under it, as a session has it; and a look at the same ledger
 * through the eyes of the next process.
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

#define BED_DOMID 7

struct bed {
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

static inline int bed_open(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	assert_non_null(bed);
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

static inline int bed_close(void **state)
{
	struct bed *bed = *state;

	pool_free(bed->pool);
	ledgers_close(&bed->ledgers);
	rings_close(&bed->rings);
	free(bed);
	return 0;
}

/* From now on there are no more than @pages, and some that are vital. None was taken yet. */
static inline void bed_bound(struct bed *bed, uint32_t pages)
{
	account_init(&bed->account, bed->pool, false, pages);
}

/* Take all pages that @alloc still gives. Return: one of them. */
static inline uint32_t bed_exhaust(struct bed *bed, uint32_t (*alloc)(struct account *account))
{
	uint32_t last = 0, page;

	while ((page = alloc(&bed->account)))
		last = page;
	assert_int_not_equal(last, 0);
	return last;
}

/* How many pages a pool has handed out. It can only be freed afterwards. */
static inline uint32_t bed_pages_used(struct pool *pool)
{
	uint32_t n = 0;

	for (uint32_t page = 1; page < POOL_SHARED; page++)
		n += pool_claim(pool, page) != 0;
	return n;
}

/* The same memory, mapped elsewhere, with a pool that knows nothing yet. */
static inline void bed_reopen(const struct bed *bed, struct bed *again)
{
	*again = (struct bed){ .ledger = NULL };
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

#define BED_TEST(name) cmocka_unit_test_setup_teardown(name, bed_open, bed_close)

#endif
