// SPDX-License-Identifier: MIT
/*
 * test_ctl_urge - who is in the way of a live update, of what the daemons answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h> /* needs the above */

/* Part of xsproxyctl alone, so not in the library that unit tests are linked with. */
#include "ctl/urge_blame.c"

static void assert_blames(const char *answer, const char *said)
{
	char out[512];

	/* oxenstored's has no NUL. */
	for (size_t nul = 0; nul < 2; nul++) {
		urge_blame(answer, strlen(answer) + nul, out, sizeof(out));
		assert_string_equal(out, said);
	}
}

static void test_c(void **state)
{
	(void)state;
	assert_blames("Domains with long running transactions:\nDomain 7: 3 s",
		      "domain 7 has had a transaction open for 3 s");
	assert_blames("Domains with long running transactions:\nDomain 0: 1 s\nDomain 12: 30 s",
		      "domain 0 (or a toolstack) has had a transaction open for 1 s, domain 12 has "
		      "had a transaction open for 30 s");
	assert_blames("Overlapping transactions", "Overlapping transactions");
	assert_blames("File not executable.", "File not executable");
}

static void test_oxenstored(void **state)
{
	(void)state;
	assert_blames("D7: 1 tx, out: false, perm: 7\"rw\"", "domain 7 has 1 transaction open");
	assert_blames("A2: 0 tx, out: true, perm: 0\"rw\"\nA1: 2 tx, out: false, perm: 0\"rw\"\n"
		      "D8: 0 tx, out: false, perm: 8\"rw\"7\"rw\"",
		      "a toolstack's connection has 2 transactions open, domain 8 has a target "
		      "(SET_TARGET)");
	/* Its own answer is what is just being sent. */
	assert_blames("A2: 0 tx, out: true, perm: 0\"rw\"",
		      "a connection has a request or an answer in part");
	assert_blames("Command '/x/live.update' exited with code 2",
		      "Command '/x/live.update' exited with code 2");
}

/* Nothing of these is what they say. */
static void test_others(void **state)
{
	(void)state;
	assert_blames("", "a connection has a request or an answer in part");
	assert_blames("Domain x: 3 s", "Domain x: 3 s");
	assert_blames("Domain 7: s", "Domain 7: s");
	assert_blames("D7 1 tx", "D7 1 tx");
	assert_blames("D: 1 tx, out:", "D: 1 tx, out:");
}

static void test_too_much(void **state)
{
	char out[16], line[1024];

	(void)state;
	memset(line, 'a', sizeof(line));
	urge_blame(line, sizeof(line), out, sizeof(out));
	assert_string_equal(out, "aaaaaaaaaaaaaaa");
	for (size_t i = 1; i < sizeof(line); i += 2)
		line[i] = '\n';
	urge_blame(line, sizeof(line), out, sizeof(out));
	assert_string_equal(out, "a, a, a, a, a, ");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_c),
		cmocka_unit_test(test_oxenstored),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
