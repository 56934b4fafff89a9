// SPDX-License-Identifier: MIT
/*
 * test_confine_values - which values are rewritten for a map, and which are left as they are.
 */
#include "tests/unit/confine_bed.h"

/* The value of a node becomes @want, and what is said of it is @said. */
static void assert_value(struct confine *confine, const char *value, size_t len, const char *want,
			 size_t want_len, const char *said)
{
	char text[1024] = "";
	struct report report = { fmemopen(text, sizeof(text), "w"), "test" };
	struct omissions *omissions = NULL;
	struct record in = node_at("/local/domain/7/x"), out;

	assert_non_null(report.out);
	in.node.value = value;
	in.node.value_len = len;
	assert_int_equal(omissions_new(&omissions, &report, NULL), 0);
	assert_int_equal(confine_record(confine, &in, &out, omissions, NULL), 0);
	omissions_free(omissions);
	fclose(report.out);
	assert_octets_equal(out.node.value, out.node.value_len, want, want_len);
	assert_string_equal(text, said);
}

#define REWRITTEN(old, new) "test: rewritten: /local/domain/7/x: value " old ": now " new "\n"

static void test_values(void **state)
{
	/* Other domains, no paths, paths and more; and one of them at its end alone */
	static const char *const others[] = {
		"/local/domain/50/x",
		"/local/domain/05",
		"/local/domain/6",
		"local/domain/5",
		"/local/domain/5/",
		"/local/domain/5//x",
		"/local/domain/5/x y",
		"5",
		"/vm/5",
		" /local/domain/5",
		"/local/domain/5\n",
		"/x/local/domain/5",
		"/local/domain/5/\xff",
		"",
	};
	struct confine *confine = policy(7, "5=6 15=5", NULL);
	char longest[RULES_PATH_MAX], shown[REPORT_OCTETS_MAX], said[512];

	(void)state;
#define SAME(value) value, sizeof(value) - 1, value, sizeof(value) - 1, ""
	assert_value(confine, SAME("/local/domain/5"));
	confine_map_values(confine);
#define BECOMES(old, new) old, sizeof(old) - 1, new, sizeof(new) - 1, REWRITTEN(old, new)
	assert_value(confine, BECOMES("/local/domain/5", "/local/domain/6"));
	assert_value(confine,
		     BECOMES("/local/domain/5/backend/vif/5/0", "/local/domain/6/backend/vif/5/0"));
	assert_value(confine, BECOMES("/local/domain/15/x", "/local/domain/5/x"));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_value(confine, others[i], strlen(others[i]), others[i], strlen(others[i]),
			     "");
	assert_value(confine, SAME("/local/domain/5\0/x"));
	assert_value(confine, SAME("/local/domain/5\0"));
	confine_free(confine);

	/* It would grow beyond what a path can be. */
	confine = policy(7, "5=12", NULL);
	confine_map_values(confine);
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "/local/domain/5/", 16);
	snprintf(said, sizeof(said),
		 "test: left as it is: /local/domain/7/x: value %s: it is too long once it is "
		 "mapped\n",
		 report_octets(shown, longest, sizeof(longest)));
	assert_value(confine, longest, RULES_PATH_MAX, longest, RULES_PATH_MAX, said);
	confine_free(confine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
