// SPDX-License-Identifier: MIT
/* What a node is, beside what the mirror has of it: the line that says how they differ, and that
 * nothing differs once it was mended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/mend/compare.h"

static const struct tree_perm perms[] = { { .letter = 'n' }, { .letter = 'r', .domid = 7 } };

/* "/" and "/a", which has the value "v" and the child "b". */
static int made(void **state)
{
	const struct tree_content root = { .perms = perms, .nr_perms = 1 };
	const struct tree_content a = {
		.perms = perms, .nr_perms = 2, .value = (const uint8_t *)"v", .value_len = 1
	};
	struct mirror *mirror;
	uint32_t node, b;

	assert_int_equal(mirror_make(&mirror, 1, RINGS_FLAVOUR_C, 1 << 20), 0);
	mirror_begin(mirror);
	assert_int_equal(tree_set(mirror->tree, TREE_ROOT, &root), 0);
	assert_int_equal(tree_add(mirror->tree, TREE_ROOT, "a", 1, &a, &node), 0);
	mirror_end(mirror, tree_add(mirror->tree, node, "b", 1, &root, &b));
	*state = mirror;
	return 0;
}

static int gone(void **state)
{
	mirror_free(*state);
	return 0;
}

/* As reading.c gives it: what is empty has no address. */
static struct reading read_a(const char *value, const char *children, size_t children_len)
{
	return (struct reading){
		.path = "/a",
		.len = 2,
		.content = { .perms = perms,
			     .nr_perms = 2,
			     .value = (const uint8_t *)value,
			     .value_len = value ? (uint32_t)strlen(value) : 0 },
		.children = children,
		.children_len = children_len,
	};
}

static void no_child(void *arg, const char *path, uint32_t len)
{
	(void)len;
	(void)arg;
	fail_msg("%s", path);
}

/* It differs as said, and not any more when it was mended. */
static void assert_mended(struct mirror *mirror, struct reading reading, const char *how)
{
	char text[COMPARE_TEXT_MAX];

	assert_true(compare_node(mirror, &reading, text));
	assert_string_equal(text, how);
	mirror_begin(mirror);
	mirror_end(mirror, compare_mend(mirror, &reading, true, false, no_child, NULL));
	assert_false(compare_node(mirror, &reading, text));
	assert_string_equal(text, "");
}

static void the_same(void **state)
{
	struct reading reading = read_a("v", "b", 2);
	char text[COMPARE_TEXT_MAX];

	assert_false(compare_node(*state, &reading, text));
	assert_string_equal(text, "");
}

static void without_value(void **state)
{
	assert_mended(*state, read_a(NULL, "b", 2), "/a: its value");
}

static void without_children(void **state)
{
	assert_mended(*state, read_a("v", NULL, 0), "/a: a child is in the mirror alone");
}

static void one_child_more(void **state)
{
	assert_mended(*state, read_a("v", "b\0c", 4), "/a: its child c is not in the mirror");
}

static void another_child(void **state)
{
	assert_mended(*state, read_a("v", "c", 2), "/a: its child c is not in the mirror");
}

static void permissions(void **state)
{
	struct reading reading = read_a("v", "b", 2);

	reading.content.nr_perms = 1;
	assert_mended(*state, reading, "/a: its permissions");
}

static void not_there(void **state)
{
	struct reading reading = read_a(NULL, NULL, 0);

	reading.err = -2;
	assert_mended(*state, reading, "/a: it is in the mirror, and not in the store");
}

static void not_here(void **state)
{
	struct reading reading = read_a(NULL, NULL, 0);

	reading.path = "/c";
	assert_mended(*state, reading, "/c: it is not in the mirror");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_same, made, gone),
		cmocka_unit_test_setup_teardown(without_value, made, gone),
		cmocka_unit_test_setup_teardown(without_children, made, gone),
		cmocka_unit_test_setup_teardown(one_child_more, made, gone),
		cmocka_unit_test_setup_teardown(another_child, made, gone),
		cmocka_unit_test_setup_teardown(permissions, made, gone),
		cmocka_unit_test_setup_teardown(not_there, made, gone),
		cmocka_unit_test_setup_teardown(not_here, made, gone),
	};

	return cmocka_run_group_tests_name("compare", tests, NULL, NULL);
}
