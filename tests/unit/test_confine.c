// SPDX-License-Identifier: MIT
/*
 * test_confine - the import policy: exact homes and roots, maps, permissions, what is rewritten and
 * what is not.
 */
#include "tests/unit/confine_bed.h"

static void assert_node(struct confine *confine, const char *path, const char *want)
{
	struct record in = node_at(path), out;

	assert_int_equal(confine_record(confine, &in, &out, NULL, NULL), 0);
	assert_octets_equal(out.node.path, out.node.path_len, want, strlen(want));
	assert_octets_equal(out.node.value, out.node.value_len, "/local/domain/5", 15);
}

static void assert_node_refused(struct confine *confine, const char *path, const char *reason)
{
	struct record in = node_at(path), out;
	struct record_fault fault;

	assert_int_equal(confine_record(confine, &in, &out, NULL, &fault), -EBADMSG);
	assert_fault(&fault, 0, 0, reason);
	assert_int_equal(confine_record(confine, &in, &out, NULL, NULL), -EBADMSG);
}

static void assert_watch(struct confine *confine, const char *path, const char *want)
{
	struct record in = { .kind = RECORD_WATCH,
			     .watch = { path, strlen(path), "/local/domain/5", 15 } };
	struct record out;

	assert_int_equal(confine_record(confine, &in, &out, NULL, NULL), 0);
	assert_octets_equal(out.watch.path, out.watch.path_len, want, strlen(want));
	assert_octets_equal(out.watch.token, out.watch.token_len, "/local/domain/5", 15);
}

/* --- nodes */

static void test_home(void **state)
{
	struct confine *confine = policy(1, NULL, NULL);

	(void)state;
	assert_node(confine, "/local/domain/1", "/local/domain/1");
	assert_node(confine, "/local/domain/1/a/b", "/local/domain/1/a/b");
	assert_node_refused(confine, "/local/domain/10",
			    "/local/domain/10 is outside the domain's home and the roots");
	assert_node_refused(confine, "/local/domain/10/a",
			    "/local/domain/10/a is outside the domain's home and the roots");
	assert_node_refused(confine, "/local/domain/0/a",
			    "/local/domain/0/a is outside the domain's home and the roots");
	assert_node_refused(confine, "/local/domain/1a",
			    "/local/domain/1a is outside the domain's home and the roots");
	assert_node_refused(confine, "/local/domain/01/a",
			    "/local/domain/01/a is outside the domain's home and the roots");
	assert_node_refused(confine, "/local/domain/65537",
			    "/local/domain/65537 is outside the domain's home and the roots");
	assert_node_refused(confine, "/local/domain/4294967297",
			    "/local/domain/4294967297 is outside the domain's home and the roots");
	assert_node_refused(confine, "/local/domain/18446744073709551617",
			    "/local/domain/18446744073709551617 is outside the domain's home and "
			    "the roots");
	assert_node_refused(confine, "/local/domain",
			    "/local/domain is outside the domain's home and the roots");
	assert_node_refused(confine, "/local/domains/1",
			    "/local/domains/1 is outside the domain's home and the roots");
	assert_node_refused(confine, "/a/local/domain/1",
			    "/a/local/domain/1 is outside the domain's home and the roots");
	assert_node_refused(confine, "/", "/ is outside the domain's home and the roots");
	assert_node_refused(confine, "/@releaseDomain",
			    "/@releaseDomain is outside the domain's home and the roots");
	confine_free(confine);
}

static void test_roots(void **state)
{
	struct confine *confine = policy(7, NULL, "/vm/1");

	(void)state;
	assert_node(confine, "/vm/1", "/vm/1");
	assert_node(confine, "/vm/1/name", "/vm/1/name");
	assert_node_refused(confine, "/vm/10", "/vm/10 is outside the domain's home and the roots");
	assert_node_refused(confine, "/vm", "/vm is outside the domain's home and the roots");
	assert_int_equal(confine_add_root(confine, "/libxl/7"), 0);
	assert_node(confine, "/libxl/7/type", "/libxl/7/type");
	assert_node(confine, "/vm/1/name", "/vm/1/name");
	assert_int_equal(confine_add_root(confine, "vm"), -EINVAL);
	assert_int_equal(confine_add_root(confine, "/vm/"), -EINVAL);
	assert_int_equal(confine_add_root(confine, ""), -EINVAL);
	assert_int_equal(confine_add_root(confine, "/"), 0);
	assert_node(confine, "/local/domain/9/x", "/local/domain/9/x");
	assert_node(confine, "/", "/");
	confine_free(confine);
}

static void test_maps(void **state)
{
	struct confine *confine = policy(7, "5=7 3=12", "/local/domain/12/backend/vif/7");

	(void)state;
	assert_node(confine, "/local/domain/5", "/local/domain/7");
	assert_node(confine, "/local/domain/5/domain/5", "/local/domain/7/domain/5");
	assert_node_refused(confine, "/local/domain/50",
			    "/local/domain/50 is outside the domain's home and the roots");
	/* the numbers here are those of others there */
	assert_node_refused(confine, "/local/domain/7/x",
			    "/local/domain/7/x is the home of a domain that is not mapped");
	assert_node_refused(confine, "/local/domain/12/backend/vif/7",
			    "/local/domain/12/backend/vif/7 is the home of a domain that is not "
			    "mapped");
	/* a root is named as here, and nothing but the home is rewritten */
	assert_node(confine, "/local/domain/3/backend/vif/7/0", "/local/domain/12/backend/vif/7/0");
	assert_node_refused(confine, "/local/domain/3/backend/vif/5",
			    "/local/domain/12/backend/vif/5 is outside the domain's home and the "
			    "roots");
	confine_free(confine);
}

static void test_swap(void **state)
{
	struct confine *confine = policy(7, "5=7 7=5", NULL);

	(void)state;
	assert_node(confine, "/local/domain/5/x", "/local/domain/7/x");
	assert_node_refused(confine, "/local/domain/7/x",
			    "/local/domain/5/x is outside the domain's home and the roots");
	confine_free(confine);
	confine = policy(7, "7=7", NULL);
	assert_node(confine, "/local/domain/7/x", "/local/domain/7/x");
	confine_free(confine);
}

static void assert_too_long(struct confine *confine, const struct record *rec, const char *reason)
{
	struct record_fault fault;
	struct record got;

	assert_int_equal(confine_record(confine, rec, &got, NULL, &fault), -ENAMETOOLONG);
	assert_fault(&fault, 0, 0, reason);
}

static void test_long_paths(void **state)
{
	struct confine *confine = policy(32751, "5=32751", NULL);
	char path[RULES_PATH_MAX + 1], out[RULES_PATH_MAX], reason[RECORD_REASON_MAX];
	struct record watch;
	size_t len;

	(void)state;
	memset(path, 'x', sizeof(path));
	memcpy(path, "/local/domain/5/", 16);
	path[RULES_PATH_MAX - 4] = 0;
	assert_int_equal(confine_map_path(confine, path, strlen(path), out, &len), 0);
	assert_int_equal(len, RULES_PATH_MAX);
	assert_memory_equal(out, "/local/domain/32751/xx", 22);
	assert_memory_equal(out + 22, path + 18, RULES_PATH_MAX - 22);
	path[RULES_PATH_MAX - 4] = 'x';
	path[RULES_PATH_MAX - 3] = 0;
	assert_int_equal(confine_map_path(confine, path, strlen(path), out, &len), -ENAMETOOLONG);
	snprintf(reason, sizeof(reason), "%.96s... is too long once it is mapped", path);
	assert_too_long(confine,
			&(struct record){ .kind = RECORD_NODE, .node = node_at(path).node },
			reason);
	watch = (struct record){ .kind = RECORD_WATCH, .watch = { path, strlen(path), "", 0 } };
	assert_too_long(confine, &watch, reason);
	confine_free(confine);
}

/* --- permissions */

/* What becomes of the permissions of "n0 b<domid>", or of the second one as the owner. */
static void confine_perms_of(struct confine *confine, uint16_t domid, bool owner, char *text,
			     size_t size, char *said, size_t said_size)
{
	struct report report = { fmemopen(said, said_size, "w"), "test" };
	struct record_perm perms[] = { record_perm_make('n', 0), record_perm_make('b', domid) };
	struct record in = node_at("/x"), out;
	struct omissions *omissions = NULL;
	size_t n = 0;

	assert_non_null(report.out);
	assert_int_equal(omissions_new(&omissions, &report, NULL), 0);
	in.node.perms = owner ? perms + 1 : perms;
	in.node.nr_perms = owner ? 1 : 2;
	memset(said, 0, said_size);
	assert_int_equal(confine_record(confine, &in, &out, omissions, NULL), 0);
	assert_int_equal(record_perm_domid(&perms[1]), domid); /* the input is left alone */
	text[0] = '\0';
	for (size_t i = 0; i < out.node.nr_perms; i++)
		n += (size_t)snprintf(text + n, size - n, "%c%u ", out.node.perms[i].letter,
				      record_perm_domid(&out.node.perms[i]));
	omissions_free(omissions);
	fclose(report.out);
}

static void assert_perms(struct confine *confine, uint16_t domid, const char *perms,
			 const char *as_owner)
{
	char text[64], said[256], want[256] = "", of_owner[256] = "";

	if (!strcmp(perms, "n0 "))
		snprintf(want, sizeof(want),
			 "test: left out: /x: permission b%u: domain %u is not mapped "
			 "(--map-domid, --keep-permissions)\n",
			 domid, domid);
	if (!strcmp(as_owner, "n0 "))
		snprintf(of_owner, sizeof(of_owner),
			 "test: left out: /x: permission b%u: domain %u, which owns it, is not "
			 "mapped (--map-domid, --keep-permissions, --drop-foreign)\n",
			 domid, domid);
	confine_perms_of(confine, domid, false, text, sizeof(text), said, sizeof(said));
	assert_string_equal(text, perms);
	assert_string_equal(said, want);
	confine_perms_of(confine, domid, true, text, sizeof(text), said, sizeof(said));
	assert_string_equal(text, as_owner);
	assert_string_equal(said, of_owner);
}

static void assert_perm(struct confine *confine, uint16_t domid, uint16_t want)
{
	char perms[64], owner[64];

	snprintf(perms, sizeof(perms), "n0 b%u ", want);
	snprintf(owner, sizeof(owner), "b%u ", want);
	assert_perms(confine, domid, perms, owner);
}

/* Left out; and never does it leave the node to whom the next permission names. */
static void assert_no_perm(struct confine *confine, uint16_t domid)
{
	assert_perms(confine, domid, "n0 ", "n0 ");
}

static void test_perms(void **state)
{
	struct confine *confine = policy(7, NULL, "/");

	(void)state;
	assert_perm(confine, 0, 0);
	assert_perm(confine, 7, 7);
	assert_no_perm(confine, 5);
	assert_no_perm(confine, 0x7ff0);
	assert_no_perm(confine, 0xffff);
	assert_no_perm(confine, 0x0700);
	assert_perms(confine, 32757, "n0 b32757 ", "n0 "); /* all domains; they own nothing */
	confine_keep_perms(confine);
	assert_perm(confine, 5, 5);
	assert_perm(confine, 0xffff, 0xffff);
	confine_free(confine);

	confine = policy(7, "5=7 3=12", "/");
	for (int keep = 0; keep < 2; keep++) {
		assert_perm(confine, 0, 0);
		assert_perm(confine, 5, 7);
		assert_perm(confine, 3, 12);
		assert_no_perm(confine, 7);
		assert_no_perm(confine, 12);
		confine_keep_perms(confine);
	}
	confine_free(confine);

	confine = policy(7, "3=12", "/");
	assert_perm(confine, 7, 7);
	confine_free(confine);

	confine = policy(7, "3=0", "/"); /* the backends are in dom0 here */
	assert_perm(confine, 3, 0);
	assert_perm(confine, 0, 0);
	confine_free(confine);
}

/* What is asked for by a root, and what is the home. */
static void test_asked(void **state)
{
	static const struct {
		const char *path;
		bool asked;
		bool home;
	} cases[] = {
		{ "/local/domain/7", false, true },
		{ "/local/domain/7/memory", true, false },
		{ "/local/domain/7/memory/x", true, false },
		{ "/local/domain/7/memory2", false, false },
		{ "/local/domain/7/x", false, false },
		{ "/local/domain/70", true, false },
		{ "/local/domain", true, false },
		{ "/vm", true, false },
		{ "/", true, false },
	};
	struct confine *confine = policy(7, NULL, "/local/domain/7/memory");

	(void)state;
	assert_false(confine_is_asked(confine, "/vm", 3));
	assert_int_equal(confine_add_root(confine, "/"), 0);
	assert_int_equal(confine_add_root(confine, "/local/domain/7"), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len = strlen(cases[i].path);

		assert_int_equal(confine_is_asked(confine, cases[i].path, len), cases[i].asked);
		assert_int_equal(confine_is_home(confine, cases[i].path, len), cases[i].home);
	}
	confine_free(confine);
}

static void test_many_perms(void **state)
{
	struct confine *confine = policy(7, "5=7", NULL);
	struct record in = node_at("/local/domain/5"), out;
	struct record_perm perms[1000];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(perms); i++)
		perms[i] = record_perm_make("wrbn"[i % 4], i % 3 ? 5 : 0);
	in.node.perms = perms;
	in.node.nr_perms = ARRAY_LEN(perms);
	assert_int_equal(confine_record(confine, &in, &out, NULL, NULL), 0);
	assert_int_equal(out.node.nr_perms, ARRAY_LEN(perms));
	for (size_t i = 0; i < ARRAY_LEN(perms); i++) {
		assert_int_equal(out.node.perms[i].letter, perms[i].letter);
		assert_int_equal(record_perm_domid(&out.node.perms[i]), i % 3 ? 7 : 0);
	}
	confine_free(confine);
}

/* --- watches, transactions */

static void test_watches(void **state)
{
	struct confine *confine = policy(7, "5=7", NULL);

	(void)state;
	assert_watch(confine, "/local/domain/5/x", "/local/domain/7/x");
	assert_watch(confine, "/local/domain/5", "/local/domain/7");
	assert_watch(confine, "/local/domain/50/x", "/local/domain/50/x");
	assert_watch(confine, "/local/domain", "/local/domain");
	assert_watch(confine, "/", "/");
	assert_watch(confine, "/vm/5", "/vm/5");
	assert_watch(confine, "device/vif/0", "device/vif/0");
	assert_watch(confine, "local/domain/5", "local/domain/5");
	assert_watch(confine, "@releaseDomain", "@releaseDomain");
	assert_watch(confine, "@/local/domain/5", "@/local/domain/5");
	assert_watch(confine, "/local/domain/9/x",
		     "/local/domain/9/x"); /* no right comes with it */
	assert_watch(confine, "/local/domain/7/x", "/local/domain/7/x");
	confine_free(confine);
}

static void test_transactions(void **state)
{
	struct record in = { .kind = RECORD_TRANSACTION, .transaction = { 5 } }, out;
	struct confine *confine = policy(7, "5=7", NULL);

	(void)state;
	assert_int_equal(confine_record(confine, &in, &out, NULL, NULL), 0);
	assert_record_equal(&out, &in);
	confine_free(confine);
}

static void test_map_path(void **state)
{
	struct confine *confine = policy(7, "5=7", NULL);
	char out[RULES_PATH_MAX];
	size_t len;

	(void)state;
	assert_int_equal(confine_map_path(confine, "/local/domain/5/x", 17, out, &len), 0);
	assert_octets_equal(out, len, "/local/domain/7/x", 17);
	assert_int_equal(confine_map_path(confine, "/local/domain/5/x", 15, out, &len), 0);
	assert_octets_equal(out, len, "/local/domain/7", 15);
	assert_int_equal(confine_map_path(confine, "/local/domain/5/x", 14, out, &len), 0);
	assert_octets_equal(out, len, "/local/domain/", 14);
	assert_int_equal(confine_map_path(confine, "/local/domain/7/x", 17, out, &len), -EPERM);
	confine_free(confine);
}

/* --- the policy itself */

static void test_map_parse(void **state)
{
	static const char *const invalid[] = { "",	  "5",	     "5=",	     "=7",
					       "5=7 ",	  " 5=7",    "5 =7",	     "5=+7",
					       "-5=7",	  "05=7",    "5=07",	     "5=7=9",
					       "5==7",	  "0x5=7",   "5=7x",	     "32752=1",
					       "1=32752", "1=65536", "4294967301=7", "5:7" };
	struct confine_map map;

	(void)state;
	assert_int_equal(confine_map_parse(&map, "5=7"), 0);
	assert_int_equal(map.from, 5);
	assert_int_equal(map.to, 7);
	assert_int_equal(confine_map_parse(&map, "0=32751"), 0);
	assert_int_equal(map.from, 0);
	assert_int_equal(map.to, 32751);
	for (size_t i = 0; i < ARRAY_LEN(invalid); i++)
		assert_int_equal(confine_map_parse(&map, invalid[i]), -EINVAL);
}

static void test_policy(void **state)
{
	struct confine *confine = NULL;

	(void)state;
	assert_int_equal(confine_new(&confine, 0), -EINVAL);
	assert_int_equal(confine_new(&confine, CONFINE_DOMID_MAX + 1), -EINVAL);
	assert_null(confine);
	confine = policy(7, "5=7", NULL);
	assert_int_equal(confine_add_map(confine, &(struct confine_map){ 5, 8 }), -EEXIST);
	assert_int_equal(confine_add_map(confine, &(struct confine_map){ 6, 7 }), -EEXIST);
	assert_int_equal(confine_add_map(confine, &(struct confine_map){ 0x7ff0, 9 }), -EINVAL);
	assert_int_equal(confine_add_map(confine, &(struct confine_map){ 9, 0x7ff0 }), -EINVAL);
	assert_node(confine, "/local/domain/5", "/local/domain/7");
	confine_free(confine);
	confine_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_home),	   cmocka_unit_test(test_roots),
		cmocka_unit_test(test_maps),	   cmocka_unit_test(test_swap),
		cmocka_unit_test(test_long_paths), cmocka_unit_test(test_perms),
		cmocka_unit_test(test_asked),	   cmocka_unit_test(test_many_perms),
		cmocka_unit_test(test_watches),	   cmocka_unit_test(test_transactions),
		cmocka_unit_test(test_map_path),   cmocka_unit_test(test_map_parse),
		cmocka_unit_test(test_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
