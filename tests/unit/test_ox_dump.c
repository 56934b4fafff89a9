// SPDX-License-Identifier: MIT
/*
 * test_ox_dump - oxenstored's dump: octets put together by hand in both directions, every refusal
 * with its place and reason, and what oxenstored writes and cannot read.
 */
#include "tests/unit/state_bed.h"

static void test_read(void **state)
{
	char *text = state_shown(golden_ox, GOLDEN_OX_LEN, false);

	(void)state;
	assert_string_equal(text, "global socket 5, event channels 7, VIRQ port 64\n"
				  "ring 7 port 66, remote port 1, gfn 262151\n"
				  "watch d7 data \"t\\xff\"\n"
				  "watch d7 @releaseDomain \"\" depth 2\n"
				  "ring 0 remote port 33, gfn 0\n"
				  "socket 10\n"
				  "watch fd10 /a \"t\"\n"
				  "node / n0 \"\"\n"
				  "node /a n7,r3 \"v\\x00\"\n"
				  "node /a/b n0 \"\"\n"
				  "node @releaseDomain n0 \"\"\n"
				  "format: oxenstored, connections: 3, nodes: 4, watches: 3, "
				  "transactions: 0, octets: 273\n");
	free(text);
}

static void test_json(void **state)
{
	char *text = state_shown(golden_ox, GOLDEN_OX_LEN, true);

	(void)state;
	assert_non_null(strstr(text, "{\"global\":{\"socket\":5,\"event_channels\":7,"
				     "\"virq_port\":64}}\n"
				     "{\"connection\":{\"domain\":7,\"port\":66,\"remote_port\":1,"
				     "\"gfn\":262151}}\n"));
	assert_non_null(strstr(text, "{\"summary\":{\"format\":\"oxenstored\",\"connections\":3,"
				     "\"nodes\":4,\"watches\":3,\"transactions\":0,"
				     "\"octets\":273}}\n"));
	free(text);
}

static void test_write(void **state)
{
	size_t len;
	char *copy = state_copied(golden_ox, GOLDEN_OX_LEN, STATE_OX_DEPTH, &len);

	(void)state;
	assert_octets_equal(copy, len, golden_ox, GOLDEN_OX_LEN);
	free(copy);
}

#define HEADER "$xenstored-dump-format\n"

static void assert_lines_shown(const char *lines, const char *want)
{
	char *text = state_shown(lines, strlen(lines), false);

	*strstr(text, "format: ") = 0;
	assert_string_equal(text, want);
	free(text);
}

static void test_few_lines(void **state)
{
	(void)state;
	assert_lines_shown(HEADER, "");
	assert_lines_shown(HEADER "global,-1\n", "global socket -1, event channels -1\n");
	/* 4.15 and before: a second listener, which may only read */
	assert_lines_shown(HEADER "global,5,6\nstore,2f,6e30,\n",
			   "global socket 5, event channels -1, read-only socket 6\n"
			   "node / n0 \"\"\n");
	assert_lines_shown(HEADER "dom,7,-1,0\n", "ring 7 remote port 0, gfn -1\n");
}

/* SET_PERMS takes any number there, and %u prints a negative one as 63 bits. */
static void test_odd_permissions(void **state)
{
	(void)state;
	assert_lines_shown(HEADER "store,2f,6e30007239323233333732303336383534373735383033,\n",
			   "node / n0,r? \"\"\n");
	assert_lines_shown(HEADER "store,2f,6236353533360072363535333500773030,\n",
			   "node / b?,r65535,w0 \"\"\n");
}

/* What a special watch is, is a node in oxenstored, which toolstacks can have made others below. */
static void test_below_special(void **state)
{
	(void)state;
	assert_lines_shown(HEADER "global,-1\nstore,2f,6e30,\nstore,2f4072656c65617365446f6d61696e,"
				  "6e30,\nstore,2f4072656c65617365446f6d61696e2f78,6e30,\n"
				  "store,2f4061,6e30,\n",
			   "global socket -1, event channels -1\n"
			   "node / n0 \"\"\n"
			   "node @releaseDomain n0 \"\"\n"
			   "node /@releaseDomain/x n0 \"\"\n"
			   "node /@a n0 \"\"\n");
}

/* clang-format off */
static const struct state_refusal refusals[] = {
	/* lines as such; 23 is where the second begins */
	{ PATCH(22, "x"), 0, 0, "octets behind '$xenstored-dump-format'" },
	{ CUT(22), 0, 22, "the stream ends inside a line" },
	{ CUT(30), 1, 30, "the stream ends inside a line" },
	{ CUT(272), 12, 272, "the stream ends inside a line" },
	{ PATCH(272, "\n\n"), 13, 273, "an unknown line" },
	{ PATCH(272, "\nstore\n"), 13, 273, "a line 'store' with 0 fields" },
	{ PATCH(272, "\nstore,,,\n"), 13, 279, "the path is empty" },
	{ PATCH(272, "\nstore,2f,6e30,,\n"), 13, 273, "a line 'store' with 4 fields" },
	{ PATCH(272, "\nstore,,,,,,\n"), 13, 283, "the line has more than 5 fields" },
	{ PATCH(272, "\nglobal,5\n"), 13, 273, "global data were given before" },
	{ PATCH(272, "\nevtchn-dev,7,64\n"), 13, 273, "a line 'evtchn-dev' that does not follow 'global'" },
	{ PATCH(23, "G"), 1, 23, "an unknown line" },
	{ PATCH(23, "globals"), 1, 23, "an unknown line" },
	{ PATCH(32, "E"), 2, 32, "an unknown line" },

	/* numbers */
	{ PATCH(30, "x"), 1, 30, "this is no number from -1 to 2147483647" },
	{ PATCH(272, "\nsocket,\n"), 13, 280, "this is no number from 0 to 2147483647" },
	{ PATCH(272, "\nsocket,-1\n"), 13, 280, "this is no number from 0 to 2147483647" },
	{ PATCH(272, "\nsocket,2147483648\n"), 13, 280, "this is no number from 0 to 2147483647" },
	{ PATCH(272, "\nsocket,0x10\n"), 13, 280, "this is no number from 0 to 2147483647" },
	{ PATCH(272, "\ndom,65536,1,1\n"), 13, 277, "this is no number from 0 to 65535" },
	{ PATCH(272, "\ndom,9,1,1,-1\n"), 13, 283, "this is no number from 0 to 2147483647" },
	{ PATCH(272, "\ndom,9,18446744073709551616,1\n"), 13, 279, "this is no number from -9223372036854775807 to 9223372036854775807" },
	{ PATCH(272, "\ndom,9,9223372036854775808,1\n"), 13, 279, "this is no number from -9223372036854775807 to 9223372036854775807" },
	{ PATCH(272, "\nwatch,65536,2f,\n"), 13, 279, "this is no number from -2147483647 to 65535" },
	{ PATCH(272, "\nwatch,7,2f,,-1\n"), 13, 285, "this is no number from 0 to 9223372036854775807" },

	/* octets */
	{ PATCH(272, "\nwatch,7,2,\n"), 13, 281, "half an octet is missing" },
	{ PATCH(272, "\nwatch,7,2f2g,\n"), 13, 283, "this is no octet in hex" },
	{ PATCH(272, "\nwatch,7,2f00,\n"), 13, 283, "NUL in the path" },
	{ PATCH(272, "\nwatch,7,,\n"), 13, 281, "the path is empty" },
	{ PATCH(272, "\nwatch,7,2f,7400\n"), 13, 286, "NUL in the token" },
	{ PATCH(272, "\nstore,2f20,6e30,\n"), 13, 281, "octet 0x20 in the path" },
	{ PATCH(272, "\nstore,61,6e30,\n"), 13, 279, "the path is not absolute" },

	/* permissions */
	{ PATCH(272, "\nstore,2f63,,\n"), 13, 284, "this is no permission" },
	{ PATCH(272, "\nstore,2f63,6e3000,\n"), 13, 290, "this is no permission" },
	{ PATCH(272, "\nstore,2f63,6e300071,\n"), 13, 290, "this is no permission" },
	{ PATCH(272, "\nstore,2f63,6e30007230782d,\n"), 13, 290, "this is no permission" },
	{ PATCH(272, "\nstore,2f63,6e2d31,\n"), 13, 284, "this is no permission" },

	/* the order */
	{ PATCH(272, "\ndom,7,1,1\n"), 13, 273, "this connection was given before" },
	{ PATCH(272, "\nsocket,10\n"), 13, 273, "this connection was given before" },
	{ PATCH(272, "\nwatch,-9,2f,\n"), 13, 273, "there is no connection of socket 9 before it" },
	{ PATCH(272, "\nwatch,9,2f,\n"), 13, 273, "there is no connection of domain 9 before it" },
	{ PATCH(272, "\nwatch,-10,2f61,74\n"), 13, 273, "this watch was given before" },
	{ PATCH(272, "\nstore,2f61,6e30,\n"), 13, 273, "this node was given before" },
	{ PATCH(272, "\nstore,2f632f64,6e30,\n"), 13, 273, "its parent is not there before it" },
};
/* clang-format on */

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		assert_refused(&refusals[i], golden_ox, GOLDEN_OX_LEN);
}

/* Cut anywhere it is refused, but for the end of a line: a dump has no end of its own. */
static void test_cuts(void **state)
{
	(void)state;
	for (size_t len = sizeof(HEADER) - 1; len < GOLDEN_OX_LEN; len++) {
		struct state_reader *reader = NULL;
		int r = state_open(&reader, golden_ox, len, NULL);

		assert_int_equal(r, golden_ox[len - 1] == '\n' ? 0 : -EBADMSG);
		state_reader_free(reader);
	}
}

static void test_longer_than_allowed(void **state)
{
	int fd = input_fd(golden_ox, GOLDEN_OX_LEN);
	struct state_reader *reader;
	struct record_fault fault;

	(void)state;
	/* also where a line ends */
	assert_int_equal(state_reader_open(&reader, fd, 32, &fault), -EBADMSG);
	assert_fault(&fault, 2, 32, "the stream is longer than 32 octets");
	close(fd);
}

/* --- what the writer refuses */

static void assert_not_written(const struct state_item *item, const char *reason)
{
	struct state_item ring = { .kind = STATE_CONNECTION,
				   .connection = { .peer.number = 7, .has_remote = true } };
	struct state_writer *writer;
	struct record_fault fault;
	char *octets = NULL;
	size_t len;
	FILE *out = open_memstream(&octets, &len);

	assert_non_null(out);
	assert_int_equal(state_writer_new(&writer, out, STATE_OX), 0);
	assert_int_equal(state_writer_append(writer, &ring, &fault), 0);
	assert_int_equal(state_writer_append(writer, item, &fault), -EBADMSG);
	assert_string_equal(fault.reason, reason);
	assert_int_equal(fault.record, 2);
	state_writer_free(writer);
	fclose(out);
	free(octets);
}

static void test_writer_refuses(void **state)
{
	static const struct record_perm stale = { 'r', STATE_PERM_STALE, { 3 } };
	struct state_item node = { .kind = STATE_NODE,
				   .node.node = { .path = "/", .path_len = 1 } };
	struct state_item watch = { .kind = STATE_WATCH,
				    .watch = { .peer.number = 7, .path = "/", .path_len = 1 } };
	struct state_item ring = { .kind = STATE_CONNECTION, .connection.peer.number = 8 };
	struct state_item sock = { .kind = STATE_CONNECTION, .connection.peer.socket = true };
	struct state_item quotas = { .kind = STATE_QUOTAS };

	(void)state;
	assert_not_written(&quotas, "quotas, which a dump does not hold");
	assert_not_written(&sock, "a socket of descriptor 0");
	assert_not_written(&ring, "domain 8 without its frame and port");
	ring.connection.has_unique_id = true;
	assert_not_written(&ring, "a unique id");
	ring.connection.has_target = true;
	assert_not_written(&ring, "a target");
	sock.connection.in_len = 1;
	assert_not_written(&sock, "messages read or to be sent");
	assert_not_written(&node, "a node without permissions");
	node.node.node.perms = &stale;
	node.node.node.nr_perms = 1;
	assert_not_written(&node, "a permission that is stale");
	watch.watch.has_depth = true;
	assert_not_written(&watch, "a watch with a depth, which only XAPI's oxenstored takes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_few_lines),
		cmocka_unit_test(test_odd_permissions),
		cmocka_unit_test(test_below_special),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_longer_than_allowed),
		cmocka_unit_test(test_writer_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
