// SPDX-License-Identifier: MIT
/*
 * test_ox_quotas - what of oxenstored's configuration file counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h> /* needs the above */

#include "migration/ox_quotas.h"

#include <limits.h>

static void assert_quotas(const char *text, size_t value, unsigned int watches, size_t path)
{
	struct conversion_options options = { .max_value = 1, .max_watches = 1, .max_path = 1 };
	char name[] = "/tmp/test_ox_quotas.XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	ox_quotas_read(&options, name);
	unlink(name);
	assert_int_equal(options.max_value, value);
	assert_int_equal(options.max_watches, watches);
	assert_int_equal(options.max_path, path);
}

static void test_values(void **state)
{
	(void)state;
	assert_quotas("", 0, 0, 2048);
	assert_quotas("# quota-maxsize = 1\n"
		      "\tquota-maxsize=4096 \n\n"
		      "quota-maxwatch = 7\nquota-path-max = 1024",
		      4096, 8, 1024);
	/* The last one counts. */
	assert_quotas("quota-maxsize = 1\nquota-maxsize = 2\n", 2, 0, 2048);
	assert_quotas("quota-maxwatch = 0\n", 0, UINT_MAX, 2048);
	assert_quotas("quota-activate = false\nquota-maxsize = 7\n", SIZE_MAX, UINT_MAX, 2048);
	assert_quotas("quota-activate = true\nquota-maxsize = 7\n", 7, 0, 2048);
}

/* What is no number, oxenstored complains of and leaves as it was. */
static void test_garbage(void **state)
{
	(void)state;
	assert_quotas("quota-maxsize\n= 5\nquota-maxsize = much\nquota-maxsize =\n"
		      "quota-maxsize = 7 or 8\nquota-maxwatch = -3\nquota-path-max = 0\n",
		      0, 0, 2048);
}

static void test_no_file(void **state)
{
	struct conversion_options options = { .max_value = 1 };

	(void)state;
	ox_quotas_read(&options, "/nonexistent/oxenstored.conf");
	assert_int_equal(options.max_value, 0);
	assert_int_equal(options.max_path, 2048);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
