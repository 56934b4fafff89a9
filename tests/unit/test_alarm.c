// SPDX-License-Identifier: MIT
/* An alarm expires once, not before its time, and at the last time that it was set to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>

#include "protocol/clock.h"
#include "proxy/alarm.h"

#define LONG_MS 3600000u

struct bed {
	struct event_base *base;
	struct alarm *alarm;
	uint32_t expired;
	bool was_set; /* when it expired */
	bool again;
};

static void expire(void *arg)
{
	struct bed *bed = arg;

	bed->expired++;
	bed->was_set = alarm_is_set(bed->alarm);
	if (bed->again)
		alarm_set(bed->alarm, LONG_MS);
}

static int setup(void **state)
{
	static struct bed bed;

	bed = (struct bed){ 0 };
	bed.base = event_base_new();
	assert_non_null(bed.base);
	assert_int_equal(alarm_new(&bed.alarm, bed.base, expire, &bed), 0);
	*state = &bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	assert_null(alarm_free(bed->alarm));
	event_base_free(bed->base);
	return 0;
}

/* Until something expires. */
static void run_once(struct bed *bed)
{
	assert_int_equal(event_base_loop(bed->base, EVLOOP_ONCE), 0);
}

static void assert_silent(struct bed *bed)
{
	uint32_t before = bed->expired;

	assert_int_equal(event_base_loop(bed->base, EVLOOP_NONBLOCK), 0);
	assert_int_equal(bed->expired, before);
}

static void in_its_time(void **state)
{
	struct bed *bed = *state;
	uint64_t since = clock_monotonic();

	assert_false(alarm_is_set(bed->alarm));
	assert_silent(bed);
	alarm_set(bed->alarm, 20);
	assert_true(alarm_is_set(bed->alarm));
	run_once(bed);
	assert_true(clock_monotonic() - since >= 20000000u);
	assert_int_equal(bed->expired, 1);
	assert_false(bed->was_set);
	assert_silent(bed);
}

static void at_once(void **state)
{
	struct bed *bed = *state;

	alarm_set(bed->alarm, LONG_MS);
	alarm_set(bed->alarm, 0);
	run_once(bed);
	assert_int_equal(bed->expired, 1);
	assert_false(alarm_is_set(bed->alarm));
}

static void later_after_all(void **state)
{
	struct bed *bed = *state;

	alarm_set(bed->alarm, 0);
	alarm_set(bed->alarm, LONG_MS);
	assert_silent(bed);
	assert_true(alarm_is_set(bed->alarm));
}

static void set_anew_when_it_expires(void **state)
{
	struct bed *bed = *state;

	bed->again = true;
	alarm_set(bed->alarm, 1);
	run_once(bed);
	assert_false(bed->was_set);
	assert_true(alarm_is_set(bed->alarm));
	assert_silent(bed);
}

static void of_none(void **state)
{
	(void)state;
	assert_null(alarm_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(in_its_time, setup, teardown),
		cmocka_unit_test_setup_teardown(at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(later_after_all, setup, teardown),
		cmocka_unit_test_setup_teardown(set_anew_when_it_expires, setup, teardown),
		cmocka_unit_test(of_none),
	};

	return cmocka_run_group_tests_name("alarm", tests, NULL, NULL);
}
