// SPDX-License-Identifier: MIT
/*
 * test_migrate_journal - what is written is read again; what is cut off anywhere is nothing, or all
 * of it; who has it has it alone.
 */
#include "tests/unit/golden/records.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "migration/journal.h"

#define HOME "/local/domain/7"

struct bed {
	char dir[32];
	char path[64];
	struct journal *journal;
};

static void bed_start(struct bed *bed)
{
	strcpy(bed->dir, "/tmp/journal.XXXXXX");
	assert_non_null(mkdtemp(bed->dir));
	snprintf(bed->path, sizeof(bed->path), "%s/import-7", bed->dir);
	assert_int_equal(journal_open(&bed->journal, bed->dir, 7), 0);
	assert_string_equal(journal_path(bed->journal), bed->path);
}

static void bed_end(struct bed *bed, bool remains)
{
	journal_free(bed->journal);
	assert_int_equal(access(bed->path, F_OK), remains ? 0 : -1);
	unlink(bed->path);
	assert_int_equal(rmdir(bed->dir), 0);
}

static void bed_open_again(struct bed *bed)
{
	journal_free(bed->journal);
	assert_int_equal(journal_open(&bed->journal, bed->dir, 7), 0);
}

static struct record_node node_at(const char *path, const char *value,
				  const struct record_perm *perms, size_t nr_perms)
{
	return (struct record_node){ path, strlen(path), perms, nr_perms, value, strlen(value) };
}

/* A node that was there, one that was not, and one that is left alone. */
static void make_plan(struct plan *plan)
{
	struct record_node old = node_at(HOME "/b", "old", golden_perms_1, 2);
	struct record_node changed = node_at(HOME "/b", "new value", golden_perms_4, 1);
	struct record_node made = node_at(HOME "/a", "", golden_perms_1, 2);
	struct record_node left = node_at(HOME "/c", "x", golden_perms_1, 2);

	memset(plan, 0, sizeof(*plan));
	assert_int_equal(plan_add(plan, &changed, &old), 0);
	assert_int_equal(plan_add(plan, &made, NULL), 0);
	assert_int_equal(plan_add(plan, &left, &left), 0);
	plan_sort(plan);
	((struct plan_node *)((struct plan_node *)plan->nodes->hh.next)->hh.next)->action =
		PLAN_LEAVE;
}

static void assert_plan(struct plan *plan)
{
	struct plan_node *a = plan->nodes, *b = a->hh.next;

	assert_int_equal(plan->nr, 2);
	assert_string_equal(a->path, HOME "/a");
	assert_int_equal(a->action, PLAN_MAKE);
	assert_false(a->had.exists);
	assert_octets_equal(a->want.value, a->want.value_len, "", 0);
	assert_string_equal(b->path, HOME "/b");
	assert_int_equal(b->action, PLAN_WRITE);
	assert_octets_equal(b->had.value, b->had.value_len, "old", 3);
	assert_int_equal(b->had.nr_perms, 2);
	assert_octets_equal(b->want.value, b->want.value_len, "new value", 9);
	assert_memory_equal(b->want.perms, golden_perms_4, sizeof(golden_perms_4));
	assert_null(b->hh.next);
}

static void test_there_and_back(void **state)
{
	static const struct journal_head heads[] = {
		{ .session = true, .vm = (char *)"/vm/1", .vm_len = 5 },
		{ .session = false, .vm = (char *)"", .vm_len = 0 },
		{ .session = true },
	};
	struct journal_head head;
	struct plan plan, got;
	struct stat st;
	struct bed bed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		bed_start(&bed);
		make_plan(&plan);
		memset(&got, 0, sizeof(got));
		assert_int_equal(journal_read(bed.journal, &head, &got), 0);
		assert_int_equal(journal_write(bed.journal, &heads[i], &plan), 0);
		assert_int_equal(stat(bed.path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
		bed_open_again(&bed);
		assert_int_equal(journal_read(bed.journal, &head, &got), 1);
		assert_int_equal(head.session, heads[i].session);
		assert_int_equal(head.vm != NULL, heads[i].vm != NULL);
		assert_octets_equal(head.vm, head.vm_len, heads[i].vm, heads[i].vm_len);
		assert_plan(&got);
		free(head.vm);
		plan_clear(&got);
		plan_clear(&plan);
		if (i)
			journal_done(bed.journal);
		bed_end(&bed, !i);
	}
}

/* Killed while it was written: nothing was changed yet. */
static void test_cut_off(void **state)
{
	const struct journal_head head = { .vm = (char *)"/vm/1", .vm_len = 5 };
	struct journal_head got_head;
	struct plan plan, got;
	struct stat st;
	struct bed bed;

	(void)state;
	bed_start(&bed);
	make_plan(&plan);
	assert_int_equal(journal_write(bed.journal, &head, &plan), 0);
	assert_int_equal(stat(bed.path, &st), 0);
	for (off_t size = st.st_size - 1; size >= 0; size--) {
		memset(&got, 0, sizeof(got));
		assert_int_equal(truncate(bed.path, size), 0);
		assert_int_equal(journal_read(bed.journal, &got_head, &got), 0);
		assert_null(got.nodes);
		free(got_head.vm);
	}
	plan_clear(&plan);
	journal_done(bed.journal);
	bed_end(&bed, false);
}

static void test_alone(void **state)
{
	struct journal *other = NULL;
	struct bed bed;

	(void)state;
	bed_start(&bed);
	assert_int_equal(journal_open(&other, bed.dir, 7), -EBUSY);
	assert_int_equal(journal_open(&other, bed.dir, 8), 0);
	journal_free(other);
	assert_int_equal(journal_open(&other, "/nowhere", 7), -ENOENT);
	bed_end(&bed, false);
}

/* Somebody else put a link there. */
static void test_link(void **state)
{
	struct journal *other = NULL;
	struct bed bed;

	(void)state;
	bed_start(&bed);
	assert_int_equal(unlink(bed.path), 0);
	assert_int_equal(symlink("/dev/null", bed.path), 0);
	assert_int_equal(journal_open(&other, bed.dir, 7), -ELOOP);
	bed_end(&bed, false);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
