// SPDX-License-Identifier: MIT
/*
 * test_player_same - which answers count as the same when a capture is played.
 */
#include "tests/unit/trace_bed.h"

#include <errno.h>

/* Part of xsproxyctl alone, so not in the library that unit tests are linked with. */
#include "ctl/player_same.c"

/* Whether the capture's reply @octets to @type is the same as @here. */
static int same(uint32_t type, const char *octets, size_t len, const char *here, size_t here_len)
{
	struct view answer = bed_reply(1, type, octets, len);
	char *copy = malloc(here_len + !here_len);
	struct wire_reply reply = { .data = copy, .len = here_len };
	int r;

	assert_non_null(copy);
	memcpy(copy, here, here_len);
	r = player_same(type, &answer, &reply);
	free(copy);
	bed_free(&answer);
	return r;
}

static void values(void **state)
{
	(void)state;
	assert_int_equal(same(XS_READ, TEXT("a\0b"), TEXT("a\0b")), 1);
	assert_int_equal(same(XS_READ, TEXT("a"), TEXT("b")), 0);
	assert_int_equal(same(XS_READ, TEXT("a"), TEXT("ab")), 0);
	assert_int_equal(same(XS_READ, TEXT(""), TEXT("")), 1);
	assert_int_equal(same(XS_WRITE, STRING("OK"), STRING("OK")), 1);
}

/* In any order, as daemons list them. */
static void children(void **state)
{
	(void)state;
	assert_int_equal(same(XS_DIRECTORY, STRING("a\0b\0cc"), STRING("cc\0a\0b")), 1);
	assert_int_equal(same(XS_DIRECTORY, STRING("a\0b"), STRING("a\0c")), 0);
	assert_int_equal(same(XS_DIRECTORY, STRING("a\0b"), STRING("a")), 0);
	assert_int_equal(same(XS_DIRECTORY, STRING("a\0a"), STRING("a\0b")), 0);
	assert_int_equal(same(XS_DIRECTORY, TEXT(""), TEXT("")), 1);
	assert_int_equal(same(XS_DIRECTORY, TEXT(""), STRING("a")), 0);
	/* What no daemon says */
	assert_int_equal(same(XS_DIRECTORY, TEXT("a\0b"), TEXT("a\0b")), 1);
	assert_int_equal(same(XS_DIRECTORY, TEXT("a\0b"), STRING("a\0b")), 0);
	assert_int_equal(same(XS_DIRECTORY, TEXT("\0\0\0\0"), TEXT("\0\0\0\0")), 1);
	assert_int_equal(same(XS_DIRECTORY, TEXT("\0\0\0"), TEXT("\0")), 0);
}

/* Whoever the owner is. */
static void permissions(void **state)
{
	(void)state;
	assert_int_equal(same(XS_GET_PERMS, STRING("n7\0r9"), STRING("n0\0r9")), 1);
	assert_int_equal(same(XS_GET_PERMS, STRING("n7"), STRING("n12")), 1);
	assert_int_equal(same(XS_GET_PERMS, STRING("n7"), STRING("r7")), 0);
	assert_int_equal(same(XS_GET_PERMS, STRING("n7\0r9"), STRING("n7\0b9")), 0);
	assert_int_equal(same(XS_GET_PERMS, STRING("n7\0r9"), STRING("n7")), 0);
	assert_int_equal(same(XS_GET_PERMS, TEXT(""), STRING("n7")), 0);
	assert_int_equal(same(XS_GET_PERMS, TEXT("n7"), STRING("n7")), 0);
}

static void what_is_of_the_moment(void **state)
{
	(void)state;
	assert_int_equal(same(XS_TRANSACTION_START, STRING("1"), STRING("2")), 1);
	assert_int_equal(same(XS_DIRECTORY_PART, STRING("17\0a"), STRING("18\0a")), 1);
}

static void errors(void **state)
{
	struct view error = bed_reply(1, XS_ERROR, STRING("ENOENT"));
	struct view good = bed_reply(1, XS_READ, TEXT("1"));

	(void)state;
	assert_int_equal(player_same(XS_READ, &error, &(struct wire_reply){ .err = -ENOENT }), 1);
	assert_int_equal(player_same(XS_READ, &error, &(struct wire_reply){ .err = -EINVAL }), 0);
	assert_int_equal(
		player_same(XS_READ, &error, &(struct wire_reply){ .data = "1", .len = 1 }), 0);
	assert_int_equal(player_same(XS_READ, &good, &(struct wire_reply){ .err = -ENOENT }), 0);
	bed_free(&error);
	bed_free(&good);
}

/* The capture has kept a part of it. */
static void cut(void **state)
{
	struct view view = bed_reply(1, XS_READ, TEXT("abc"));
	struct wire_reply longer = { .data = "abcdef", .len = 6 };
	struct wire_reply other = { .data = "abxdef", .len = 6 };

	(void)state;
	view.msg.len = 6;
	assert_int_equal(player_same(XS_READ, &view, &longer), 1);
	assert_int_equal(player_same(XS_READ, &view, &other), 0);
	view.msg.len = 7;
	assert_int_equal(player_same(XS_READ, &view, &longer), 0);
	assert_int_equal(player_same(XS_DIRECTORY, &view, &longer), 1);
	assert_int_equal(player_same(XS_GET_PERMS, &view, &longer), 1);
	bed_free(&view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),      cmocka_unit_test(children),
		cmocka_unit_test(permissions), cmocka_unit_test(what_is_of_the_moment),
		cmocka_unit_test(errors),      cmocka_unit_test(cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
