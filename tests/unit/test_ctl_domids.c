// SPDX-License-Identifier: MIT
/* A domain on a command line: what is all digits is a number, as xl has it; all else is a name. */
#include "tests/unit/options_bed.h"

static void assert_name(const char *word, bool is)
{
	const struct report report = { stderr, "test" };
	char *argv[] = { (char *)"watches", (char *)"--", (char *)word, NULL };
	struct options options;

	assert_int_equal(options_parse(&options, OPTION_JSON, ARGUMENT_DOMID, 3, argv, &report), 0);
	assert_true(options.has_domid);
	if (is)
		assert_ptr_equal(options.name, word);
	else
		assert_null(options.name);
	options_free(&options);
}

static void what_is_a_name(void **state)
{
	static const char *const names[] = { "-1", "+7", "7x", "0x7", "x", "Domain-0", " 7", "7 " };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_name(names[i], true);
	assert_name("0", false);
	assert_name("007", false);
	assert_name("32751", false);
}

static void several(void **state)
{
	const struct report report = { stderr, "test" };
	char *argv[] = { (char *)"trace", (char *)"7", (char *)"web", (char *)"9", NULL };
	struct options options;

	(void)state;
	assert_int_equal(options_parse(&options, OPTION_FILTER, ARGUMENT_DOMIDS, 4, argv, &report),
			 0);
	assert_int_equal(options.filter.nr_domids, 3);
	assert_int_equal(options.filter.domids[0], 7);
	assert_ptr_equal(options.filter.names[1], argv[2]);
	assert_null(options.filter.names[0]);
	assert_int_equal(options.filter.domids[2], 9);
	options_free(&options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_a_name),
		cmocka_unit_test(several),
	};

	return cmocka_run_group_tests_name("ctl, domids", tests, NULL, NULL);
}
