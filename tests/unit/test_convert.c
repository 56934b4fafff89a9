// SPDX-License-Identifier: MIT
/*
 * test_convert - each format as each other one: what comes out, and what is listed as lost.
 */
#include "tests/unit/golden/streams.h"
#include "tests/unit/state_bed.h"

#include <errno.h>
#include <fcntl.h>

#include "migration/convert.h"
#include "migration/show.h"

#define SAID_MAX 4096
#define ROOT	 "/tmp/test_convert.XXXXXX"

static char dir[sizeof(ROOT)];
static char out[sizeof(ROOT) + 8];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, ROOT);
	if (!mkdtemp(dir))
		return -1;
	snprintf(out, sizeof(out), "%s/out", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(out);
	return rmdir(dir);
}

/* --- convert, and look at what is there then */

static const struct conversion_options all_to_c = { .to = STATE_C },
				       all_to_c2 = { .to = STATE_C_2 },
				       all_to_ox = { .to = STATE_OX },
				       all_to_xapi = { .to = STATE_OX_DEPTH };

/* @said: what was told. Return: of convert_stream(). */
static int convert(const void *octets, size_t len, const struct conversion_options *how,
		   bool strict, char said[SAID_MAX])
{
	struct convert_options options = {
		.name = "it", .file = out, .strict = strict, .how = *how
	};
	FILE *told = fmemopen(said, SAID_MAX, "w");
	struct report report = { told, "test" };
	struct state_reader *reader;
	int r;

	assert_non_null(told);
	assert_int_equal(state_open(&reader, octets, len, NULL), 0);
	r = convert_stream(reader, &options, &report);
	state_reader_free(reader);
	fclose(told);
	return r;
}

/* What is in the file, as it is shown; free() it. */
static char *out_shown(void)
{
	static char *text;
	static size_t len;
	struct state_reader *reader;
	int fd = open(out, O_RDONLY | O_CLOEXEC);
	FILE *shown = open_memstream(&text, &len);

	assert_true(fd >= 0);
	assert_non_null(shown);
	assert_int_equal(state_reader_open(&reader, fd, LIBXL_STREAM_MAX_DEFAULT, NULL), 0);
	if (state_reader_libxl(reader))
		assert_int_equal(show_stream(state_reader_libxl(reader), shown, false), 0);
	else
		assert_int_equal(show_state(reader, shown, false), 0);
	state_reader_free(reader);
	close(fd);
	fclose(shown);
	return text;
}

static void assert_converted(const void *octets, size_t len, const struct conversion_options *how,
			     const char *want, const char *want_said)
{
	static char said[SAID_MAX];
	char *text;

	memset(said, 0, sizeof(said));
	assert_int_equal(convert(octets, len, how, false, said), 0);
	text = out_shown();
	assert_string_equal(text, want);
	assert_string_equal(said, want_said);
	free(text);
	/* the same with --strict, unless something is lost; then the file stays as it was */
	unlink(out);
	assert_int_equal(
		convert(octets, len, how, true, said),
		strstr(want_said, "left out") || strstr(want_said, "rewritten") ? -EOPNOTSUPP : 0);
	if (*want_said && !strstr(want_said, "left as it is"))
		assert_int_equal(access(out, F_OK), -1);
}

#define NO_TRANSACTION                                                                 \
	"test: left out: transaction d7:12: no daemon takes it from a state\n"         \
	"test: left out: /a: node in a transaction: no daemon takes it from a state\n" \
	"test: left out: /b: node in a transaction: no daemon takes it from a state\n"

#define GOLDEN_C     golden_c, sizeof(golden_c)
#define GOLDEN_OX    golden_ox, GOLDEN_OX_LEN
#define LINES(lines) "$xenstored-dump-format\n" lines, sizeof("$xenstored-dump-format\n" lines) - 1

/* --- from the C daemon's */

/* All but a transaction: no daemon takes one. */
static void test_c_to_c2(void **state)
{
	static char said[SAID_MAX];
	char *text;

	(void)state;
	memset(said, 0, sizeof(said));
	assert_int_equal(convert(GOLDEN_C, &all_to_c2, false, said), 0);
	assert_string_equal(said, NO_TRANSACTION);
	text = out_shown();
	assert_non_null(strstr(text, "watch d7 @releaseDomain \"\" depth 2\n"));
	assert_non_null(strstr(text, "domain 7 features 0x3, quotas nodes 50\n"));
	free(text);
}

/* Of one domain it is kept: no daemon starts from that. */
static void test_c_to_c_of_one(void **state)
{
	struct conversion_options how = { .to = STATE_C_2, .one = true, .domid = 7 };
	static char said[SAID_MAX];
	char *text;

	(void)state;
	memset(said, 0, sizeof(said));
	assert_int_equal(convert(GOLDEN_C, &how, true, said), 0);
	assert_string_equal(said, "");
	text = out_shown();
	assert_non_null(strstr(text, "transaction d7 12\n"
				     "node /a n7 \"w\" in d7 12, read, written\n"
				     "node /b  \"\" in d7 12, deleted\n"
				     "domain 7 "));
	assert_null(strstr(text, "global"));
	assert_null(strstr(text, "\nsocket"));
	free(text);
}

static void test_c_to_c(void **state)
{
	(void)state;
	assert_converted(
		GOLDEN_C, &all_to_c,
		"global socket 5, event channels 8\n"
		"quotas nodes 1000, watches 128; global: total 5\n"
		"ring 7 port 66, target 8, unique id 81985529216486895, "
		"read \"\\x02\\x00\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\", unsent 3+\"xy\\x00"
		"\\x0b\\x00\\x00\\x00\\x02\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x03\\x00\\x00\\x00"
		"OK\\x00\"\n"
		"watch d7 data \"t\\xff\"\n"
		"watch d7 @releaseDomain \"\"\n"
		"socket 10\n"
		"node / n0 \"\"\n"
		"node /a n7,r3(stale) \"v\\x00\"\n"
		"node @releaseDomain n0 \"\"\n"
		"domain 7 quotas nodes 50\n"
		"format: C, version: 1, connections: 2, nodes: 3, watches: 2, transactions: 0, "
		"octets: 400\n",
		"test: left out: @releaseDomain: depth of the watch : this format has no place for "
		"it\n" NO_TRANSACTION
		"test: left out: features of d7: this format has no place for them\n");
}

static void test_c_to_ox(void **state)
{
	(void)state;
	assert_converted(
		GOLDEN_C, &all_to_ox,
		"global socket 5, event channels -1\n"
		"ring 7 remote port 0, gfn 0\n"
		"watch d7 data \"t\\xff\"\n"
		"watch d7 @releaseDomain \"\"\n"
		"socket 10\n"
		"node / n0 \"\"\n"
		"node /a n7 \"v\\x00\"\n"
		"node @releaseDomain n0 \"\"\n"
		"format: oxenstored, connections: 2, nodes: 3, watches: 2, transactions: 0, "
		"octets: 191\n",
		"test: left out: quotas of the daemon: oxenstored has them in oxenstored.conf\n"
		"test: left out: requests read of d7: this format has no place for them\n"
		"test: left out: replies and events for d7: this format has no place for them\n"
		"test: left out: target of d7: this format has no place for it; SET_TARGET sets it "
		"again\n"
		"test: left out: ring of d7: its frame and the domain's port are not in the state; "
		"they are 0 now\n"
		"test: left out: @releaseDomain: depth of the watch : this format has no place for "
		"it\n" NO_TRANSACTION
		"test: left out: features of d7: this format has no place for them\n"
		"test: left out: quotas of d7: this format has no place for them\n");
}

static void test_c_to_xapi(void **state)
{
	static char said[SAID_MAX];
	char *text;

	(void)state;
	assert_int_equal(convert(GOLDEN_C, &all_to_xapi, false, said), 0);
	text = out_shown();
	assert_non_null(strstr(text, "watch d7 @releaseDomain \"\" depth 2\n"));
	assert_null(strstr(said, "depth"));
	free(text);
}

static void test_c_to_libxl(void **state)
{
	static const char *const roots[] = { "/a" };
	struct conversion_options how = {
		.to = STATE_LIBXL, .one = true, .domid = 7, .roots = roots, .nr_roots = 1
	};

	(void)state;
	assert_converted(
		GOLDEN_C, &how,
		"watch data \"t\\xff\"\n"
		"watch @releaseDomain \"\"\n"
		"transaction 12\n"
		"node /a n7 \"v\\x00\"\n"
		"nodes: 1, watches: 2, transactions: 1, skipped: 0, octets: 152\n",
		"test: left out: requests read of d7: this format has no place for them\n"
		"test: left out: replies and events for d7: this format has no place for them\n"
		"test: left out: target of d7: this format has no place for it; SET_TARGET sets it "
		"again\n"
		"test: left out: @releaseDomain: depth of the watch : this format has no place for "
		"it\n"
		"test: left out: /a: node in a transaction: no daemon takes it from a state\n"
		"test: left out: /b: node in a transaction: no daemon takes it from a state\n"
		"test: left out: features of d7: this format has no place for them\n"
		"test: left out: quotas of d7: this format has no place for them\n");
	/* and nothing of another domain */
	how.domid = 8;
	how.nr_roots = 0;
	assert_converted(GOLDEN_C, &how,
			 "nodes: 0, watches: 0, transactions: 0, skipped: 0, octets: 24\n", "");
}

/* --- from oxenstored's */

static void test_ox_to_c(void **state)
{
	(void)state;
	assert_converted(GOLDEN_OX, &all_to_c2,
			 "global socket 5, event channels 7\n"
			 "ring 7 port 66\n"
			 "watch d7 data \"t\\xff\"\n"
			 "watch d7 @releaseDomain \"\" depth 2\n"
			 "ring 0 port 0\n"
			 "socket 10\n"
			 "watch fd10 /a \"t\"\n"
			 "node / n0 \"\"\n"
			 "node /a n7,r3 \"v\\x00\"\n"
			 "node /a/b n0 \"\"\n"
			 "node @releaseDomain n0 \"\"\n"
			 "format: C, version: 2, connections: 3, nodes: 4, watches: 3, "
			 "transactions: 0, octets: 384\n",
			 "test: left out: event channel of d0: its port is not in the state; it is "
			 "0 now\n");
}

/* Whose number is none: nobody has it, and the owner is domain 0. "b65536 r65536 w3" */
#define ODD "store,2f,62363535333600723635353336007733,\n"
static void test_odd_permissions(void **state)
{
	(void)state;
	assert_converted(LINES(ODD), &all_to_c,
			 "node / b0,w3 \"\"\n"
			 "format: C, version: 1, connections: 0, nodes: 1, watches: 0, "
			 "transactions: 0, octets: 64\n",
			 "test: rewritten: /: permission b?: now b0\n"
			 "test: left out: /: permission r?: this is no domain\n");
	assert_converted(LINES(ODD), &all_to_ox,
			 "node / b0,w3 \"\"\n"
			 "format: oxenstored, connections: 0, nodes: 1, watches: 0, "
			 "transactions: 0, octets: 44\n",
			 "test: rewritten: /: permission b?: now b0\n"
			 "test: left out: /: permission r?: this is no domain\n");
}

/* Only told: whether Xen has the domain cannot be seen from here. */
static void test_owner(void **state)
{
	static char said[SAID_MAX];

	(void)state;
	memset(said, 0, sizeof(said));
	assert_int_equal(convert(LINES("global,-1\nstore,2f,6e30,\nstore,2f61,6e39,\n"
				       "store,2f62,6e39,\n"),
				 &all_to_c, true, said),
			 0);
	assert_string_equal(said,
			    "test: left as it is: /a: its owner, domain 9: has no connection; "
			    "if Xen has no such domain, the C daemon ends when it reads "
			    "this\n");
	memset(said, 0, sizeof(said));
	assert_int_equal(convert(LINES("global,-1\nstore,2f,6e30,\nstore,2f61,6e39,\n"), &all_to_ox,
				 true, said),
			 0);
	assert_string_equal(said, "");
}

/* What is below a special watch in oxenstored has no place in the C daemon. */
static void test_below_special(void **state)
{
	static const char lines[] = "$xenstored-dump-format\nglobal,5,6\nstore,2f,6e30,\n"
				    "store,2f4072656c65617365446f6d61696e,6e30,\n"
				    "store,2f4072656c65617365446f6d61696e2f78,6e30,\n";

	(void)state;
	assert_converted(lines, sizeof(lines) - 1, &all_to_c,
			 "global socket 5, event channels -1\n"
			 "node / n0 \"\"\n"
			 "node @releaseDomain n0 \"\"\n"
			 "format: C, version: 1, connections: 0, nodes: 2, watches: 0, "
			 "transactions: 0, octets: 120\n",
			 "test: left out: read-only socket: only daemons before Xen 4.16 have one\n"
			 "test: left out: /@releaseDomain/x: node: it is below a special watch, "
			 "which no node can be here\n");
	assert_converted(
		lines, sizeof(lines) - 1, &all_to_ox,
		"global socket 5, event channels -1\n"
		"node / n0 \"\"\n"
		"node @releaseDomain n0 \"\"\n"
		"node /@releaseDomain/x n0 \"\"\n"
		"format: oxenstored, connections: 0, nodes: 3, watches: 0, "
		"transactions: 0, octets: 137\n",
		"test: left out: read-only socket: only daemons before Xen 4.16 have one\n");
}

/* --- from libxl's */

/* Records come in any order there; the others want parents first. */
static void test_libxl_order(void **state)
{
	static const char *const paths[] = { "/local/domain/7/b/c", "/local/domain/7/b",
					     "/local/domain/7", "/local/domain/7/b-c", "/vm/7" };
	struct conversion_options how = { .to = STATE_C, .one = true, .domid = 7 };
	struct record rec = { .kind = RECORD_WATCH, .watch = { "data", 4, "t", 1 } };
	struct record_perm perm = record_perm_make('n', 7);
	struct written written;

	(void)state;
	written_start(&written);
	written_add(&written, &rec);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		rec = (struct record){ .kind = RECORD_NODE,
				       .node = { paths[i], strlen(paths[i]), &perm, 1, "v", 1 } };
		written_add(&written, &rec);
	}
	rec = (struct record){ .kind = RECORD_TRANSACTION, .transaction = { 5 } };
	written_add(&written, &rec);
	written_finish(&written);
	assert_converted(written.octets, written.len, &how,
			 "ring 7 port 0\n"
			 "node /local/domain/7 n7 \"v\"\n"
			 "node /local/domain/7/b n7 \"v\"\n"
			 "node /local/domain/7/b-c n7 \"v\"\n"
			 "node /local/domain/7/b/c n7 \"v\"\n"
			 "node /vm/7 n7 \"v\"\n"
			 "watch d7 data \"t\"\n"
			 "transaction d7 5\n"
			 "format: C, version: 1, connections: 1, nodes: 5, watches: 1, "
			 "transactions: 1, octets: 344\n",
			 "test: left out: event channel of d7: its port is not in the state; it is "
			 "0 now\n");
	free(written.octets);
}

static void test_which_domain(void **state)
{
	static char said[SAID_MAX];
	struct conversion_options how = { .to = STATE_LIBXL };

	(void)state;
	unlink(out);
	assert_int_equal(convert(GOLDEN_C, &how, false, said), -EINVAL);
	assert_string_equal(said, "test: a libxl stream is of one domain; say --domain DOMID\n");
	how.to = STATE_C;
	memset(said, 0, sizeof(said));
	assert_int_equal(convert(golden_full, sizeof(golden_full), &how, false, said), -EINVAL);
	assert_string_equal(said, "test: it does not say whose stream it is; say --domain DOMID\n");
	assert_int_equal(access(out, F_OK), -1);
}

/* --- what no format but its own holds */

static void test_unknown_and_depth_lost(void **state)
{
	static const char octets[] = "xenstore\0\0\0\2\0\0\0\0"
				     "\11\0\0\0\10\0\0\0whatever"
				     "\2\0\0\0\30\0\0\0"
				     "\1\0\0\0\0\0\0\0\7\0\xf4\x7f\1\0\0\0\0\0\0\0\0\0\0\0"
				     "\10\0\0\0\20\0\0\0\1\0\0\0\2\0\2\0/\0t\0\0\0\0\0"
				     "\0\0\0\0\0\0\0";

	(void)state;
	assert_converted(octets, sizeof(octets), &all_to_c2,
			 "ring 7 port 1\n"
			 "watch d7 / \"t\"\n"
			 "format: C, version: 2, connections: 1, nodes: 0, watches: 1, "
			 "transactions: 0, octets: 80\n",
			 "test: left out: record of type 9: nothing is known about this type\n"
			 "test: left out: /: depth of the watch t: the daemon that wrote the state "
			 "left it out\n");
}

/* A domain's features are none of version 1, and 0 in version 2 would take them away. */
static void test_features_not_known(void **state)
{
	static char octets[sizeof(golden_c)];
	static char said[SAID_MAX];
	char *text;

	(void)state;
	memset(said, 0, sizeof(said));
	memcpy(octets, golden_c, sizeof(octets));
	octets[11] = 1;
	assert_int_equal(convert(octets, sizeof(octets), &all_to_c2, false, said), 0);
	assert_string_equal(said, NO_TRANSACTION
			    "test: left out: quotas of d7: version 2 has them with the "
			    "domain's features, which are not known\n");
	text = out_shown();
	assert_null(strstr(text, "\ndomain 7"));
	free(text);
}

/* oxenstored would take the watches of descriptor 0 for domain 0's. */
static void test_first_descriptor(void **state)
{
	static const char octets[] = "xenstore\0\0\0\1\0\0\0\0"
				     "\2\0\0\0\30\0\0\0"
				     "\1\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				     "\3\0\0\0\20\0\0\0\1\0\0\0\2\0\2\0/\0t\0\0\0\0\0"
				     "\0\0\0\0\0\0\0";

	(void)state;
	assert_converted(octets, sizeof(octets), &all_to_ox,
			 "format: oxenstored, connections: 0, nodes: 0, watches: 0, "
			 "transactions: 0, octets: 23\n",
			 "test: left out: connection of fd0: oxenstored would take its watches for "
			 "domain 0's\n"
			 "test: left out: /: watch t: its connection is left out\n");
}

/* A limit that somebody's oxenstored.conf has otherwise. */
static void test_limits(void **state)
{
	struct conversion_options how = { .to = STATE_OX, .max_value = 1, .max_watches = 1 };
	static char said[SAID_MAX];

	(void)state;
	memset(said, 0, sizeof(said));
	assert_int_equal(convert(GOLDEN_OX, &how, false, said), 0);
	assert_string_equal(
		said, "test: left out: @releaseDomain: watch : oxenstored takes no more watches of "
		      "a domain\n"
		      "test: left out: /a: node: oxenstored takes no value of so many octets\n"
		      "test: left out: /a/b: node: it is below a node that is left out\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_c_to_c2),
		cmocka_unit_test(test_c_to_c),
		cmocka_unit_test(test_c_to_c_of_one),
		cmocka_unit_test(test_c_to_ox),
		cmocka_unit_test(test_c_to_xapi),
		cmocka_unit_test(test_c_to_libxl),
		cmocka_unit_test(test_ox_to_c),
		cmocka_unit_test(test_odd_permissions),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_below_special),
		cmocka_unit_test(test_libxl_order),
		cmocka_unit_test(test_which_domain),
		cmocka_unit_test(test_unknown_and_depth_lost),
		cmocka_unit_test(test_features_not_known),
		cmocka_unit_test(test_first_descriptor),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
