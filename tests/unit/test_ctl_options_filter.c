// SPDX-License-Identifier: MIT
/*
 * test_ctl_options_filter - the command lines of trace and capture.
 */
#include "tests/unit/options_bed.h"

#define FILTER (OPTION_FILTER | OPTION_JSON)

static void test_filter(void **state)
{
	struct result result;
	const struct filter *filter = &result.options.filter;

	(void)state;
	parse(&result, FILTER, ARGUMENT_DOMIDS,
	      "trace 7 --op READ,write --op quiesce --path /local --errors 0 --slower 0.5 --events "
	      "--new --snap 100");
	assert_int_equal(result.r, 0);
	assert_int_equal(filter->nr_domids, 2);
	assert_int_equal(filter->domids[0], 7);
	assert_int_equal(filter->domids[1], 0);
	assert_int_equal(filter->nr_ops, 3);
	assert_int_equal(filter->ops[0], XS_READ);
	assert_int_equal(filter->ops[1], XS_WRITE);
	assert_int_equal(filter->ops[2], 0x100);
	assert_string_equal(filter->path, "/local");
	assert_true(filter->wanted.errors && filter->events && filter->new);
	assert_int_equal(filter->wanted.slower, 500000);
	assert_int_equal(filter->snap, 100);
	options_free(&result.options);

	parse(&result, FILTER, ARGUMENT_DOMIDS, "trace --op unknown,0x14,2 --path @releaseDomain");
	assert_int_equal(result.r, 0);
	assert_true(filter->unknown);
	assert_int_equal(filter->nr_ops, 2);
	assert_int_equal(filter->ops[0], 20);
	assert_int_equal(filter->ops[1], XS_READ);
	assert_string_equal(filter->path, "@releaseDomain");
	options_free(&result.options);

	parse(&result, FILTER, ARGUMENT_DOMIDS, "trace");
	assert_int_equal(result.r, 0);
	assert_int_equal(filter->nr_domids + filter->nr_ops + filter->snap, 0);
	assert_false(filter->wanted.errors || filter->events || filter->new || filter->path);
	options_free(&result.options);
}

static void test_filters_that_are_wrong(void **state)
{
	(void)state;
	assert_refused(FILTER, ARGUMENT_DOMIDS, "trace --op READ,FOO",
		       "test: --op FOO: there is no such request; say READ, or WRITE,RM,MKDIR, or "
		       "UNKNOWN, or a number\n");
	assert_refused(
		FILTER, ARGUMENT_DOMIDS, "trace --op ERROR",
		"test: --op ERROR: there is no such request; say READ, or WRITE,RM,MKDIR, or "
		"UNKNOWN, or a number\n");
	assert_refused(FILTER, ARGUMENT_DOMIDS, "trace --op READ,",
		       "test: --op : there is no such request; say READ, or WRITE,RM,MKDIR, or "
		       "UNKNOWN, or a number\n");
	for (const char *const *ms = (const char *const[]){ "-1", "x", "1s", "1e10", "nan", NULL };
	     *ms; ms++) {
		char line[64], said[128];

		snprintf(line, sizeof(line), "trace --slower %s", *ms);
		snprintf(said, sizeof(said),
			 "test: --slower %s: must be a number of milliseconds, up to 1000000000; "
			 "say 0.5\n",
			 *ms);
		assert_refused(FILTER, ARGUMENT_DOMIDS, line, said);
	}
	assert_refused(FILTER, ARGUMENT_DOMIDS, "trace --snap 4097",
		       "test: --snap 4097: must be a number of octets from 1 to 4096\n");
	assert_refused(FILTER, ARGUMENT_DOMIDS, "trace --path a\tb",
		       "test: --path: must be printable ASCII without blanks\n");
	assert_refused(FILTER, ARGUMENT_DOMIDS, "trace --path data",
		       "test: --path data: must begin with '/', or with '@'\n");
	assert_refused(FILTER, ARGUMENT_DOMIDS, "trace x 40000",
		       "test: '40000' is no domain: a number from 0 to 32751, as xl list prints "
		       "it\n");
	assert_refused(FILTER | OPTION_WRITE, ARGUMENT_DOMIDS, "capture 7",
		       "test: --write FILE is missing; see --help\n");
}

static void test_ends_of_a_capture(void **state)
{
	struct result result;

	(void)state;
	parse(&result, OPTION_WRITE | OPTION_CONTROL, ARGUMENT_DOMIDS,
	      "capture -w file -c 10 --duration 0.0015 --control /there");
	assert_int_equal(result.r, 0);
	assert_int_equal(result.options.count, 10);
	assert_int_equal(result.options.duration_ms, 2);
	assert_string_equal(result.options.control, "/there");
	options_free(&result.options);
	parse(&result, OPTION_WRITE, ARGUMENT_DOMIDS, "capture -w file --duration 31536000");
	assert_int_equal(result.options.duration_ms, 31536000000);
	assert_int_equal(result.options.count, 0);
	options_free(&result.options);

	assert_refused(OPTION_WRITE, ARGUMENT_DOMIDS, "capture -w file -c 0",
		       "test: --count 0: must be a number from 1 on\n");
	for (const char *const *s =
		     (const char *const[]){ "0", "-1", "1s", "nan", "31536001", "", NULL };
	     *s; s++) {
		char line[64], said[128];

		snprintf(line, sizeof(line), "capture -w file --duration %s", *s);
		snprintf(said, sizeof(said),
			 "test: --duration %s: must be a number of seconds, from 0.001 to "
			 "31536000\n",
			 *s);
		assert_refused(OPTION_WRITE, ARGUMENT_DOMIDS, line, said);
	}
}

static void test_files_of_a_capture(void **state)
{
	static const char files[] = "must be a number from 2 to 100000\n";
	static const char size[] = "must be a number of octets from 4K to 1024G; K, M and G may "
				   "follow it\n";
	struct result result;
	char said[256];

	(void)state;
	parse(&result, OPTION_WRITE, ARGUMENT_DOMIDS,
	      "capture -w file --file-size 4096 --files 100000");
	assert_int_equal(result.r, 0);
	assert_int_equal(result.options.file_size, 4096);
	assert_int_equal(result.options.files, 100000);
	options_free(&result.options);
	parse(&result, OPTION_WRITE, ARGUMENT_DOMIDS, "capture -w file --file-size 1024G");
	assert_int_equal(result.options.file_size, 1ULL << 40);
	assert_int_equal(result.options.files, 0);
	options_free(&result.options);

	for (const char *const *n =
		     (const char *const[]){ "4095", "1025G", "3K", "x", "-1", "4T", "", NULL };
	     *n; n++) {
		char line[64];

		snprintf(line, sizeof(line), "capture -w file --file-size %s", *n);
		snprintf(said, sizeof(said), "test: --file-size %s: %s", *n, size);
		assert_refused(OPTION_WRITE, ARGUMENT_DOMIDS, line, said);
	}
	for (const char *const *n = (const char *const[]){ "0", "1", "100001", "x", "-1", NULL };
	     *n; n++) {
		char line[64];

		snprintf(line, sizeof(line), "capture -w file --file-size 1M --files %s", *n);
		snprintf(said, sizeof(said), "test: --files %s: %s", *n, files);
		assert_refused(OPTION_WRITE, ARGUMENT_DOMIDS, line, said);
	}
	assert_refused(OPTION_WRITE, ARGUMENT_DOMIDS, "capture -w file --files 3",
		       "test: --files is only for --file-size; see --help\n");
	assert_refused(OPTION_WRITE, ARGUMENT_DOMIDS, "capture -w - --file-size 1M",
		       "test: --file-size is for files, not for standard output\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_filters_that_are_wrong),
		cmocka_unit_test(test_ends_of_a_capture),
		cmocka_unit_test(test_files_of_a_capture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
