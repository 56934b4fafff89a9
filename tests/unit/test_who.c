// SPDX-License-Identifier: MIT
/*
 * Who is at the other end of a socket, and how that is said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/session/who.h"

static void assert_text(const struct who *who, const char *want)
{
	char text[WHO_TEXT_MAX];

	assert_string_equal(who_text(who, text), want);
}

static void how_it_is_said(void **state)
{
	(void)state;
	assert_text(&WHO_KERNEL, "dom0's kernel");
	assert_text(&(struct who){ 0 }, "somebody");
	/* Another pid namespace's process has no pid here. */
	assert_text(&(struct who){ .uid = 1000 }, "somebody (uid 1000)");
	assert_text(&(struct who){ .pid = 5, .uid = 1000 }, "? (pid 5, uid 1000)");
	assert_text(&(struct who){ .pid = 5, .comm = "xsproxyctl", .verb = "export" },
		    "xsproxyctl export (pid 5, uid 0)");
	assert_text(&(struct who){ .pid = INT32_MAX,
				   .uid = UINT32_MAX,
				   .comm = "fifteen-letters",
				   .verb = "export" },
		    "fifteen-letters export (pid 2147483647, uid 4294967295)");
}

static void who_is_at_the_other_end(void **state)
{
	struct who who;
	int ends[2];

	(void)state;
	/* Under valgrind a program's name is valgrind's. */
	assert_int_equal(prctl(PR_SET_NAME, "test_who"), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_true(who_peer(ends[0], &who));
	assert_int_equal(who.pid, getpid());
	assert_int_equal(who.uid, geteuid());
	assert_string_equal(who.comm, "test_who");
	close(ends[0]);
	close(ends[1]);
	/* Of whom nothing is known is not taken for root. */
	assert_int_equal(pipe(ends), 0);
	assert_false(who_peer(ends[0], &who));
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(how_it_is_said),
		cmocka_unit_test(who_is_at_the_other_end),
	};

	return cmocka_run_group_tests_name("who", tests, NULL, NULL);
}
