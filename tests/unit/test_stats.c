// SPDX-License-Identifier: MIT
/*
 * test_stats - what is counted where, and what quantiles say, against a sorted list of the same.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/observe/stats.h"

static void every_operation_and_error_has_a_place_of_its_own(void **state)
{
	/* 20 is a gap among the protocol's. */
	static const uint32_t types[] = { XS_CONTROL,		XS_READ, 26, MESSAGE_QUIESCE,
					  MESSAGE_RESET_DOMAIN, 20,	 27, MESSAGE_OURS_END };
	struct stats stats = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		stats_request(&stats, types[i], 20);
		if (stats_op(types[i]) == STATS_UNKNOWN)
			assert_string_equal(stats_op_name(stats_op(types[i])), "UNKNOWN");
		else
			assert_string_equal(stats_op_name(stats_op(types[i])),
					    message_name(types[i]));
	}
	assert_int_equal(stats.requests[XS_READ], 1);
	assert_int_equal(stats.requests[STATS_UNKNOWN], 3);
	assert_int_equal(stats_sum(stats.requests, STATS_OPS), 8);
	assert_int_equal(stats.octets_in, 8 * 20);

	stats_reply(&stats, 0, 18);
	stats_reply(&stats, ENOENT, 23);
	stats_reply(&stats, EDQUOT, 23);
	stats_reply(&stats, 12345, 23);
	assert_int_equal(stats_sum(stats.errors, STATS_ERRORS), 3);
	assert_int_equal(stats.errors[STATS_ERRORS - 1], 1);
	assert_string_equal(stats_error_name(STATS_ERRORS - 1), "OTHER");
	assert_string_equal(stats_error_name(message_error_index(ENOENT)), "ENOENT");
	assert_string_equal(stats_error_name(message_error_index(EDQUOT)), "EQUOTA");
	assert_int_equal(stats.octets_out, 18 + 3 * 23);
}

static void every_place_that_counts_has_a_name(void **state)
{
	(void)state;
	for (uint32_t type = 0; type < 2 * MESSAGE_OURS_END; type++)
		assert_non_null(stats_op_name(stats_op(type)));
}

static void buckets_follow_each_other_without_a_gap(void **state)
{
	(void)state;
	for (uint32_t i = 0; i + 1 < STATS_BUCKETS; i++) {
		struct stats stats = { 0 };
		uint64_t bound = stats_bound(i);

		stats_took(&stats, bound - 1, 0);
		stats_took(&stats, bound, 0);
		assert_int_equal(stats.total.bucket[i], 1);
		assert_int_equal(stats.total.bucket[i + 1], 1);
	}
	assert_true(stats_bound(STATS_BUCKETS - 1) == UINT64_MAX);
	/* From a microsecond to more than eight seconds */
	assert_int_equal(stats_bound(0), 1024);
	assert_true(stats_bound(STATS_BUCKETS - 2) > 8000000000);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void quantiles_are_right_within_a_bucket(void **state)
{
	enum { N = 5000 };
	static uint64_t all[N];
	struct stats stats = { 0 };

	(void)state;
	srand(1);
	for (int i = 0; i < N; i++) {
		/* over seven orders of magnitude */
		all[i] = (uint64_t)(rand() % 1000 + 1) << (rand() % 24);
		stats_took(&stats, all[i], all[i] / 3);
	}
	qsort(all, N, sizeof(all[0]), compare);
	for (uint32_t permille = 1; permille <= 1000; permille++) {
		uint64_t exact = all[(N * permille + 999) / 1000 - 1];
		uint64_t said = stats_quantile(&stats.total, permille);

		assert_true(said <= exact * 3 / 2 + 1024 && said + 1024 >= exact * 2 / 3);
	}
	assert_true(stats_quantile(&stats.total, 1000) == all[N - 1]);
	assert_true(stats.total.max == all[N - 1]);
	assert_true(stats.total.sum == stats.in_proxy.sum + stats.upstream.sum);
}

static void no_quantile_of_nothing(void **state)
{
	struct stats stats = { 0 };

	(void)state;
	assert_int_equal(stats_quantile(&stats.total, 500), 0);
	stats_took(&stats, 77, 0);
	assert_int_equal(stats_quantile(&stats.total, 1), 77);
	assert_int_equal(stats_quantile(&stats.total, 1000), 77);
}

static void merging_adds_everything(void **state)
{
	struct stats a = { .sessions = 1, .events = 2, .full = 3, .unread = 4 }, b = { 0 }, sum;

	(void)state;
	stats_request(&a, XS_READ, 30);
	stats_reply(&a, ENOENT, 23);
	stats_took(&a, 5000, 1000);
	stats_took(&b, 900000, 1000);
	stats_request(&b, XS_READ, 1);
	sum = a;
	stats_merge(&sum, &b);
	assert_int_equal(sum.sessions, 1);
	assert_int_equal(sum.events, 2);
	assert_int_equal(sum.full, 3);
	assert_int_equal(sum.unread, 4);
	assert_int_equal(sum.requests[XS_READ], 2);
	assert_int_equal(sum.octets_in, 31);
	assert_int_equal(sum.octets_out, 23);
	assert_int_equal(sum.total.count, 2);
	assert_int_equal(sum.total.sum, 905000);
	assert_int_equal(sum.total.max, 900000);
	assert_int_equal(sum.in_proxy.sum, 903000);
	assert_int_equal(sum.upstream.sum, 2000);
	assert_int_equal(stats_sum(sum.total.bucket, STATS_BUCKETS), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_operation_and_error_has_a_place_of_its_own),
		cmocka_unit_test(every_place_that_counts_has_a_name),
		cmocka_unit_test(buckets_follow_each_other_without_a_gap),
		cmocka_unit_test(quantiles_are_right_within_a_bucket),
		cmocka_unit_test(no_quantile_of_nothing),
		cmocka_unit_test(merging_adds_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
