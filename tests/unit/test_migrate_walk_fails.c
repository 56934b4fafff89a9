// SPDX-License-Identifier: MIT
/*
 * test_migrate_walk_fails - what a walk makes of nodes that no record can hold, of a directory that
 * is too large or never comes to rest, and of a store that goes away.
 */
#include "tests/unit/walk_bed.h"

/*
 * What a guest can set as a permission and no record can hold is left out; an owner of that kind
 * gives way to domain 0.
 */
static void test_odd_perms(void **state)
{
	static const char *const perms[] = { "",
					     "n",
					     "7",
					     "x7",
					     "n7x",
					     "n65536",
					     "n-1",
					     "n 7",
					     "n9223372036854775807",
					     "n18446744073709551616" };
	struct result result;
	char said[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(perms); i++) {
		struct store store = plain_store();

		store.nodes[3].perms = perms[i];
		walk_store(&store, HOME, NULL, &result);
		assert_int_equal(result.r, 0);
		assert_string_equal(result.text, PLAIN_TEXT);
		snprintf(said, sizeof(said), "test: left out: " HOME "/a/x: permission %s: ",
			 strcmp(perms[i], "n 7") ? perms[i] : "n\\x207");
		assert_int_equal(strncmp(result.said, said, strlen(said)), 0);
	}
}

static void test_does_not_fit(void **state)
{
	struct store store = { .nodes = { { HOME, "", "n0" },
					  { HOME "/a.b", "", "n0" },
					  { HOME "/a.b/c", "", "n0" },
					  { HOME "/b", "", "n0" } } };
	struct result result;

	(void)state;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text, HOME "= " HOME "/b= ");
	assert_string_equal(result.said,
			    "test: left out: " HOME "/a.b: node: octet 0x2e in the path\n"
			    "test: left out: " HOME "/a.b/c: node: octet 0x2e in the path\n");
}

/* XAPI's daemon does not give what is larger than a reply may be. */
static void too_large(struct store *store, int fd, const struct request *req)
{
	(void)fd;
	store->refuse =
		req->hdr.type == XS_DIRECTORY || strcmp(req->payload, HOME "/a/x") ? NULL : "E2BIG";
}

static void test_too_large(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	store.before = too_large;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text,
			    HOME "= " HOME "/a=1 " HOME "/a-b=dash " HOME "/a/x= " HOME "/b=2 ");
	assert_string_equal(result.said,
			    "test: left out: " HOME "/a/x: value: it fits no reply\n"
			    "test: left out: " HOME "/a/x: permissions: they fit no reply\n");
}

/* Somebody keeps adding children: that must not go on for ever. */
static void more_children(struct store *store, int fd, const struct request *req)
{
	(void)fd;
	if (req->hdr.type == XS_DIRECTORY_PART && !strcmp(req->payload, HOME))
		store->gencnt++;
}

static void test_restless_directory(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	store.part = 4;
	store.before = more_children;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text, PLAIN_TEXT);
	assert_string_equal(result.said, "test: left out: " HOME
					 ": children: they keep changing; some may be missing\n");
}

static void hang_up(struct store *store, int fd, const struct request *req)
{
	(void)req;
	if (!store->seen--)
		shutdown(fd, SHUT_RDWR);
}

static void test_hang_up(void **state)
{
	struct result result;
	unsigned int requests = 2 + 5 * 3; /* a watch, one to skip its event, three a node */

	(void)state;
	for (unsigned int i = 0; i < requests; i++) {
		struct store store = plain_store();

		store.before = hang_up;
		store.seen = i;
		walk_store(&store, HOME, NULL, &result);
		assert_true(result.r == -ECONNRESET || result.r == -EPIPE);
		assert_non_null(strstr(result.said, "the other side closed the connection\n"));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_odd_perms), cmocka_unit_test(test_does_not_fit),
		cmocka_unit_test(test_too_large), cmocka_unit_test(test_restless_directory),
		cmocka_unit_test(test_hang_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
