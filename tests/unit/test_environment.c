// SPDX-License-Identifier: MIT
/*
 * test_environment - what of ours a daemon without the bridge gets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h> /* needs the above */

#include "starter/environment.h"

#define BRIDGE "/usr/lib/xsproxy/libxsproxy-bridge.so"

/* @given: what there is; nothing in it is changed */
static void assert_left(char **given, char **want)
{
	char **before = environ;
	struct environment environment;
	size_t nr;

	environ = given;
	assert_int_equal(environment_make(&environment), 0);
	for (nr = 0; environment.words[nr] && want[nr]; nr++)
		assert_string_equal(environment.words[nr], want[nr]);
	assert_null(environment.words[nr]);
	assert_null(want[nr]);
	environment_clear(&environment);
	environ = before;
}

#define WORDS(...) ((char *[]){ __VA_ARGS__, NULL })
#define NONE	   ((char *[]){ NULL })

static void test_what_is_ours(void **state)
{
	(void)state;
	assert_left(WORDS("PATH=/bin", "XSPROXY_DIR=/run", "XSPROXY_RINGS=7",
			  "XENSTORED_PATH=/run/xsproxy/upstream", "XENSTORED_RUNDIR=/run",
			  "LD_PRELOADED=x", "X=XSPROXY_Y"),
		    WORDS("PATH=/bin", "XSPROXY_DIR=/run", "XENSTORED_RUNDIR=/run",
			  "LD_PRELOADED=x", "X=XSPROXY_Y"));
	assert_left(NONE, NONE);
}

static void test_other_libraries(void **state)
{
	(void)state;
	assert_left(WORDS("LD_PRELOAD=" BRIDGE ":/a.so"), WORDS("LD_PRELOAD=/a.so"));
	assert_left(WORDS("LD_PRELOAD=/a.so " BRIDGE "  /b.so"), WORDS("LD_PRELOAD=/a.so:/b.so"));
	assert_left(WORDS("LD_PRELOAD=libxsproxy-bridge.so"), NONE);
	assert_left(WORDS("LD_PRELOAD=" BRIDGE ":"), NONE);
	assert_left(WORDS("LD_PRELOAD=/a.so:/libxsproxy-bridge.so.1"),
		    WORDS("LD_PRELOAD=/a.so:/libxsproxy-bridge.so.1"));
	assert_left(WORDS("LD_PRELOAD=", "A=b"), WORDS("A=b"));
	assert_left(WORDS("LD_PRELOAD=/a.so", "LD_PRELOAD=/b.so"), WORDS("LD_PRELOAD=/a.so"));
}

/* It may be called otherwise; what comes behind it is what the daemon would have had without. */
static void test_another_bridge(void **state)
{
	(void)state;
	assert_left(WORDS("XSPROXY_PRELOAD=/my.so:/a.so", "LD_PRELOAD=/my.so:/a.so:/my.so.1"),
		    WORDS("LD_PRELOAD=/a.so:/my.so.1"));
	assert_left(WORDS("XSPROXY_PRELOAD=", "LD_PRELOAD=/my.so"), WORDS("LD_PRELOAD=/my.so"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_ours),
		cmocka_unit_test(test_other_libraries),
		cmocka_unit_test(test_another_bridge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
