// SPDX-License-Identifier: MIT
/* Which requests have to do with each other, and which with a read of a node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/message.h"
#include "proxy/mirror/claim.h"
#include "proxy/mirror/mirror.h"

#define NOW 1000000000000ULL

static struct change_home home = { .path = "/local/domain/0/", .len = 16 };

struct bed {
	struct mirror *mirror;
	struct claims claims;
	int owner[2];
};

static int setup(void **state)
{
	static const char *const there[] = { "/a", "/a/b", "/a/b/c", "/a/d", "/ab" };
	const struct tree_perm perms[] = { { .domid = 0, .letter = 'n' } };
	const struct tree_content root = { .perms = perms, .nr_perms = 1 };
	const struct change_by by = { RINGS_FLAVOUR_C, 0, true };
	static struct bed bed;

	assert_int_equal(mirror_make(&bed.mirror, 1, RINGS_FLAVOUR_C, 1 << 20), 0);
	mirror_begin(bed.mirror);
	mirror_end(bed.mirror, tree_set(bed.mirror->tree, TREE_ROOT, &root));
	for (size_t i = 0; i < sizeof(there) / sizeof(there[0]); i++) {
		struct change change;

		change_read(&change, XS_MKDIR, (const uint8_t *)there[i],
			    (uint32_t)strlen(there[i]) + 1, &home);
		mirror_begin(bed.mirror);
		mirror_end(bed.mirror, change_apply(bed.mirror->tree, &change, &by));
	}
	claims_init(&bed.claims);
	*state = &bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	mirror_free(bed->mirror);
	return 0;
}

static struct claim *claim(struct bed *bed, int owner, uint32_t type, const char *path)
{
	struct claim *claim = claim_new(&bed->owner[owner], 0);
	struct change change;

	change_read(&change, type, (const uint8_t *)path, (uint32_t)strlen(path) + 1, &home);
	assert_non_null(claim);
	assert_int_equal(claim_add(claim, bed->mirror->tree, &change), 0);
	return claim;
}

static bool may(struct bed *bed, struct claim *it, uint64_t now)
{
	return claim_may(&bed->claims, it, bed->mirror->tree, now, false);
}

/* What another connection asks while the first one is under way. */
static const struct {
	uint32_t type;
	const char *first, *second;
	bool touches;
} pairs[] = {
	{ XS_WRITE, "/a/b", "/a/b", true },
	{ XS_WRITE, "/a/b/c", "/a/d", false },
	{ XS_WRITE, "/a/b/c", "/a/b/x", false },
	{ XS_WRITE, "/a", "/ab", false },
	{ XS_RM, "/a", "/a/b/c", true },
	{ XS_RM, "/a/b", "/a/d", false },
	{ XS_WRITE, "/a/b", "/a/b/c", true },
	/* Both make /a/n, and either may be its owner. */
	{ XS_WRITE, "/a/n/x", "/a/n/y", true },
	{ XS_WRITE, "/a/n/x", "/a/m/y", false },
	{ XS_WRITE, "/n/x/y", "/n/z", true },
	{ XS_SET_PERMS, "/a/b", "/a/b/new", true },
	{ XS_RM, "/", "/a/b", true },
};

static void two_connections(void **state)
{
	struct bed *bed = *state;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		for (int swap = 0; swap < 2; swap++) {
			struct claim *first = claim(bed, 0, pairs[i].type,
						    swap ? pairs[i].second : pairs[i].first);
			struct claim *second =
				claim(bed, 1, XS_WRITE, swap ? pairs[i].first : pairs[i].second);

			assert_true(may(bed, first, NOW));
			claim_begin(&bed->claims, first, bed->mirror->tree);
			if (may(bed, second, NOW + 1) == pairs[i].touches)
				fail_msg("%s and %s", pairs[i].first, pairs[i].second);
			assert_false(first->unsure || second->unsure);
			claim_end(&bed->claims, first);
			assert_true(may(bed, second, NOW + 1));
			claim_free(first);
			claim_free(second);
		}
	}
}

static void one_connection(void **state)
{
	struct bed *bed = *state;
	struct claim *first = claim(bed, 0, XS_WRITE, "/a"), *second = claim(bed, 0, XS_RM, "/a");

	claim_begin(&bed->claims, first, bed->mirror->tree);
	assert_true(may(bed, second, NOW));
	claim_end(&bed->claims, first);
	claim_free(first);
	claim_free(second);
}

/* Who has waited for long waits no more, and both are read again. */
static void for_too_long(void **state)
{
	struct bed *bed = *state;
	struct claim *first = claim(bed, 0, XS_WRITE, "/a"), *second = claim(bed, 1, XS_RM, "/a");

	claim_begin(&bed->claims, first, bed->mirror->tree);
	assert_false(may(bed, second, NOW + 10ULL * CLAIM_WAIT_NS));
	assert_false(first->unsure);
	assert_true(claim_may(&bed->claims, second, bed->mirror->tree, NOW, true));
	assert_true(first->unsure && second->unsure);
	claim_end(&bed->claims, first);
	claim_free(first);
	claim_free(second);
}

static void assert_disturbs(struct bed *bed, const char *read, uint32_t type, const char *path,
			    bool disturbs)
{
	struct claim *it = claim(bed, 0, type, path);
	struct claim_read reading;

	claim_read_begin(&bed->claims, &reading, read, (uint32_t)strlen(read), 0);
	assert_false(reading.disturbed);
	claim_begin(&bed->claims, it, bed->mirror->tree);
	if (reading.disturbed != disturbs)
		fail_msg("%s while %s is read", path, read);
	claim_end(&bed->claims, it);
	claim_free(it);
	claim_read_end(&bed->claims, &reading);
}

static void what_is_read(void **state)
{
	struct bed *bed = *state;

	assert_disturbs(bed, "/a/b", XS_WRITE, "/a/b", true);
	assert_disturbs(bed, "/a/b", XS_RM, "/a", true);
	assert_disturbs(bed, "/a/b", XS_RM, "/a/b/c", true);
	assert_disturbs(bed, "/a/b", XS_MKDIR, "/a/b/n", true);
	assert_disturbs(bed, "/a", XS_WRITE, "/a/n/m", true);
	assert_disturbs(bed, "/a", XS_WRITE, "/a/b/c", false);
	assert_disturbs(bed, "/", XS_WRITE, "/a/b", false);
	assert_disturbs(bed, "/", XS_MKDIR, "/n", true);
	assert_disturbs(bed, "/a", XS_WRITE, "/ab", false);
	assert_disturbs(bed, "/ab", XS_WRITE, "/a", false);
}

/* One that holds lets nothing begin that has to do with it for a moment, and waits for what has. */
static void a_read_that_holds(void **state)
{
	struct bed *bed = *state;
	struct claim *before = claim(bed, 0, XS_WRITE, "/a/b"), *after = claim(bed, 1, XS_RM, "/a");
	struct claim *other = claim(bed, 1, XS_WRITE, "/ab");
	struct claim_read reading;

	claim_begin(&bed->claims, before, bed->mirror->tree);
	claim_read_begin(&bed->claims, &reading, "/a/b", 4, NOW);
	assert_true(reading.disturbed);
	assert_true(claim_read_waits(&bed->claims, &reading));
	claim_end(&bed->claims, before);
	assert_false(claim_read_waits(&bed->claims, &reading));
	assert_false(may(bed, after, NOW + CLAIM_WAIT_NS - 1));
	assert_true(may(bed, after, NOW + CLAIM_WAIT_NS));
	assert_true(may(bed, other, NOW));
	claim_read_end(&bed->claims, &reading);
	assert_true(may(bed, after, NOW));
	claim_free(before);
	claim_free(after);
	claim_free(other);
}

/* Of many only what is above all of them. */
static void many_parts(void **state)
{
	struct bed *bed = *state;
	struct claim *it = claim_new(&bed->owner[0], 1), *other = claim(bed, 1, XS_WRITE, "/ab");
	struct change change;
	char path[32];

	assert_non_null(it);
	for (int i = 0; i <= (int)CLAIM_PARTS; i++) {
		int n = snprintf(path, sizeof(path), "/a/n%d", i);

		change_read(&change, XS_WRITE, (const uint8_t *)path, (uint32_t)n + 1, &home);
		assert_int_equal(claim_add(it, bed->mirror->tree, &change), 0);
	}
	assert_int_equal(it->nr, 1);
	assert_string_equal(it->parts[0]->path, "/a");
	claim_begin(&bed->claims, it, bed->mirror->tree);
	assert_true(may(bed, other, NOW));
	claim_end(&bed->claims, it);
	claim_free(it);
	claim_free(other);
}

/* What is read while a domain's nodes go may be of before. */
static void all_disturbed(void **state)
{
	struct bed *bed = *state;
	struct claim_read reading;

	claim_read_begin(&bed->claims, &reading, "/a/b", 4, 0);
	claims_disturb(&bed->claims);
	assert_true(reading.disturbed);
	claim_read_end(&bed->claims, &reading);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(two_connections), TEST(one_connection),	TEST(for_too_long),
		TEST(what_is_read),    TEST(a_read_that_holds), TEST(many_parts),
		TEST(all_disturbed),
	};

	return cmocka_run_group_tests_name("claims", tests, NULL, NULL);
}
