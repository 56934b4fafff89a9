// SPDX-License-Identifier: MIT
/*
 * test_migrate_intake - a stream as it will be imported: what is counted, rewritten and refused,
 * and in which words.
 */
#include "tests/unit/golden/records.h"

#include <errno.h>

#include "migration/intake.h"

#define SAID_MAX 1024
#define HOME	 "/local/domain/7"

/* A stream in memory, and what came of it. */
struct bed {
	struct written written;
	struct intake_options options;
	struct intake *intake;
	char said[SAID_MAX];
};

static void bed_start(struct bed *bed)
{
	memset(bed, 0, sizeof(*bed));
	bed->options.max_stream = LIBXL_STREAM_MAX_DEFAULT;
	bed->options.domid = 7;
	bed->options.max_nodes = INTAKE_NODES_DEFAULT;
	written_start(&bed->written);
}

static void add_node(struct bed *bed, const char *path, size_t value_len, size_t nr_perms)
{
	static char value[8192];
	static struct record_perm perms[4096];
	struct record rec = { .kind = RECORD_NODE,
			      .node = { path, strlen(path), perms, nr_perms, value, value_len } };

	for (size_t i = 0; i < nr_perms; i++)
		perms[i] = record_perm_make('n', bed->options.domid);
	written_add(&bed->written, &rec);
}

static void add_watch(struct bed *bed, const char *path, size_t token_len)
{
	static char token[8192];
	struct record rec = { .kind = RECORD_WATCH,
			      .watch = { path, strlen(path), token, token_len } };

	memset(token, 't', sizeof(token));
	written_add(&bed->written, &rec);
}

static void add_transaction(struct bed *bed, uint32_t id)
{
	struct record rec = { .kind = RECORD_TRANSACTION, .transaction = { id } };

	written_add(&bed->written, &rec);
}

static int bed_open(struct bed *bed)
{
	struct report report = { fmemopen(bed->said, sizeof(bed->said), "w"), "test" };
	struct omissions *omissions = NULL;
	char path[32];
	int fd, r;

	assert_non_null(report.out);
	written_finish(&bed->written);
	fd = input_fd(bed->written.octets, bed->written.len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	bed->options.file = path;
	assert_int_equal(omissions_new(&omissions, &report, NULL), 0);
	r = intake_open(&bed->intake, &bed->options, omissions, &report);
	close(fd);
	omissions_free(omissions);
	fclose(report.out);
	return r;
}

static void bed_end(struct bed *bed)
{
	intake_free(bed->intake);
	free(bed->written.octets);
}

static void assert_refused(struct bed *bed, const char *reason)
{
	assert_int_equal(bed_open(bed), -EBADMSG);
	assert_null(bed->intake);
	if (!strstr(bed->said, reason))
		assert_string_equal(bed->said, reason);
	assert_non_null(strstr(bed->said, " is refused, nothing was changed: record "));
	bed_end(bed);
}

static void test_records(void **state)
{
	struct record here;
	struct bed bed;

	(void)state;
	bed_start(&bed);
	bed.options.domid = 7;
	add_transaction(&bed, 3);
	add_node(&bed, HOME "/b", 2, 1);
	add_watch(&bed, "a", 1);
	add_node(&bed, HOME, 0, 2);
	assert_int_equal(bed_open(&bed), 0);
	assert_string_equal(bed.said, "");
	assert_int_equal(intake_count(bed.intake, RECORD_NODE), 2);
	assert_int_equal(intake_count(bed.intake, RECORD_WATCH), 1);
	assert_int_equal(intake_count(bed.intake, RECORD_TRANSACTION), 1);

	for (int pass = 0; pass < 2; pass++) {
		assert_int_equal(intake_rewind(bed.intake), 0);
		assert_int_equal(intake_next(bed.intake, RECORD_NODE, &here), 1);
		assert_octets_equal(here.node.path, here.node.path_len, HOME "/b", 17);
		assert_int_equal(intake_next(bed.intake, RECORD_NODE, &here), 1);
		assert_octets_equal(here.node.path, here.node.path_len, HOME, 15);
		assert_int_equal(intake_next(bed.intake, RECORD_NODE, &here), 0);
	}
	bed_end(&bed);
}

static void test_maps(void **state)
{
	static const struct confine_map maps[] = { { 3, 7 } };
	static const char *const roots[] = { "/vm" };
	struct record here;
	struct bed bed;

	(void)state;
	bed_start(&bed);
	bed.options.maps = maps;
	bed.options.nr_maps = 1;
	bed.options.roots = roots;
	bed.options.nr_roots = 1;
	bed.options.domid = 3; /* of the permissions that add_node() makes */
	add_node(&bed, "/local/domain/3/a", 1, 1);
	add_node(&bed, "/vm/x", 1, 1);
	bed.options.domid = 7;
	assert_int_equal(bed_open(&bed), 0);
	assert_int_equal(intake_rewind(bed.intake), 0);
	assert_int_equal(intake_next(bed.intake, RECORD_NODE, &here), 1);
	assert_octets_equal(here.node.path, here.node.path_len, HOME "/a", 17);
	assert_int_equal(record_perm_domid(&here.node.perms[0]), 7);
	bed_end(&bed);
}

/* What fits exactly. */
static void test_sizes(void **state)
{
	static const size_t path_len = sizeof(HOME "/b"); /* NUL included */
	struct bed bed;

	(void)state;
	bed_start(&bed);
	add_node(&bed, HOME "/b", 4096 - path_len, 1);
	add_node(&bed, HOME "/c", 0, (4096 - path_len) / 3);
	add_watch(&bed, "a", 4064 - 3);
	assert_int_equal(bed_open(&bed), 0);
	assert_string_equal(bed.said, "");
	assert_int_equal(intake_count(bed.intake, RECORD_WATCH), 1);
	bed_end(&bed);
}

/* What is one octet too long: nodes without that, no watch at all. */
static void test_too_long(void **state)
{
	static const size_t path_len = sizeof(HOME "/b");
	struct record here;
	struct bed bed;

	(void)state;
	bed_start(&bed);
	add_node(&bed, HOME "/b", 4096 - path_len + 1, 1);
	add_node(&bed, HOME "/c", 0, (4096 - path_len) / 3 + 1);
	add_watch(&bed, "a", 4064 - 2);
	assert_int_equal(bed_open(&bed), 0);
	assert_non_null(strstr(
		bed.said, "test: left out: " HOME "/b: value: path and value fit no request\n"
			  "test: left out: " HOME "/c: permissions: not all of them fit a request\n"
			  "test: left out: a: watch ttt"));
	assert_non_null(strstr(bed.said, "ttt...: path and token fit no request\n"));
	assert_int_equal(intake_rewind(bed.intake), 0);
	assert_int_equal(intake_next(bed.intake, RECORD_NODE, &here), 1);
	assert_int_equal(here.node.value_len, 0);
	assert_int_equal(intake_next(bed.intake, RECORD_NODE, &here), 1);
	assert_int_equal(here.node.nr_perms, (4096 - path_len) / 3);
	assert_int_equal(intake_rewind(bed.intake), 0);
	assert_int_equal(intake_next(bed.intake, RECORD_WATCH, &here), 0);
	assert_int_equal(intake_count(bed.intake, RECORD_WATCH), 0);
	bed_end(&bed);
}

static void test_too_many(void **state)
{
	struct record here;
	struct bed bed;

	(void)state;
	bed_start(&bed);
	bed.options.max_nodes = 1;
	add_node(&bed, HOME "/a", 1, 1);
	add_node(&bed, HOME "/b", 1, 1);
	bed.options.domid = 0;
	add_node(&bed, HOME "/c", 1, 1);
	add_node(&bed, HOME "/d", 1, 1);
	bed.options.domid = 7;
	assert_int_equal(bed_open(&bed), 0);
	assert_string_equal(bed.said,
			    "test: left out: " HOME "/b: node: there are too many (--max-nodes)\n"
			    "test: left out: " HOME "/d: node: there are too many (--max-nodes)\n");
	assert_int_equal(intake_count(bed.intake, RECORD_NODE), 2);
	for (int pass = 0; pass < 2; pass++) {
		assert_int_equal(intake_rewind(bed.intake), 0);
		assert_int_equal(intake_next(bed.intake, RECORD_NODE, &here), 1);
		assert_octets_equal(here.node.path, here.node.path_len, HOME "/a", 17);
		assert_int_equal(intake_next(bed.intake, RECORD_NODE, &here), 1);
		assert_octets_equal(here.node.path, here.node.path_len, HOME "/c", 17);
		assert_int_equal(intake_next(bed.intake, RECORD_NODE, &here), 0);
	}
	bed_end(&bed);
}

/* Nodes of a domain that is not mapped; the home is whose it is anyway. */
static void test_drop_foreign(void **state)
{
	static const struct confine_map maps[] = { { 5, 6 } };
	struct record here;
	struct bed bed;

	(void)state;
	bed_start(&bed);
	bed.options.maps = maps;
	bed.options.nr_maps = 1;
	bed.options.drop_foreign = true;
	bed.options.domid = 8;
	add_node(&bed, HOME, 1, 1);
	add_node(&bed, HOME "/a", 1, 2);
	bed.options.domid = 5;
	add_node(&bed, HOME "/b", 1, 1);
	bed.options.domid = 0;
	add_node(&bed, HOME "/c", 1, 1);
	bed.options.domid = 7;
	assert_int_equal(bed_open(&bed), 0);
	assert_string_equal(bed.said,
			    "test: left out: " HOME
			    ": permission n8: domain 8, which owns it, is not mapped "
			    "(--map-domid, --keep-permissions, --drop-foreign)\n"
			    "test: left out: " HOME
			    "/a: node: domain 8, which owns it, is not mapped (--map-domid)\n");
	assert_int_equal(intake_count(bed.intake, RECORD_NODE), 3);
	assert_int_equal(intake_rewind(bed.intake), 0);
	assert_int_equal(intake_next(bed.intake, RECORD_NODE, &here), 1);
	assert_octets_equal(here.node.path, here.node.path_len, HOME, 15);
	assert_int_equal(intake_next(bed.intake, RECORD_NODE, &here), 1);
	assert_octets_equal(here.node.path, here.node.path_len, HOME "/b", 17);
	assert_int_equal(record_perm_domid(&here.node.perms[0]), 6);
	bed_end(&bed);
}

static void test_refusals(void **state)
{
	static const struct confine_map maps[] = { { 3, 7 }, { 4, 7 } };
	struct bed bed;

	(void)state;
	bed_start(&bed);
	add_node(&bed, "/local/domain/8", 1, 1);
	assert_refused(&bed, "record 1, octet 16: /local/domain/8 is outside the domain's home and "
			     "the roots (see --map-domid and --root)\n");
	bed_start(&bed);
	add_transaction(&bed, 1);
	add_transaction(&bed, 1);
	assert_refused(&bed,
		       "record 2, octet 32: this transaction was given before, at octet 16\n");
	bed_start(&bed);
	add_node(&bed, HOME, 1000, 1);
	bed.options.max_stream = 999;
	assert_refused(&bed, "the stream is longer than 999 octets\n");
	bed_start(&bed);
	bed.options.maps = maps;
	bed.options.nr_maps = 2;
	assert_int_equal(bed_open(&bed), -EEXIST);
	assert_string_equal(bed.said, "test: two --map-domid name the same domain; each has one "
				      "number there and one here\n");
	bed_end(&bed);
}

static void test_no_file(void **state)
{
	struct intake_options options = { .file = "/nowhere", .domid = 7 };
	char said[SAID_MAX] = "";
	struct report report = { fmemopen(said, sizeof(said), "w"), "test" };
	struct intake *intake = NULL;

	(void)state;
	assert_non_null(report.out);
	assert_int_equal(intake_open(&intake, &options, NULL, &report), -ENOENT);
	fclose(report.out);
	assert_string_equal(said, "test: cannot read /nowhere: No such file or directory\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),	 cmocka_unit_test(test_maps),
		cmocka_unit_test(test_sizes),	 cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_too_many), cmocka_unit_test(test_drop_foreign),
		cmocka_unit_test(test_refusals), cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
