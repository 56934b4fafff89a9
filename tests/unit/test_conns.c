// SPDX-License-Identifier: MIT
/*
 * test_conns - link/conns.c: what is written is read, and nothing else is.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the above */

#include "link/conns.h"

#define WATCHES       \
	"data\0t\0\0" \
	"/x\0other\0" \
	"2\0"

static char *octets;
static size_t len;

static int set_up(void **state)
{
	const struct conns_view ring = {
		.record = { .kind = CONNS_RING,
			    .number = 7,
			    .port = 3,
			    .gfn = 0x1234567890,
			    .local = 66,
			    .target = CONNS_NO_TARGET,
			    .in_len = 5,
			    .out_len = 6,
			    .out_rest = 2,
			    .watches_len = sizeof(WATCHES) - 1,
			    .nr_watches = 2 },
		.in = (const uint8_t *)"abcde",
		.out = (const uint8_t *)"fghijk",
		.watches = WATCHES,
	};
	const struct conns_view socket = { .record = { .kind = CONNS_SOCKET } };
	FILE *file = open_memstream(&octets, &len);

	(void)state;
	if (!file || conns_put(file, &ring) || conns_put(file, &socket))
		return -1;
	return fclose(file);
}

static int tear_down(void **state)
{
	(void)state;
	free(octets);
	return 0;
}

static void test_round(void **state)
{
	struct conns conns = { .octets = (const uint8_t *)octets, .len = len };
	struct conns_view view;
	const char *words[3];
	size_t at = 0;

	(void)state;
	assert_int_equal(conns_next(&conns, &view), 1);
	assert_int_equal(view.record.gfn, 0x1234567890);
	assert_int_equal(view.record.local, 66);
	assert_memory_equal(view.in, "abcde", 5);
	assert_memory_equal(view.out, "fghijk", 6);
	assert_true(conns_watch(&view, &at, words));
	assert_string_equal(words[0], "data");
	assert_string_equal(words[1], "t");
	assert_string_equal(words[2], "");
	assert_true(conns_watch(&view, &at, words));
	assert_string_equal(words[0], "/x");
	assert_string_equal(words[1], "other");
	assert_string_equal(words[2], "2");
	assert_false(conns_watch(&view, &at, words));
	assert_int_equal(conns_next(&conns, &view), 1);
	assert_int_equal(view.record.kind, CONNS_SOCKET);
	assert_int_equal(view.record.nr_watches, 0);
	assert_int_equal(conns_next(&conns, &view), 0);
}

/* Return: what comes of the first record, with the word at @at as @value. */
static int changed(size_t at, uint32_t value)
{
	struct conns conns = { .len = len };
	uint8_t *copy = malloc(len);
	struct conns_view view;
	int r;

	assert_non_null(copy);
	memcpy(copy, octets, len);
	memcpy(copy + at, &value, sizeof(value));
	conns.octets = copy;
	r = conns_next(&conns, &view);
	free(copy);
	return r;
}

static void test_bad(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
	} cases[] = {
		{ offsetof(struct conns_record, size), 0 },
		{ offsetof(struct conns_record, size), UINT32_MAX },
		{ offsetof(struct conns_record, kind), CONNS_DAEMON + 1 },
		{ offsetof(struct conns_record, in_len), UINT32_MAX },
		{ offsetof(struct conns_record, in_len), 500 },
		{ offsetof(struct conns_record, out_rest), 7 },
		{ offsetof(struct conns_record, watches_len), 3 },
		{ offsetof(struct conns_record, nr_watches), 1 },
		{ offsetof(struct conns_record, nr_watches), 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(changed(cases[i].at, cases[i].value), -EBADMSG);
	assert_int_equal(changed(offsetof(struct conns_record, port), 9), 1);
}

static void test_short(void **state)
{
	(void)state;
	for (size_t n = 1; n < sizeof(struct conns_record) + 8; n++) {
		uint8_t *copy = malloc(n);
		struct conns conns = { .octets = copy, .len = n };
		struct conns_view view;

		assert_non_null(copy);
		memcpy(copy, octets, n);
		assert_int_equal(conns_next(&conns, &view), -EBADMSG);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_short),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
