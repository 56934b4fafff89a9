// SPDX-License-Identifier: MIT
/*
 * Who chooses keys cannot have them collide: names made for uthash's own function lie in many
 * buckets, and where they lie is different in each process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/table.h"

#include "tests/unit/colliding.h"

#define NAMES 4096

struct element {
	UT_hash_handle hh;
	char name[COLLIDING_LEN];
};

static struct element elements[NAMES];

static void chosen_names_do_not_collide(void **state)
{
	struct element *table = NULL;
	uint64_t next = 0;
	uint32_t longest = 0;

	(void)state;
	for (uint32_t i = 0; i < NAMES; i++) {
		colliding_name(elements[i].name, &next);
		HASH_ADD(hh, table, name, COLLIDING_LEN, &elements[i]);
	}
	for (uint32_t i = 0; i < table->hh.tbl->num_buckets; i++)
		if (table->hh.tbl->buckets[i].count > longest)
			longest = table->hh.tbl->buckets[i].count;
	assert_int_equal(HASH_COUNT(table), NAMES);
	assert_in_range(longest, 1, 64);
	HASH_CLEAR(hh, table);
}

static void a_seed_changes_every_hash(void **state)
{
	uint64_t before = table_hash("name", 4), one;

	(void)state;
	assert_int_equal(table_hash("name", 4), before);
	assert_int_not_equal(table_hash("nama", 4), before);
	assert_int_equal(table_seed(), 0);
	one = table_hash("name", 4);
	assert_int_not_equal(one, before);
	assert_int_equal(table_seed(), 0);
	assert_int_not_equal(table_hash("name", 4), one);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(chosen_names_do_not_collide),
		cmocka_unit_test(a_seed_changes_every_hash),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
