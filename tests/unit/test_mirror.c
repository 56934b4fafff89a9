// SPDX-License-Identifier: MIT
/* The mirror of the store: whatever is done to it, the next xsproxyd finds the same. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "protocol/message.h"
#include "proxy/mirror/mirror.h"

#define RINGS 77
#define MOST  (64ULL << 20)
#define TEXT  (4u << 20)

static const struct change_by guest = { RINGS_FLAVOUR_C, 7, false };
static const struct change_by dom0 = { RINGS_FLAVOUR_C, 0, true };
static struct change_home home = { .path = "/local/domain/0/", .len = 16 };

/* --- what there is, as text */

static char *put_node(char *to, const struct tree *tree, uint32_t node)
{
	char path[TREE_PATH_MAX + 1];
	struct tree_content content;

	assert_true(tree_path(tree, node, path) > 0);
	to += sprintf(to, "%s", path);
	if (!tree_get(tree, node, &content))
		return to + sprintf(to, " ?\n");
	for (uint32_t i = 0; i < content.nr_perms; i++)
		to += sprintf(to, " %c%u%s", content.perms[i].letter, content.perms[i].domid,
			      content.perms[i].flags & TREE_PERM_STALE ? "!" : "");
	return to + sprintf(to, " =%.*s\n", (int)content.value_len, (const char *)content.value);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Brothers in the order of their lines: what another xsproxyd makes of it may differ in that alone.
 */
static void dump(const struct mirror *mirror, char *text)
{
	static char *lines[4096];
	char *all = malloc(TEXT), *to = all;
	size_t n = 0;

	for (uint32_t node = 0; node < tree_numbers(mirror->tree); node++) {
		if (!tree_is_node(mirror->tree, node))
			continue;
		lines[n++] = to;
		to = put_node(to, mirror->tree, node) + 1;
		assert_true(n < 4096 && (size_t)(to - all) < TEXT / 2);
	}
	assert_int_equal(n, tree_count(mirror->tree));
	qsort(lines, n, sizeof(*lines), by_name);
	*text = '\0';
	for (size_t i = 0; i < n; i++)
		text = stpcpy(text, lines[i]);
	free(all);
}

static struct mirror *next_one(const struct mirror *mirror)
{
	struct mirror *found;

	assert_int_equal(mirror_find(&found, dup(mirror_fd(mirror)), RINGS, MOST), 0);
	return found;
}

static void assert_lasts(const struct mirror *mirror)
{
	char *now = malloc(TEXT), *then = malloc(TEXT);
	struct mirror *found = next_one(mirror);

	dump(mirror, now);
	dump(found, then);
	assert_string_equal(now, then);
	assert_int_equal(tree_live(mirror->tree), tree_live(found->tree));
	assert_int_equal(drafts_live(mirror->drafts), drafts_live(found->drafts));
	mirror_free(found);
	free(now);
	free(then);
}

static struct mirror *fresh(void)
{
	const struct tree_perm perms[] = { { .domid = 0, .letter = 'n' } };
	const struct tree_content root = { .perms = perms, .nr_perms = 1 };
	struct mirror *mirror;

	assert_int_equal(mirror_make(&mirror, RINGS, RINGS_FLAVOUR_C, MOST), 0);
	mirror_begin(mirror);
	mirror_end(mirror, tree_set(mirror->tree, TREE_ROOT, &root));
	mirror_whole(mirror, true);
	return mirror;
}

/* --- what is asked */

static int apply(struct mirror *mirror, const struct change_by *by, uint32_t type,
		 const char *payload, uint32_t len)
{
	struct change_home below;
	struct change change;
	int ret;

	change_home(&below, by->domid);
	assert_true(change_read(&change, type, (const uint8_t *)payload, len, &below));
	mirror_begin(mirror);
	ret = change_apply(mirror->tree, &change, by);
	mirror_end(mirror, ret < 0 ? ret : 0);
	assert_false(mirror->broken);
	return ret;
}

#define APPLY(mirror, by, type, text) apply(mirror, by, type, text, sizeof(text))
#define WRITES(mirror, by, text)      apply(mirror, by, XS_WRITE, text, sizeof(text) - 1)

static void assert_dump(const struct mirror *mirror, const char *expected)
{
	char *text = malloc(TEXT);

	dump(mirror, text);
	assert_string_equal(text, expected);
	free(text);
	assert_lasts(mirror);
}

static void what_requests_change(void **state)
{
	struct mirror *mirror = fresh();

	(void)state;
	WRITES(mirror, &dom0, "/local/domain/7/data\0x");
	APPLY(mirror, &dom0, XS_SET_PERMS, "/local/domain/7/data\0n7\0r0");
	WRITES(mirror, &guest, "data/a/b\0one");
	WRITES(mirror, &guest, "data/a\0");
	APPLY(mirror, &guest, XS_MKDIR, "data/a/c");
	APPLY(mirror, &guest, XS_MKDIR, "data/a");
	APPLY(mirror, &guest, XS_RM, "data/a/c");
	APPLY(mirror, &guest, XS_RM, "data/a/not-there");
	APPLY(mirror, &dom0, XS_SET_PERMS, "@releaseDomain\0n0\0r7");
	assert_dump(mirror, "/ n0 =\n/local n0 =\n/local/domain n0 =\n/local/domain/7 n0 =\n"
			    "/local/domain/7/data n7 r0 =x\n/local/domain/7/data/a n7 r0 =\n"
			    "/local/domain/7/data/a/b n7 r0 =one\n@releaseDomain n0 r7 =\n");
	APPLY(mirror, &dom0, XS_RM, "/local/domain");
	assert_dump(mirror, "/ n0 =\n/local n0 =\n@releaseDomain n0 r7 =\n");
	mirror_free(mirror);
}

/* It inherits the owner, too. */
static void what_oxenstored_makes(void **state)
{
	const struct change_by by = { RINGS_FLAVOUR_OCAML, 7, false };
	struct mirror *mirror = fresh();

	(void)state;
	WRITES(mirror, &dom0, "/tool/x\0");
	APPLY(mirror, &dom0, XS_SET_PERMS, "/tool/x\0n0\0b7");
	WRITES(mirror, &by, "/tool/x/y/z\0v");
	APPLY(mirror, &by, XS_RM, "/");
	assert_dump(mirror, "/ n0 =\n");
	mirror_free(mirror);
}

static void odd_spellings(void **state)
{
	static const struct {
		uint32_t type, len;
		const char *text, *certain;
	} odd[] = {
		{ XS_WRITE, 8, "/a/b//c\0", "/a/b" },
		{ XS_MKDIR, 6, "/a/b/\0", "/a/b" },
		{ XS_RM, 8, "/a/b\0x\0", "/a/b" },
		{ XS_RM, 4, "/a/b", "/a/b" },
		{ XS_WRITE, 8, "/a/b c\0v", "/a" },
		{ XS_WRITE, 3, "\0v", "/local/domain/0" },
		{ XS_MKDIR, 7, "/a/\xff/b", "/a" },
		{ XS_RM, 3, "//\0", "/" },
		{ XS_WRITE, 5, "a//b\0", "/local/domain/0/a" },
		{ XS_MKDIR, 4, "a b\0", "/local/domain/0" },
	};
	struct mirror *mirror = fresh();
	struct change change;

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		assert_true(change_read(&change, odd[i].type, (const uint8_t *)odd[i].text,
					odd[i].len, &home));
		assert_true(change.odd);
		assert_string_equal(change.path, odd[i].certain);
		assert_int_equal(change_apply(mirror->tree, &change, &dom0), 1);
	}
	WRITES(mirror, &dom0, "/a\0");
	assert_int_equal(apply(mirror, &dom0, XS_SET_PERMS, "/a\0n010", 7), 1);
	assert_int_equal(apply(mirror, &dom0, XS_SET_PERMS, "/a\0n-1", 7), 1);
	assert_int_equal(apply(mirror, &dom0, XS_SET_PERMS, "/a\0n0\0x1", 9), 1);
	assert_dump(mirror, "/ n0 =\n/a n0 =\n");
	mirror_free(mirror);
}

/* The nodes have other numbers by then, or are there no more. */
static void places_that_are_no_more(void **state)
{
	struct mirror *mirror = fresh();
	struct change_home below;
	struct change change;

	(void)state;
	change_home(&below, 7);
	for (int i = 0; i < 3; i++) {
		WRITES(mirror, &dom0, "/local/domain/7/data/a\0x");
		change_read(&change, XS_WRITE, (const uint8_t *)"data/a\0new", 10, &below);
		change_find(mirror->tree, &change);
		APPLY(mirror, &dom0, XS_RM, "/local/domain/7");
		if (i) /* takes its number */
			WRITES(mirror, &dom0, "/other/b\0x");
		if (i > 1)
			WRITES(mirror, &dom0, "/local/domain/7/data/a\0x");
		mirror_begin(mirror);
		mirror_end(mirror, change_apply(mirror->tree, &change, &dom0));
		assert_dump(mirror,
			    i ? "/ n0 =\n/local n0 =\n/local/domain n0 =\n/local/domain/7 n0 =\n"
				"/local/domain/7/data n0 =\n/local/domain/7/data/a n0 =new\n"
				"/other n0 =\n/other/b n0 =x\n"
			      : "/ n0 =\n/local n0 =\n/local/domain n0 =\n/local/domain/7 n0 =\n"
				"/local/domain/7/data n0 =\n/local/domain/7/data/a n0 =new\n");
		APPLY(mirror, &dom0, XS_RM, "/other");
	}
	mirror_free(mirror);
}

static void a_domain_that_ends(void **state)
{
	struct mirror *mirror = fresh();

	(void)state;
	WRITES(mirror, &dom0, "/local/domain/7/data\0");
	APPLY(mirror, &dom0, XS_SET_PERMS, "/local/domain/7\0n7");
	WRITES(mirror, &dom0, "/tool/x\0v");
	APPLY(mirror, &dom0, XS_SET_PERMS, "/tool/x\0n0\0r7\0b8");
	mirror_domain_is(mirror, 7, 3);
	mirror_domain_is(mirror, 8, 5);
	/* Another one has its number: the first one has gone, and nobody has said so. */
	mirror_domain_is(mirror, 7, 5);
	assert_dump(mirror, "/ n0 =\n/local n0 =\n/local/domain n0 =\n/tool n0 =\n"
			    "/tool/x n0 r7! b8 =v\n");
	mirror_flavour(mirror, RINGS_FLAVOUR_OCAML);
	mirror_domain_gone(mirror, 8, NULL, NULL);
	assert_dump(mirror, "/ n0 =\n/local n0 =\n/local/domain n0 =\n/tool n0 =\n"
			    "/tool/x n0 r7! =v\n");
	mirror_free(mirror);
}

/* --- anything, for long: the oldest records go */

static uint32_t make_path(char *to, unsigned int *seed)
{
	uint32_t n = (uint32_t)sprintf(to, "/t");

	for (int depth = 1 + rand_r(seed) % 4; depth; depth--)
		n += (uint32_t)sprintf(to + n, "/n%d", rand_r(seed) % 6);
	return n + 1;
}

static void anything(struct mirror *mirror, unsigned int *seed)
{
	static const uint32_t types[] = { XS_WRITE, XS_WRITE, XS_WRITE,
					  XS_MKDIR, XS_RM,    XS_SET_PERMS };
	uint32_t type = types[rand_r(seed) % 6], len;
	char payload[4096];

	len = make_path(payload, seed);
	if (type == XS_WRITE) {
		uint32_t more = (uint32_t)rand_r(seed) % 1000;

		memset(payload + len, 'a' + rand_r(seed) % 26, more);
		len += more;
	}
	if (type == XS_SET_PERMS)
		len += (uint32_t)sprintf(payload + len, "n%d%cr%d", rand_r(seed) % 3, 0,
					 rand_r(seed) % 9) +
		       1;
	apply(mirror, &dom0, type, payload, len);
}

static void for_long(void **state)
{
	struct mirror *mirror = fresh();
	unsigned int seed = 1;
	uint64_t used;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		anything(mirror, &seed);
		if (i % 500 == 0) {
			mirror_domain_gone(mirror, 1 + (uint32_t)i / 500 % 8, NULL, NULL);
			assert_lasts(mirror);
		}
		used = annals_tail(&mirror->annals) - annals_head(&mirror->annals);
		assert_true(used <= 2 * tree_live(mirror->tree) + 1024 * 1024);
	}
	assert_true(annals_head(&mirror->annals) > 1024 * 1024);
	mirror_free(mirror);
}

/* --- transactions */

static int count_one(void *arg, const struct change *change)
{
	uint32_t *count = arg;

	assert_true(*change->path == '/');
	count[change->odd]++;
	return 0;
}

static void add_draft(struct mirror *mirror, uint64_t key, uint32_t tx, const char *payload,
		      uint32_t len, uint32_t most)
{
	struct change change, *kept;
	int ret;

	change_read(&change, XS_WRITE, (const uint8_t *)payload, len, &home);
	/* As follow.c has it: not all of a path's room is there. */
	kept = malloc(change_size(&change));
	assert_non_null(kept);
	change_keep(kept, &change);
	mirror_begin(mirror);
	ret = draft_add(mirror->drafts, key, tx, kept, most);
	mirror_end(mirror, ret < 0 ? ret : 0);
	free(kept);
	assert_true(ret >= 0);
}

static void transactions(void **state)
{
	struct mirror *mirror = fresh(), *found;
	uint32_t count[2] = { 0 };
	char payload[600];

	(void)state;
	memset(payload, 'x', sizeof(payload));
	for (int i = 0; i < 100; i++) {
		int n = snprintf(payload, sizeof(payload), "/t/n%d", i);

		add_draft(mirror, 1ULL << 40, 5, payload, (uint32_t)n + 400, 20000);
		add_draft(mirror, 2, 5, payload, (uint32_t)n + 10, 20000);
		payload[n] = 'x';
	}
	found = next_one(mirror);
	draft_each(draft_find(found->drafts, 1ULL << 40, 5), count_one, count);
	assert_true(count[0] > 30 && count[0] < 60);
	assert_true(count[1] > 10);
	/* What is beyond is one path at last. */
	assert_true(drafts_live(found->drafts) < 100000);
	mirror_free(found);
	mirror_begin(mirror);
	mirror_end(mirror, drafts_drop(mirror->drafts, 1ULL << 40));
	found = next_one(mirror);
	assert_null(draft_find(found->drafts, 1ULL << 40, 5));
	assert_non_null(draft_find(found->drafts, 2, 5));
	mirror_free(found);
	mirror_free(mirror);
}

/* --- what cannot be one */

static void of_another(void **state)
{
	struct mirror *mirror = fresh(), *found;

	(void)state;
	assert_int_equal(mirror_find(&found, dup(mirror_fd(mirror)), RINGS + 1, MOST), -ESTALE);
	annals_header(&mirror->annals)->version++;
	assert_int_equal(mirror_find(&found, dup(mirror_fd(mirror)), RINGS, MOST), -EPROTO);
	annals_header(&mirror->annals)->version--;
	assert_int_equal(mirror_find(&found, open("/dev/null", 0), RINGS, MOST), -EPROTO);
	mirror_free(mirror);
}

/* Any octet of it may be wrong: it is refused, or something, but nobody ends of it. */
static void any_octet(void **state)
{
	struct mirror *mirror = fresh(), *found;
	uint64_t tail;

	(void)state;
	WRITES(mirror, &dom0, "/a/b\0v");
	add_draft(mirror, 2, 5, "/t\0x", 4, 20000);
	tail = annals_tail(&mirror->annals);
	for (uint64_t pos = 0; pos < tail; pos++) {
		uint8_t *octet = (uint8_t *)annals_at(&mirror->annals, 0) + pos, was = *octet;

		for (int i = 0; i < 8; i++) {
			*octet = was ^ (uint8_t)(1 << i);
			if (!mirror_find(&found, dup(mirror_fd(mirror)), RINGS, MOST))
				mirror_free(found);
		}
		*octet = was;
	}
	assert_lasts(mirror);
	mirror_free(mirror);
}

static void no_room(void **state)
{
	struct mirror *mirror = fresh();
	char payload[3000] = "/a";

	(void)state;
	mirror->annals.most = 10000;
	for (int i = 0; i < 5; i++) {
		struct change change;

		sprintf(payload, "/a%d", i);
		change_read(&change, XS_WRITE, (uint8_t *)payload, sizeof(payload), &home);
		mirror_begin(mirror);
		mirror_end(mirror, change_apply(mirror->tree, &change, &dom0));
	}
	assert_true(mirror->broken);
	assert_false(mirror_is_whole(mirror));
	mirror_free(mirror);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_requests_change),
		cmocka_unit_test(what_oxenstored_makes),
		cmocka_unit_test(odd_spellings),
		cmocka_unit_test(places_that_are_no_more),
		cmocka_unit_test(a_domain_that_ends),
		cmocka_unit_test(for_long),
		cmocka_unit_test(transactions),
		cmocka_unit_test(of_another),
		cmocka_unit_test(any_octet),
		cmocka_unit_test(no_room),
	};

	return cmocka_run_group_tests_name("mirror", tests, NULL, NULL);
}
