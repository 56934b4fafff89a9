// SPDX-License-Identifier: MIT
/*
 * test_c_state - the C daemon's state stream: octets put together by hand in both directions, every
 * refusal with its place and reason, and what daemons write otherwise than the document says.
 */
#include "tests/unit/state_bed.h"

#include <errno.h>

static void test_read(void **state)
{
	char *text = state_shown(golden_c, sizeof(golden_c), false);

	(void)state;
	assert_string_equal(
		text,
		"global socket 5, event channels 8\n"
		"quotas nodes 1000, watches 128; global: total 5\n"
		"ring 7 port 66, target 8, unique id 81985529216486895, "
		"read \"\\x02\\x00\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\", unsent 3+\"xy\\x00"
		"\\x0b\\x00\\x00\\x00\\x02\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x03\\x00\\x00\\x00"
		"OK\\x00\"\n"
		"watch d7 data \"t\\xff\"\n"
		"watch d7 @releaseDomain \"\" depth 2\n"
		"transaction d7 12\n"
		"socket 10\n"
		"node / n0 \"\"\n"
		"node /a n7,r3(stale) \"v\\x00\"\n"
		"node /a n7 \"w\" in d7 12, read, written\n"
		"node /b  \"\" in d7 12, deleted\n"
		"node @releaseDomain n0 \"\"\n"
		"domain 7 features 0x3, quotas nodes 50\n"
		"format: C, version: 2, connections: 2, nodes: 5, watches: 2, transactions: 1, "
		"octets: 488\n");
	free(text);
}

static void test_json(void **state)
{
	char *text = state_shown(golden_c, sizeof(golden_c), true);

	(void)state;
	assert_string_equal(
		text,
		"{\"global\":{\"socket\":5,\"event_channels\":8}}\n"
		"{\"quotas\":{\"domain\":{\"nodes\":1000,\"watches\":128},\"global\":{\"total\":5}}"
		"}\n"
		"{\"connection\":{\"domain\":7,\"port\":66,\"target\":8,"
		"\"unique_id\":81985529216486895,"
		"\"read\":"
		"\"\\u0002\\u0000\\u0000\\u0000\\u0001\\u0000\\u0000\\u0000\\u0000\\u0000\","
		"\"unsent\":"
		"\"xy\\u0000\\u000B\\u0000\\u0000\\u0000\\u0002\\u0000\\u0000\\u0000\\u0000"
		"\\u0000\\u0000\\u0000\\u0003\\u0000\\u0000\\u0000OK\\u0000\",\"unsent_rest\":3}}\n"
		"{\"watch\":{\"domain\":7,\"path\":\"data\",\"token\":\"t\\\\xff\"}}\n"
		"{\"watch\":{\"domain\":7,\"path\":\"@releaseDomain\",\"token\":\"\",\"depth\":2}}"
		"\n"
		"{\"transaction\":{\"domain\":7,\"id\":12}}\n"
		"{\"connection\":{\"socket\":10}}\n"
		"{\"node\":{\"path\":\"/\",\"permissions\":[\"n0\"],\"value\":\"\"}}\n"
		"{\"node\":{\"path\":\"/a\",\"permissions\":[\"n7\",\"r3(stale)\"],"
		"\"value\":\"v\\u0000\"}}\n"
		"{\"node\":{\"path\":\"/"
		"a\",\"permissions\":[\"n7\"],\"value\":\"w\",\"transaction\":"
		"{\"domain\":7,\"id\":12,\"read\":true,\"written\":true,\"deleted\":false}}}\n"
		"{\"node\":{\"path\":\"/b\",\"permissions\":[],\"value\":\"\",\"transaction\":"
		"{\"domain\":7,\"id\":12,\"read\":false,\"written\":false,\"deleted\":true}}}\n"
		"{\"node\":{\"path\":\"@releaseDomain\",\"permissions\":[\"n0\"],\"value\":\"\"}}\n"
		"{\"domain\":{\"domain\":7,\"features\":3,\"quotas\":{\"nodes\":50}}}\n"
		"{\"summary\":{\"format\":\"C\",\"connections\":2,\"nodes\":5,\"watches\":2,"
		"\"transactions\":1,\"octets\":488,\"version\":2}}\n");
	free(text);
}

static void test_write(void **state)
{
	size_t len;
	char *copy = state_copied(golden_c, sizeof(golden_c), STATE_C_2, &len);

	(void)state;
	assert_octets_equal(copy, len, golden_c, sizeof(golden_c));
	free(copy);
}

/* What fills a record up is whatever was in the daemon's memory. */
static void test_filling_ignored(void **state)
{
	uint8_t octets[sizeof(golden_c)];
	size_t len;
	char *copy;

	(void)state;
	memcpy(octets, golden_c, sizeof(octets));
	memset(octets + 76, 0xee, 4);
	memset(octets + 210, 0xee, 6);
	memset(octets + 333, 0xee, 3);
	copy = state_copied(octets, sizeof(octets), STATE_C_2, &len);
	assert_octets_equal(copy, len, golden_c, sizeof(golden_c));
	free(copy);
}

/* --- what daemons, and the document, do otherwise */

static const char preamble[] = "xenstore\0\0\0\2\0\0\0\0";
static const char connection[] = "\2\0\0\0\30\0\0\0"
				 "\1\0\0\0\0\0\0\0\7\0\xf4\x7f\1\0\0\0\0\0\0\0\0\0\0\0";
static const char end[] = "\0\0\0\0\0\0\0";

#define OCTETS(text) text, sizeof(text) - 1

/* A connection of domain 7, @octets, and END. */
static char *shown_behind_connection(const char *octets, size_t len)
{
	char stream[512], *p = stream;

	p = mempcpy(p, OCTETS(preamble));
	p = mempcpy(p, OCTETS(connection));
	p = mempcpy(p, octets, len);
	p = mempcpy(p, end, 8);
	return state_shown(stream, (size_t)(p - stream), false);
}

static void assert_shown_watches(const char *octets, size_t len, const char *watches)
{
	char *text = shown_behind_connection(octets, len), *line = strchr(text, '\n') + 1;

	*strstr(line, "format: ") = 0;
	assert_string_equal(line, watches);
	free(text);
}

static void test_depth(void **state)
{
	(void)state;
	/* as the document has it: two octets of zeroes behind the depth */
	assert_shown_watches(OCTETS("\10\0\0\0\20\0\0\0\1\0\0\0\2\0\2\0\5\0\0\0/\0t\0"),
			     "watch d7 / \"t\" depth 5\n");
	/* as daemons read it */
	assert_shown_watches(OCTETS("\10\0\0\0\20\0\0\0\1\0\0\0\2\0\2\0\5\0/\0t\0\0\0"),
			     "watch d7 / \"t\" depth 5\n");
	assert_shown_watches(OCTETS("\10\0\0\0\20\0\0\0\1\0\0\0\2\0\2\0/\0/\0t\0\0\0"),
			     "watch d7 / \"t\" depth 47\n");
	assert_shown_watches(OCTETS("\10\0\0\0\20\0\0\0\1\0\0\0\2\0\1\0\0\0/\0\0\0\0\0"),
			     "watch d7 / \"\" depth 0\n");
	assert_shown_watches(OCTETS("\10\0\0\0\20\0\0\0\1\0\0\0\2\0\2\0\xff\xff/\0t\0\0\0"),
			     "watch d7 / \"t\"\n"); /* without a limit */
}

/* As a daemon of 4.22 writes it: with the fields of a watch without one, but a length with it. */
static void test_depth_lost(void **state)
{
	(void)state;
	/* 8 octets of fields, "/\0" and "t\0" in 16, which are 16 with the depth, too */
	assert_shown_watches(OCTETS("\10\0\0\0\20\0\0\0\1\0\0\0\2\0\2\0/\0t\0\0\0\0\0"),
			     "watch d7 / \"t\" depth lost\n");
	/* 8 of fields, 8 of strings; the length says 24, and the next record begins after 16 */
	assert_shown_watches(OCTETS("\10\0\0\0\30\0\0\0\1\0\0\0\5\0\3\0/a/b\0tt\0"
				    "\3\0\0\0\20\0\0\0\1\0\0\0\2\0\2\0/\0t\0\0\0\0\0"),
			     "watch d7 /a/b \"tt\" depth lost\n"
			     "watch d7 / \"t\"\n");
	/* the same with a depth: it is all there */
	assert_shown_watches(OCTETS("\10\0\0\0\30\0\0\0\1\0\0\0\5\0\3\0\3\0/a/b\0tt\0\0\0\0\0\0\0"
				    "\3\0\0\0\20\0\0\0\1\0\0\0\2\0\2\0/\0t\0\0\0\0\0"),
			     "watch d7 /a/b \"tt\" depth 3\n"
			     "watch d7 / \"t\"\n");
}

static void test_unknown(void **state)
{
	(void)state;
	assert_shown_watches(OCTETS("\11\0\0\0\10\0\0\0whatever"), "unknown record 9, 8 octets\n");
	assert_shown_watches(OCTETS("\xff\xff\xff\xff\0\0\0\0"),
			     "unknown record 4294967295, 0 octets\n");
}

/* A state of one domain has no global data, and no parents. */
static void test_no_parent(void **state)
{
	(void)state;
	assert_shown_watches(OCTETS("\5\0\0\0\40\0\0\0\0\0\0\0\0\0\0\0\5\0\0\0\0\0\1\0n\0\7\0/a/"
				    "b\0\0\0\0\0\0\0\0"
				    "\5\0\0\0\40\0\0\0\0\0\0\0\0\0\0\0\7\0\0\0\0\0\1\0n\0\7\0/a/b/"
				    "c\0\0\0\0\0\0"),
			     "node /a/b n7 \"\"\n"
			     "node /a/b/c n7 \"\"\n");
}

/* --- refusals; the numbers are of golden_c */

/* clang-format off */
static const struct state_refusal refusals[] = {
	/* the preamble */
	{ PATCH(11, "\3"), 0, 8, "version 3, neither 1 nor 2" },
	{ PATCH(11, "\0"), 0, 8, "version 0, neither 1 nor 2" },
	{ PATCH(12, "\1"), 0, 12, "the stream is big-endian" },
	{ PATCH(15, "\1"), 0, 12, "unknown flags" },
	{ CUT(8), 0, 8, "the stream ends inside the preamble" },
	{ CUT(15), 0, 15, "the stream ends inside the preamble" },

	/* records as such */
	{ CUT(16), 1, 16, "the stream ends without END" },
	{ CUT(23), 1, 23, "the stream ends inside a record's header" },
	{ CUT(31), 1, 31, "the stream ends inside a record's body" },
	{ CUT(480), 14, 480, "the stream ends without END" },
	{ PATCH(20, "\7"), 1, 20, "a record of 7 octets, which is no multiple of 8" },
	{ PATCH(20, "\370\377\377\377"), 1, 488, "the stream ends inside a record's body" },
	{ PATCH(484, "\10"), 14, 484, "END with a length of 8" },
	{ PATCH(488, "\0"), 14, 488, "octets follow END" },
	{ PATCH(16, "\0"), 1, 20, "END with a length of 8" },

	/* global data and quotas */
	{ PATCH(24, "\376\377\377\377"), 1, 24, "descriptors -2 and 8" },
	{ PATCH(31, "\200"), 1, 24, "descriptors 5 and -2147483640" },
	{ PATCH(20, "\20"), 1, 32, "8 octets are left over in the record" },
	{ PATCH(20, "\0"), 1, 24, "the record ends inside the descriptors" },
	{ PATCH(70, "total12345"), 2, 80, "the record ends inside the quotas' names" },
	{ PATCH(40, "\11"), 2, 80, "the record ends inside the quotas' values" },
	{ PATCH(32, "\1"), 2, 48, "32 octets are left over in the record" },

	/* connections */
	{ PATCH(88, "\0"), 3, 88, "the connection's id is 0" },
	{ PATCH(92, "\2"), 3, 92, "connection type 2" },
	{ PATCH(94, "\3"), 3, 94, "unknown fields 0x0002" },
	{ PATCH(104, "\51"), 3, 152, "the record ends inside the data" },
	{ PATCH(108, "\377\377\377\377"), 3, 152, "the record ends inside the data" },
	{ PATCH(106, "\27"), 3, 122, "the rest of a message has 23 octets, all that is to be sent 22" },
	{ PATCH(106, "\2"), 3, 144, "what is to be sent ends inside a message" },
	{ PATCH(137, "\4"), 3, 144, "what is to be sent ends inside a message" },
	{ PATCH(138, "\20"), 3, 137, "a message of 4099 octets in what is to be sent" },
	{ PATCH(94, "\0"), 3, 144, "8 octets are left over in the record" },
	{ PATCH(240, "\1"), 7, 240, "connection 1 was given before" },
	{ PATCH(251, "\200"), 7, 248, "descriptor -2147483638" },

	/* watches and transactions */
	{ PATCH(160, "\3"), 4, 160, "there is no connection 3 before it" },
	{ PATCH(164, "\0\0"), 4, 168, "the path has no NUL" },
	{ PATCH(164, "\4"), 4, 171, "the path does not end with a NUL" },
	{ PATCH(168, "\0"), 4, 168, "NUL in the path" },
	{ PATCH(173, "\0"), 4, 173, "NUL in the token" },
	{ PATCH(164, "\1\0\4\0\0"), 4, 168, "the path is empty" },
	{ PATCH(166, "\2"), 4, 174, "the token does not end with a NUL" },
	{ PATCH(166, "\4"), 4, 176, "the record ends inside the watch" },
	{ PATCH(188, "\40"), 5, 216, "the record ends inside the watch" },
	{ PATCH(228, "\0"), 6, 228, "the id is 0" },
	{ PATCH(224, "\7"), 6, 224, "there is no connection 7 before it" },

	/* nodes */
	{ PATCH(288, "q"), 8, 288, "permission letter 0x71" },
	{ PATCH(288, "\0"), 8, 288, "permission letter 0x00" },
	{ PATCH(289, "\2"), 8, 289, "unknown flags 0x02 of a permission" },
	{ PATCH(286, "\0"), 8, 288, "the node has no permissions" },
	{ PATCH(292, "a"), 8, 292, "the path is not absolute" },
	{ PATCH(329, " "), 9, 329, "octet 0x20 in the path" },
	{ PATCH(318, "\5"), 9, 336, "the record ends inside the node" },
	{ PATCH(314, "\10"), 9, 336, "the record ends inside the node" },
	{ PATCH(356, "\4"), 10, 356, "unknown access 0x0004" },
	{ PATCH(348, "\15"), 10, 336, "its transaction is not there before it" },
	{ PATCH(348, "\0"), 10, 336, "its transaction is not there before it" },
	{ PATCH(344, "\0"), 10, 336, "this node was given before" },
	{ PATCH(344, "\2"), 10, 336, "its transaction is not there before it" },
	{ PATCH(390, "\1"), 11, 392, "permission letter 0x2f" },

	/* domains */
	{ PATCH(468, "nodes1234567"), 13, 480, "the record ends inside the quotas' names" },
	{ PATCH(458, "\5"), 13, 480, "the record ends inside the quotas' values" },
};
/* clang-format on */

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		assert_refused(&refusals[i], golden_c, sizeof(golden_c));
}

/* Cut anywhere, it is refused, and where it ends. */
static void test_cuts(void **state)
{
	(void)state;
	for (size_t len = 1; len < sizeof(golden_c); len++) {
		struct record_fault fault;
		struct state_reader *reader;

		assert_int_equal(state_open(&reader, golden_c, len, &fault), -EBADMSG);
		assert_true(fault.offset <= len);
	}
}

/* --- what the writer refuses */

static void assert_not_written(enum state_format format, const struct state_item *items, size_t nr,
			       uint64_t offset, const char *reason)
{
	struct state_writer *writer;
	struct record_fault fault;
	char *octets = NULL;
	size_t len;
	FILE *out = open_memstream(&octets, &len);

	assert_non_null(out);
	assert_int_equal(state_writer_new(&writer, out, format), 0);
	for (size_t i = 0; i + 1 < nr; i++)
		assert_int_equal(state_writer_append(writer, &items[i], &fault), 0);
	assert_int_equal(state_writer_append(writer, &items[nr - 1], &fault), -EBADMSG);
	assert_fault(&fault, nr, offset, reason);
	assert_int_equal(state_writer_append(writer, &items[0], &fault), -EBADMSG); /* sticky */
	assert_int_equal(state_writer_finish(writer), -EBADMSG);
	state_writer_free(writer);
	fclose(out);
	free(octets);
}

static void test_writer_refuses(void **state)
{
	static const struct record_perm odd = { 'r', STATE_PERM_ODD, { 0 } };
	static char long_path[70000];
	struct state_item ring = { .kind = STATE_CONNECTION, .connection.peer.number = 7 };
	struct state_item watch = { .kind = STATE_WATCH,
				    .watch = { .peer.number = 7, .path = "/", .path_len = 1 } };
	struct state_item node = { .kind = STATE_NODE,
				   .node.node = { .path = "/", .path_len = 1 } };
	struct state_item domain = { .kind = STATE_DOMAIN, .domain.has_features = true };
	struct state_item unknown = { .kind = STATE_UNKNOWN };

	(void)state;
	assert_not_written(STATE_C, &watch, 1, 16, "there is no connection of domain 7 before it");
	assert_not_written(STATE_C, &unknown, 1, 16, "a record of unknown type");
	assert_not_written(STATE_C, &domain, 1, 16, "features, which version 1 does not hold");
	domain.domain.has_features = false;
	assert_not_written(STATE_C_2, &domain, 1, 16,
			   "a domain without features, which version 2 takes for none");
	assert_not_written(STATE_C, &node, 1, 16, "a node without permissions");
	assert_not_written(STATE_C, (struct state_item[]){ ring, ring }, 2, 48,
			   "this connection was given before");
	watch.watch.has_depth = true;
	assert_not_written(STATE_C, (struct state_item[]){ ring, watch }, 2, 48,
			   "a watch with a depth, which version 1 does not hold");
	node.node.node.perms = &odd;
	node.node.node.nr_perms = 1;
	assert_not_written(STATE_C, &node, 1, 16, "a permission for what is no domain");
	node.node.node.value_len = 65536;
	assert_not_written(STATE_C, &node, 1, 16, "a value of 65536 octets and 1 permissions");
	watch.watch.has_depth = false;
	watch.watch.token = memset(long_path, 'x', sizeof(long_path));
	watch.watch.token_len = 65535;
	assert_not_written(STATE_C, (struct state_item[]){ ring, watch }, 2, 48,
			   "the token has 65535 octets");
	ring.connection.peer.number = 65536;
	assert_not_written(STATE_C, &ring, 1, 16, "a connection of domain 65536");
	ring.connection = (struct state_connection){ .in = "\0\0\0\0\0\0\0\0\0\0\0\0\1\20\0\0",
						     .in_len = 16 };
	assert_not_written(STATE_C, &ring, 1, 28, "a message of 4097 octets in what is read");
}

static void test_no_format(void **state)
{
	static const char *const wrong[] = { "xenstork\0\0\0\1\0\0\0\0", "#!/bin/sh\n",
					     "$xenstored-dump-forma\n" };
	struct state_reader *reader;
	struct record_fault fault;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		assert_int_equal(state_open(&reader, wrong[i], strlen(wrong[i]) + 1, &fault),
				 -EBADMSG);
		assert_fault(&fault, 0, 0,
			     "neither a migration stream, nor what the C daemon or oxenstored "
			     "writes of itself");
	}
	assert_int_equal(state_open(&reader, "xen", 3, &fault), -EBADMSG);
	assert_fault(&fault, 0, 3, "the stream ends inside the header");
	assert_int_equal(state_reader_open(&reader, -1, LIBXL_STREAM_MAX + 1, NULL), -EINVAL);
	assert_int_equal(state_reader_open(&reader, -1, LIBXL_STREAM_MAX, NULL), -EBADF);
}

/* What writing fails with is told, at once or in the end. */
static void test_full_disk(void **state)
{
	struct state_reader *reader;
	struct state_writer *writer;

	(void)state;
	assert_int_equal(state_open(&reader, golden_c, sizeof(golden_c), NULL), 0);
	for (int json = 0; json < 2; json++) {
		FILE *full = fopen("/dev/full", "we");

		assert_non_null(full);
		assert_int_equal(show_state(reader, full, json), -ENOSPC);
		fclose(full);
	}
	state_reader_free(reader);
	for (enum state_format format = STATE_C; format <= STATE_OX_DEPTH; format++) {
		FILE *full = fopen("/dev/full", "we");

		assert_non_null(full);
		assert_int_equal(state_writer_new(&writer, full, format), 0);
		assert_int_equal(state_writer_finish(writer), -ENOSPC);
		assert_int_equal(state_writer_finish(writer), -ENOSPC);
		state_writer_free(writer);
		fclose(full);
	}
}

static void test_not_libxl(void **state)
{
	struct state_writer *writer;

	(void)state;
	assert_int_equal(state_writer_new(&writer, stderr, STATE_LIBXL), -EINVAL);
}

/* A client's queue, with ends of messages in it, and the rest of what follows it. */
static void the_rest_of_a_message_behind_a_queue(void **state)
{
	static char octets[STATE_REST_MAX + 1];
	struct state_connection has = { .out = octets };
	struct record_fault fault;

	(void)state;
	has.out_len = has.out_rest = 4096 + STATE_MESSAGE_MAX - 1;
	assert_int_equal(state_check_queues(&has, 0, 0, &fault), 0);
	has.out_len = has.out_rest = sizeof(octets);
	assert_int_equal(state_check_queues(&has, 0, 0, &fault), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_filling_ignored),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_depth_lost),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_no_parent),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_not_libxl),
		cmocka_unit_test(test_no_format),
		cmocka_unit_test(the_rest_of_a_message_behind_a_queue),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_writer_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
