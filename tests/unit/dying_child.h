/* SPDX-License-Identifier: MIT */
/*
 * dying_child - a child that is run instruction by instruction (ptrace), to find the places where
 * its death makes a difference, and is killed at one of them.
 *
 * The child says PTRACE_TRACEME and stops; the parent has waited for that.
 */
#ifndef XSPROXY_TESTS_UNIT_DYING_CHILD_H
#define XSPROXY_TESTS_UNIT_DYING_CHILD_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A place to die: so many system calls, then so many instructions. */
struct point {
	uint32_t calls, steps;
};

/* Whether the instruction that it has done was a system call; false where nobody knows. */
static inline bool was_call(pid_t pid)
{
#ifdef __x86_64__
	return ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, orig_rax), NULL) >= 0;
#else
	(void)pid;
	return false;
#endif
}

/* Return: false once it has come to its end, and has been reaped. */
static inline bool child_goes_on(pid_t pid, enum __ptrace_request how)
{
	int status;

	assert_int_equal(ptrace(how, pid, NULL, NULL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* Of an ignored SIGPIPE whoever traces is told all the same. */
	if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGPIPE)
		return child_goes_on(pid, how);
	if (WIFSTOPPED(status)) {
		assert_int_equal(WSTOPSIG(status), SIGTRAP);
		return true;
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return false;
}

/*
 * Let it live to its end.
 * @changed: whether what it leaves is another than after the instruction before
 *
 * Return: how many places there are where it is, in @points.
 */
static inline int child_lives(pid_t pid, struct point *points, int max, bool (*changed)(void *arg),
			      void *arg)
{
	struct point at = { 0, 0 };
	int n = 0;

	while (child_goes_on(pid, PTRACE_SINGLESTEP)) {
		at.steps++;
		if (was_call(pid))
			at = (struct point){ at.calls + 1, 0 };
		if (changed(arg)) {
			assert_true(n < max);
			points[n++] = at;
		}
	}
	return n;
}

static inline void child_dies_at(pid_t pid, struct point point)
{
	int status;

	/* Each stops twice. */
	for (uint32_t i = 0; i < 2 * point.calls; i++)
		assert_true(child_goes_on(pid, PTRACE_SYSCALL));
	for (uint32_t i = 0; i < point.steps; i++)
		assert_true(child_goes_on(pid, PTRACE_SINGLESTEP));
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static inline bool may_trace(void)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) ? 1 : 0);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}

#endif
