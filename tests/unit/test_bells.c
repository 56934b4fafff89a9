// SPDX-License-Identifier: MIT
/*
 * The doorbells. What counts: a bell that was rung is taken, by whatever interleaving and also when
 * its ringer died half-way and a successor rings everything once more.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "link/bells.h"

/* What two processes share in a test, besides the bells. */
struct shared {
	struct bells bells;
	_Atomic uint64_t rung[ARENA_DOMIDS]; /* work that was announced */
	_Atomic uint32_t finished;
};

static int setup(void **state)
{
	void *shared = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(shared, MAP_FAILED);
	*state = shared;
	return 0;
}

static int teardown(void **state)
{
	munmap(*state, sizeof(struct shared));
	return 0;
}

static void ring_once_take_once(void **state)
{
	struct bells *bells = &((struct shared *)*state)->bells;
	const uint32_t domids[] = { 0, 1, 63, 64, 4095, 4096, ARENA_DOMIDS - 1 };
	uint32_t cursor = 0;
	size_t i;

	assert_int_equal(bells_take(bells, &cursor), -1);
	for (i = 0; i < sizeof(domids) / sizeof(domids[0]); i++) {
		assert_false(bells_any(bells));
		assert_true(bells_ring(bells, domids[i]));
		assert_false(bells_ring(bells, domids[i]));
		assert_true(bells_any(bells));
		assert_int_equal(bells_take(bells, &cursor), domids[i]);
		assert_int_equal(bells_take(bells, &cursor), -1);
	}
	for (i = 0; i < ARENA_DOMIDS / 64; i++)
		assert_int_equal(atomic_load(&bells->leaf[i]), 0);
}

static void everybody_gets_a_turn(void **state)
{
	struct bells *bells = &((struct shared *)*state)->bells;
	uint32_t cursor = 0, turns[3] = { 0 }, i;
	const uint32_t domids[3] = { 5, 6, 9000 };

	/* Three domains that never stop ringing are served alike. */
	for (i = 0; i < 3000; i++) {
		int k, domid;

		for (k = 0; k < 3; k++)
			bells_ring(bells, domids[k]);
		domid = bells_take(bells, &cursor);
		for (k = 0; k < 3; k++)
			turns[k] += domid == (int)domids[k];
	}
	assert_int_equal(turns[0], 1000);
	assert_int_equal(turns[1], 1000);
	assert_int_equal(turns[2], 1000);
}

static void all_of_them_in_order(void **state)
{
	struct bells *bells = &((struct shared *)*state)->bells;
	uint32_t cursor = 17, i;

	for (i = 0; i < ARENA_DOMIDS; i++)
		assert_true(bells_ring(bells, i));
	for (i = 0; i < ARENA_DOMIDS; i++)
		assert_int_equal(bells_take(bells, &cursor), (i + 17) % ARENA_DOMIDS);
	assert_int_equal(bells_take(bells, &cursor), -1);
	assert_false(bells_any(bells));
}

/* Its ringer died after the leaf: a successor's ring must count as new, or nobody is woken. */
static void a_leaf_without_a_summary_is_rung_anew(void **state)
{
	struct bells *bells = &((struct shared *)*state)->bells;
	uint32_t cursor = 0;

	atomic_store(&bells->leaf[100], 1);
	assert_true(bells_ring(bells, 6400));
	assert_true(bells_any(bells));
	assert_int_equal(bells_take(bells, &cursor), 6400);
}

/* The taker's own leftovers must not keep "any" true, or the bridge would never let go. */
static void a_summary_without_a_leaf_is_cleared(void **state)
{
	struct bells *bells = &((struct shared *)*state)->bells;
	uint32_t cursor = 0;

	atomic_store(&bells->summary[1], 1ULL << 3);
	assert_true(bells_any(bells));
	assert_int_equal(bells_take(bells, &cursor), -1);
	assert_false(bells_any(bells));
}

/* Announces work for pseudo-random domains of @set until it has done @count, or for ever. */
static void ringer(struct shared *shared, uint32_t seed, uint64_t count, uint32_t set)
{
	uint64_t i;

	for (i = 0; i < count; i++) {
		uint32_t domid;

		seed = seed * 1664525u + 1013904223u;
		/* Spread over leaves and summaries, and yet close enough to collide. */
		domid = (seed >> 16) % set * (ARENA_DOMIDS / set);
		atomic_fetch_add_explicit(&shared->rung[domid], 1, memory_order_relaxed);
		bells_ring(&shared->bells, domid);
	}
}

static pid_t start_ringer(struct shared *shared, uint32_t seed, uint64_t count, uint32_t set)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		ringer(shared, seed, count, set);
		atomic_fetch_add(&shared->finished, 1);
		_exit(0);
	}
	return pid;
}

/* Takes one bell and does its work; returns how much that was, or -1 without a bell. */
static int64_t serve_one(struct shared *shared, uint32_t *cursor)
{
	int domid = bells_take(&shared->bells, cursor);

	if (domid < 0)
		return -1;
	return (int64_t)atomic_exchange(&shared->rung[domid], 0);
}

static void assert_nothing_left(struct shared *shared)
{
	uint32_t domid;

	for (domid = 0; domid < ARENA_DOMIDS; domid++)
		assert_int_equal(atomic_load(&shared->rung[domid]), 0);
	assert_false(bells_any(&shared->bells));
}

static void lost_nothing(struct shared *shared, uint32_t set)
{
	const uint64_t each = 3000000;
	uint64_t served = 0;
	uint32_t cursor = 0, last;
	pid_t pids[2];
	int i, status;

	for (i = 0; i < 2; i++)
		pids[i] = start_ringer(shared, 7u + (uint32_t)i, each, set);
	for (;;) {
		int64_t work;

		last = atomic_load(&shared->finished);
		work = serve_one(shared, &cursor);
		if (work >= 0)
			served += (uint64_t)work;
		else if (last == 2)
			break;
		else
			sched_yield();
	}
	for (i = 0; i < 2; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(served, 2 * each);
	assert_nothing_left(shared);
}

static void two_processes_one_leaf(void **state)
{
	lost_nothing(*state, 2);
}

static void two_processes_many_leaves(void **state)
{
	lost_nothing(*state, 512);
}

/* SIGKILL anywhere; then the successor rings every domain, as a restarted xsproxyd does. */
static void killed_ringers(void **state)
{
	struct shared *shared = *state;
	const uint32_t set = 512;
	uint32_t cursor = 0, domid;
	int round, status, i;
	pid_t pid;

	for (round = 0; round < 300; round++) {
		pid = start_ringer(shared, (uint32_t)round, UINT64_MAX, set);
		for (i = 0; i < 500 + round * 7; i++)
			if (serve_one(shared, &cursor) < 0)
				sched_yield();
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);

		for (domid = 0; domid < ARENA_DOMIDS; domid += ARENA_DOMIDS / set)
			bells_ring(&shared->bells, domid);
		while (serve_one(shared, &cursor) >= 0)
			;
		assert_nothing_left(shared);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ring_once_take_once, setup, teardown),
		cmocka_unit_test_setup_teardown(everybody_gets_a_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(all_of_them_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_leaf_without_a_summary_is_rung_anew, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_summary_without_a_leaf_is_cleared, setup,
						teardown),
		cmocka_unit_test_setup_teardown(two_processes_one_leaf, setup, teardown),
		cmocka_unit_test_setup_teardown(two_processes_many_leaves, setup, teardown),
		cmocka_unit_test_setup_teardown(killed_ringers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
