// SPDX-License-Identifier: MIT
/* Who is put aside: the domain that a process served when it crashed, twice in a row. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/session/blame.h"
#include "proxy/session/ledgers.h"

#define NOBODY UINT32_MAX

static int setup(void **state)
{
	*state = mmap(NULL, sizeof(struct ledgers_blame), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return *state == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
	return munmap(*state, sizeof(struct ledgers_blame));
}

/*
 * A process that serves @domid and ends by @sig; how it does so is the caller's @end.
 * Return: whom it put aside before.
 */
static int life(struct ledgers_blame *blame, uint32_t domid, int sig, void (*end)(int sig))
{
	int aside[2], said = -2, status;
	pid_t pid;

	assert_int_equal(pipe(aside), 0);
	pid = fork();
	if (!pid) {
		const struct rlimit no_core = { 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		for (int i = 1; i < NSIG; i++)
			signal(i, SIG_DFL);
		said = blame_begin(blame);
		if (write(aside[1], &said, sizeof(said)) != sizeof(said))
			_exit(1);
		blame_turn(3);
		blame_rest();
		if (domid != NOBODY)
			blame_turn(domid);
		end(sig);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == sig);
	assert_int_equal(read(aside[0], &said, sizeof(said)), sizeof(said));
	close(aside[0]);
	close(aside[1]);
	return said;
}

static void by_raise(int sig)
{
	raise(sig);
}

static void by_abort(int sig)
{
	(void)sig;
	abort();
}

/* As the watchdog does it. */
static void from_outside(int sig)
{
	kill(getpid(), sig);
}

static void twice_in_a_row(void **state)
{
	static const struct {
		int sig;
		void (*end)(int sig);
	} ends[] = { { SIGSEGV, by_raise }, { SIGBUS, by_raise },      { SIGILL, by_raise },
		     { SIGFPE, by_raise },  { SIGABRT, from_outside }, { SIGABRT, by_abort } };
	struct ledgers_blame *blame = *state;

	for (uint32_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		uint32_t domid = 100 * i;

		assert_int_equal(life(blame, domid, ends[i].sig, ends[i].end), -1);
		assert_int_equal(life(blame, domid, ends[i].sig, ends[i].end), -1);
		assert_false(blame_is_aside(blame, domid));
		/* The third one knows. */
		assert_int_equal(life(blame, NOBODY, SIGKILL, by_raise), domid);
		assert_true(blame_is_aside(blame, domid));
		assert_int_equal(life(blame, NOBODY, SIGKILL, by_raise), -1);
		assert_true(blame_is_aside(blame, domid));
		blame_forgive(blame, domid);
		assert_false(blame_is_aside(blame, domid));
	}
}

static void whoever_is_killed_blames_nobody(void **state)
{
	struct ledgers_blame *blame = *state;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(life(blame, 7, SIGKILL, from_outside), -1);
		assert_int_equal(life(blame, 7, SIGTERM, from_outside), -1);
	}
	assert_false(blame_is_aside(blame, 7));
}

static void nobodys_turn_blames_nobody(void **state)
{
	for (int i = 0; i < 4; i++)
		assert_int_equal(life(*state, NOBODY, SIGSEGV, by_raise), -1);
}

static void another_domain_breaks_the_row(void **state)
{
	struct ledgers_blame *blame = *state;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(life(blame, 7, SIGSEGV, by_raise), -1);
		assert_int_equal(life(blame, 8, SIGSEGV, by_raise), -1);
	}
}

/* Whatever a stray store left there. */
static void nonsense_puts_nobody_aside(void **state)
{
	struct ledgers_blame *blame = *state;

	atomic_store(&blame->suspect, UINT32_MAX);
	atomic_store(&blame->times, UINT32_MAX);
	assert_int_equal(life(blame, NOBODY, SIGKILL, by_raise), -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(twice_in_a_row),
		TEST(whoever_is_killed_blames_nobody),
		TEST(nobodys_turn_blames_nobody),
		TEST(another_domain_breaks_the_row),
		TEST(nonsense_puts_nobody_aside),
	};

	return cmocka_run_group_tests_name("blame", tests, NULL, NULL);
}
