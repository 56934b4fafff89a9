// SPDX-License-Identifier: MIT
/*
 * test_migrate_walk - reading nodes: large directories, nodes that vanish, change or appear while
 * they are read, and what never comes to rest.
 *
 * The server is a small store. A test has it change its mind at given requests, so every race is
 * played exactly.
 */
#include "tests/unit/walk_bed.h"

static void test_plain(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text, PLAIN_TEXT);
	assert_string_equal(result.said, "");
	/* Roots that overlap, or are named twice */
	walk_store(&store, HOME, HOME "/a", &result);
	assert_string_equal(result.text, PLAIN_TEXT);
	walk_store(&store, HOME, HOME, &result);
	assert_string_equal(result.text, PLAIN_TEXT);
	walk_store(&store, HOME "/a/x", "/vm", &result);
	assert_string_equal(result.text, HOME "/a/x=deep /vm= /vm/u=vm ");
}

static void test_whole_store(void **state)
{
	struct store store = {
		.nodes = { { "/", "top", "n0" }, { "/a", "1", "n0" }, { "/a/b", "2", "n0" } }
	};
	struct result result;

	(void)state;
	walk_store(&store, "/", NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text, "/=top /a=1 /a/b=2 ");
}

static void test_missing_roots(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	walk_store(&store, "/local/domain/8", "/vm", &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text, "/vm= /vm/u=vm ");
	walk_store(&store, HOME, "/nowhere", &result);
	assert_int_equal(result.r, -ENOENT);
	assert_string_equal(result.said, "test: cannot read /nowhere: No such file or directory\n");
}

/* --- large directories */

static void test_parts(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	for (store.part = 4; store.part < 16; store.part++) {
		walk_store(&store, HOME, NULL, &result);
		assert_int_equal(result.r, 0);
		assert_string_equal(result.text, PLAIN_TEXT);
	}
}

/* Between two parts a child comes first in the list, so what was read is no longer its start. */
static void new_child(struct store *store, int fd, const struct request *req)
{
	struct stored first = store->nodes[1];

	if (req->hdr.type != XS_DIRECTORY_PART || strcmp(req->payload, HOME) || ++store->seen != 2)
		return;
	stored_set(store, fd, HOME "/new", "new");
	for (struct stored *node = store->nodes; node->path; node++)
		if (!strcmp(node->path, HOME "/new")) {
			store->nodes[1] = *node;
			*node = first;
		}
	store->gencnt++;
}

static void test_parts_change(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	store.part = 4;
	store.before = new_child;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text, HOME "= " HOME "/a=1 " HOME "/a-b=dash " HOME
					      "/a/x=deep " HOME "/b=2 " HOME "/new=new ");
}

static void no_parts(struct store *store, int fd, const struct request *req)
{
	(void)fd;
	if (req->hdr.type == XS_DIRECTORY_PART)
		store->nodes[0].value = NULL;
}

static void test_vanishing_directory(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	store.part = 4;
	store.before = no_parts;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text, "");
}

/* --- changes while it is read */

/* What happens when /b is read for the first time. */
static bool at_b(struct store *store, const struct request *req)
{
	return req->hdr.type == XS_GET_PERMS && !strcmp(req->payload, HOME "/b") && !store->seen++;
}

static void change_values(struct store *store, int fd, const struct request *req)
{
	if (!at_b(store, req))
		return;
	stored_set(store, fd, HOME "/a", "changed");
	stored_set(store, fd, HOME "/b", NULL);
	stored_set(store, fd, HOME "/c", "created");
}

static void test_changes(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	store.before = change_values;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.said, "");
	assert_string_equal(result.text, HOME "= " HOME "/a=changed " HOME "/a-b=dash " HOME
					      "/a/x=deep " HOME "/c=created ");
}

/* A whole new branch, of which the daemon tells only the leaf; and a branch that goes at once. */
static void change_branches(struct store *store, int fd, const struct request *req)
{
	if (!at_b(store, req))
		return;
	store->nodes[8] = (struct stored){ HOME "/p", "", "n7" };
	store->nodes[9] = (struct stored){ HOME "/p/q", "", "n7" };
	stored_set(store, fd, HOME "/p/q/leaf", "leaf");
	store->nodes[3].value = NULL;
	stored_set(store, fd, HOME "/a", NULL);
}

static void test_branches(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	store.before = change_branches;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.said, "");
	assert_string_equal(result.text, HOME "= " HOME "/a-b=dash " HOME "/b=2 " HOME "/p= " HOME
					      "/p/q= " HOME "/p/q/leaf=leaf ");
}

/* Every time it is read it changes once more, @seen times in all. */
static void keep_changing(struct store *store, int fd, const struct request *req)
{
	static const char *const values[] = { "0", "1", "2", "3", "4", "5" };

	if (req->hdr.type == XS_GET_PERMS && !strcmp(req->payload, HOME "/a/x") && store->seen)
		stored_set(store, fd, HOME "/a/x", values[--store->seen]);
}

static void test_rounds(void **state)
{
	struct result result;

	(void)state;
	/* The last reading again sees the last value, and no event comes after it. */
	for (unsigned int times = 1; times <= WALK_ROUNDS; times++) {
		struct store store = plain_store();

		store.before = keep_changing;
		store.seen = times;
		walk_store(&store, HOME, NULL, &result);
		assert_int_equal(result.r, 0);
		assert_string_equal(result.said, "");
		assert_non_null(strstr(result.text, HOME "/a/x=0 "));
	}
}

static void test_restless(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	store.before = keep_changing;
	store.seen = 5;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_int_equal(store.seen, 1); /* read once, and three times again */
	assert_string_equal(result.said, "test: warning: nodes keep changing, " HOME
					 "/a/x for one; the stream has what was read last\n");
}

/* Events for what is in no root must not be followed up to the top of the store. */
static void event_elsewhere(struct store *store, int fd, const struct request *req)
{
	if (at_b(store, req)) {
		server_event(fd, "/somewhere/else");
		server_event(fd, "@releaseDomain");
		server_event(fd, "");
	}
}

static void test_events_elsewhere(void **state)
{
	struct store store = plain_store();
	struct result result;

	(void)state;
	store.before = event_elsewhere;
	walk_store(&store, HOME, NULL, &result);
	assert_int_equal(result.r, 0);
	assert_string_equal(result.text, PLAIN_TEXT);
	assert_string_equal(result.said, "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_whole_store),
		cmocka_unit_test(test_missing_roots),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_parts_change),
		cmocka_unit_test(test_vanishing_directory),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_branches),
		cmocka_unit_test(test_rounds),
		cmocka_unit_test(test_restless),
		cmocka_unit_test(test_events_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
