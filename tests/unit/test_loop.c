// SPDX-License-Identifier: MIT
/*
 * The loop runs what is ready, once a round; who is short of memory runs again later and later, and
 * nobody else with it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>
#include <event2/event.h>

#include "proxy/loop.h"

struct bed {
	struct event_base *base;
	struct loop *loop;
	struct loop_task busy, needy;
	uint32_t busy_runs, needy_runs;
	uint32_t needs; /* how often there is no memory yet */
	uint64_t ran_ms[8];
};

static uint64_t now_ms(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void run_busy(struct loop_task *task)
{
	struct bed *bed = (struct bed *)((char *)task - offsetof(struct bed, busy));

	bed->busy_runs++;
}

static void run_needy(struct loop_task *task)
{
	struct bed *bed = (struct bed *)((char *)task - offsetof(struct bed, needy));

	bed->ran_ms[bed->needy_runs++] = now_ms();
	if (bed->needy_runs <= bed->needs) {
		loop_retry(bed->loop, task);
		loop_retry(bed->loop, task);
	} else {
		loop_stop(bed->loop);
	}
}

static void nothing(void *arg)
{
	(void)arg;
}

static bool may_sleep(void *arg)
{
	(void)arg;
	return true;
}

static int setup(void **state)
{
	static struct bed bed;
	const struct loop_hooks hooks = { nothing, nothing, may_sleep, nothing, &bed };

	bed = (struct bed){ .busy.run = run_busy, .needy.run = run_needy };
	bed.base = event_base_new();
	assert_non_null(bed.base);
	assert_int_equal(loop_new(&bed.loop, bed.base, &hooks), 0);
	*state = &bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	loop_free(bed->loop);
	event_base_free(bed->base);
	return 0;
}

static void only_who_is_short_runs_again(void **state)
{
	struct bed *bed = *state;

	bed->needs = 2;
	loop_ready(bed->loop, &bed->busy);
	loop_ready(bed->loop, &bed->busy);
	loop_ready(bed->loop, &bed->needy);
	loop_run(bed->loop);
	assert_int_equal(bed->busy_runs, 1);
	assert_int_equal(bed->needy_runs, 3);
	assert_false(bed->needy.queued || bed->needy.delayed);
}

/* libevent's clock may be some milliseconds behind. */
static void later_and_later(void **state)
{
	static const uint64_t least[] = { 45, 90, 180 };
	struct bed *bed = *state;

	bed->needs = 3;
	loop_ready(bed->loop, &bed->needy);
	loop_run(bed->loop);
	assert_int_equal(bed->needy_runs, 4);
	for (size_t i = 0; i < 3; i++)
		assert_in_range(bed->ran_ms[i + 1] - bed->ran_ms[i], least[i], UINT32_MAX);
}

static void who_is_forgotten_runs_no_more(void **state)
{
	struct bed *bed = *state;

	bed->needs = 1;
	run_needy(&bed->needy);
	assert_true(bed->needy.delayed);
	loop_forget(bed->loop, &bed->needy);
	assert_false(bed->needy.delayed);
	/* The timer still comes, and finds nobody. */
	assert_int_equal(event_base_loop(bed->base, EVLOOP_ONCE), 0);
	assert_int_equal(bed->needy_runs, 1);
	assert_false(bed->needy.queued);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(only_who_is_short_runs_again),
		TEST(later_and_later),
		TEST(who_is_forgotten_runs_no_more),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
