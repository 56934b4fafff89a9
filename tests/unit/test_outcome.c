// SPDX-License-Identifier: MIT
/*
 * What came of an exchange of xenstored, as the xsproxyd that saw it end left it, or one that did
 * not get that far.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/exchange/outcome.h"
#include "proxy/session/ledgers.h"

static void test_end(void **state)
{
	const struct exchange_result done = {
		.outcome = EXCHANGE_UNCHANGED, .why = "it does not", .pause_ms = 7, .ended = 50
	};
	struct ledgers_exchange at = { .stage = 0 };
	struct exchange_result result;

	(void)state;
	assert_false(outcome_read(&at, &result));
	outcome_begin(&at, 43);
	assert_false(outcome_read(&at, &result));
	outcome_end(&at, &done);
	assert_true(outcome_read(&at, &result));
	assert_int_equal(result.outcome, EXCHANGE_UNCHANGED);
	assert_string_equal(result.why, "it does not");
	assert_int_equal(result.pause_ms, 7);
	assert_int_equal(result.ended, 50);
	outcome_begin(&at, 60);
	assert_false(outcome_read(&at, &result));
}

static void test_left(void **state)
{
	struct ledgers_exchange at = { .stage = 0 };
	struct exchange_result result;

	(void)state;
	outcome_begin(&at, 43);
	atomic_store(&at.tries, 1);
	assert_int_equal(outcome_left(&at, &result), 43);
	assert_int_equal(result.outcome, 0);
	assert_string_equal(result.why, "");
	outcome_blame(&at, "no memory");
	atomic_store(&at.tries, 2);
	outcome_left(&at, &result);
	assert_int_equal(result.outcome, EXCHANGE_RESTORED);
	assert_string_equal(result.why, "no memory");
}

/* One that was killed while it wrote has left no end. */
static void test_a_reason_without_an_end(void **state)
{
	struct ledgers_exchange at = { .ended = 50 };
	struct exchange_result result;
	char why[400];

	(void)state;
	memset(at.why, 'x', sizeof(at.why));
	assert_true(outcome_read(&at, &result));
	assert_int_equal(strlen(result.why), sizeof(result.why) - 1);
	memset(why, 'y', sizeof(why));
	why[sizeof(why) - 1] = '\0';
	outcome_blame(&at, why);
	assert_int_equal(strlen(at.why), sizeof(at.why) - 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_left),
		cmocka_unit_test(test_a_reason_without_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
