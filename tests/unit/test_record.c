// SPDX-License-Identifier: MIT
/*
 * test_record - the bodies of DOMAIN_XENSTORE_DATA records against octets written by hand, every
 * rule of docs/protocol.md, "Migration stream", and random records and damage.
 */
#include "tests/unit/golden/records.h"
#include "tests/unit/golden/streams.h"

#include <errno.h>
#include <stdio.h>

#include "migration/format/libxl_record.h"
#include "migration/format/rules.h"

#define FIXED_SEED 20200327

static void test_golden_encode(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(golden_records); i++) {
		const struct golden_record *golden = &golden_records[i];
		uint8_t body[64];

		assert_int_equal(libxl_record_size(&golden->rec), golden->len);
		memset(body, 0xaa, sizeof(body));
		assert_int_equal(libxl_record_encode(&golden->rec, body, golden->len, NULL), 0);
		assert_memory_equal(body, golden_full + golden->body, golden->len);
		assert_int_equal(body[golden->len], 0xaa);
	}
}

static void test_golden_decode(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(golden_records); i++) {
		const struct golden_record *golden = &golden_records[i];
		struct record rec;

		assert_int_equal(
			libxl_record_decode(&rec, golden_full + golden->body, golden->len, NULL),
			0);
		assert_record_equal(&rec, &golden->rec);
	}
}

/* Nothing may be assumed about where a body lies in memory. */
static void test_decode_unaligned(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(golden_records); i++) {
		const struct golden_record *golden = &golden_records[i];

		for (size_t shift = 1; shift < 8; shift++) {
			uint8_t body[80];
			struct record rec;

			memcpy(body + shift, golden_full + golden->body, golden->len);
			assert_int_equal(libxl_record_decode(&rec, body + shift, golden->len, NULL),
					 0);
			assert_record_equal(&rec, &golden->rec);
		}
	}
}

static void test_decode_copies_nothing(void **state)
{
	const uint8_t *body = golden_full + 24;
	struct record rec;

	(void)state;
	assert_int_equal(libxl_record_decode(&rec, body, 52, NULL), 0);
	assert_ptr_equal(rec.node.path, body + 8);
	assert_ptr_equal(rec.node.perms, body + 32);
	assert_ptr_equal(rec.node.value, body + 44);
}

static void test_perms(void **state)
{
	struct record_perm perm = record_perm_make('w', 0x7fef);

	(void)state;
	assert_int_equal(perm.letter, 'w');
	assert_int_equal(perm.pad, 0);
	assert_int_equal(perm.domid[0], 0xef);
	assert_int_equal(perm.domid[1], 0x7f);
	assert_int_equal(record_perm_domid(&perm), 0x7fef);
}

static void test_key_size(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(golden_records); i++)
		assert_int_equal(libxl_record_key_size(&golden_records[i].rec),
				 golden_records[i].key);
}

/* Each prefix of each body ends inside something; the copies let ASan see a read beyond. */
static void test_truncated(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(golden_records); i++) {
		const struct golden_record *golden = &golden_records[i];

		for (size_t len = 0; len < golden->len; len++) {
			uint8_t *body = malloc(len ? len : 1);
			struct record_fault fault;
			struct record rec;

			assert_non_null(body);
			memcpy(body, golden_full + golden->body, len);
			assert_int_equal(libxl_record_decode(&rec, body, len, &fault), -EBADMSG);
			assert_true(fault.offset <= len);
			free(body);
		}
	}
}

static void test_decode_reports(void **state)
{
	struct record_fault fault = { .record = 99 };
	uint8_t body[52];
	struct record rec;

	(void)state;
	memcpy(body, golden_full + 24, sizeof(body));
	body[33] = 1; /* the pad octet of the first permission */
	assert_int_equal(libxl_record_decode(&rec, body, sizeof(body), &fault), -EBADMSG);
	assert_fault(&fault, 0, 33, "non-zero padding in a permission");
	assert_int_equal(libxl_record_decode(&rec, body, sizeof(body), NULL), -EBADMSG);
	assert_int_equal(libxl_record_decode(&rec, body, 0, &fault), -EBADMSG);
	assert_fault(&fault, 0, 0, "the record ends inside the sub-type");
}

/* --- what the encoder refuses, and why */

static void assert_encode_refused(const struct record *rec, uint64_t offset, const char *reason)
{
	struct record_fault fault;
	size_t size = libxl_record_size(rec);
	uint8_t *body = malloc(size ? size : 1);

	assert_non_null(body);
	assert_int_equal(libxl_record_encode(rec, body, size, &fault), -EBADMSG);
	assert_fault(&fault, 0, offset, reason);
	free(body);
}

static void test_encode_refusals(void **state)
{
	struct record node = golden_records[0].rec;
	struct record watch = golden_records[1].rec;
	struct record transaction = { .kind = RECORD_TRANSACTION };
	struct record_perm bad = record_perm_make('x', 1);

	(void)state;
	assert_encode_refused(&transaction, 4, "tx_id is 0");
	assert_encode_refused(&(struct record){ .kind = 4 }, 0, "unknown sub-type 4");
	node.node.perms = &bad;
	node.node.nr_perms = 1;
	assert_encode_refused(&node, 32, "permission letter 0x78");
	node.node.nr_perms = 0;
	assert_encode_refused(&node, 32, "the node has no permissions");
	node.node.path = "local";
	node.node.path_len = 5;
	assert_encode_refused(&node, 8, "the path is not absolute");
	watch.watch.token = "a\0b";
	watch.watch.token_len = 3;
	assert_encode_refused(&watch, 29, "NUL in the token");
}

static void test_encode_sizes(void **state)
{
	struct record rec = golden_records[0].rec;
	struct record_fault fault;
	uint8_t body[64];

	(void)state;
	assert_int_equal(libxl_record_encode(&rec, body, 51, &fault), -EMSGSIZE);
	assert_fault(&fault, 0, 0, "the record does not have 51 octets");
	assert_int_equal(libxl_record_encode(&rec, body, 56, NULL), -EMSGSIZE);
	rec.node.value_len = (size_t)UINT32_MAX + 1;
	assert_true(libxl_record_size(&rec) == SIZE_MAX);
	rec.node.value_len = UINT32_MAX; /* fits its field, but not the record's length */
	assert_true(libxl_record_size(&rec) == SIZE_MAX);
	assert_int_equal(libxl_record_encode(&rec, body, SIZE_MAX, NULL), -EMSGSIZE);
}

/* --- rules */

static void test_node_paths(void **state)
{
	static const char *const valid[] = { "/",  "/a", "/local/domain/0", "/A-Z/a_z/0@9",
					     "/@", "/-" };
	static const char *const invalid[] = { "",	"a",	 "a/b",	 "@x",	  "//",	     "/a/",
					       "/a//b", "//a",	 "/a b", "/a\n",  "/a.b",    "/a:b",
					       "/\x7f", "/\x80", "/é",	 "/a\\b", "/local/", "/*" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(valid); i++)
		assert_int_equal(rules_node_path(valid[i], strlen(valid[i]), 0, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(invalid); i++)
		assert_int_equal(rules_node_path(invalid[i], strlen(invalid[i]), 0, NULL),
				 -EBADMSG);
}

static void test_watch_paths(void **state)
{
	static const char *const valid[] = { "/",
					     "/a",
					     "a",
					     "device/vif/0",
					     "-",
					     "a@b",
					     "@any thing//\xff/",
					     "@",
					     "local/domain/7" };
	static const char *const invalid[] = { "", "a/", "a//b", "a b", "/a/", "//", "a\x80" };
	struct record_fault fault;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(valid); i++)
		assert_int_equal(rules_watch_path(valid[i], strlen(valid[i]), 0, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(invalid); i++)
		assert_int_equal(rules_watch_path(invalid[i], strlen(invalid[i]), 0, NULL),
				 -EBADMSG);
	assert_int_equal(rules_watch_path("@a\0b", 4, 10, &fault), -EBADMSG);
	assert_fault(&fault, 0, 12, "NUL in the path");
}

static void test_path_length(void **state)
{
	char path[RULES_PATH_MAX + 1];
	struct record_fault fault;

	(void)state;
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	assert_int_equal(rules_node_path(path, RULES_PATH_MAX, 0, NULL), 0);
	assert_int_equal(rules_node_path(path, RULES_PATH_MAX + 1, 5, &fault), -EBADMSG);
	assert_fault(&fault, 0, 5, "the path has 3073 octets, 3072 is the most");
	assert_int_equal(rules_watch_path(path, RULES_PATH_MAX, 0, NULL), 0);
	assert_int_equal(rules_watch_path(path, RULES_PATH_MAX + 1, 0, NULL), -EBADMSG);
}

static void test_tokens(void **state)
{
	(void)state;
	assert_int_equal(rules_token(NULL, 0, 0, NULL), 0);
	assert_int_equal(rules_token("\x01\xff \n/", 5, 0, NULL), 0);
	assert_int_equal(rules_token("\0", 1, 0, NULL), -EBADMSG);
}

static void test_perm_letters(void **state)
{
	(void)state;
	for (int letter = 0; letter < 256; letter++) {
		struct record_perm perm = record_perm_make((char)letter, 0);
		bool valid = letter == 'w' || letter == 'r' || letter == 'b' || letter == 'n';

		assert_int_equal(rules_perms(&perm, 1, 0, NULL), valid ? 0 : -EBADMSG);
	}
}

/* --- random records */

static void round_trips(unsigned int seed, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct random_record random;
		uint8_t body[4 * RANDOM_OCTETS];
		struct record rec;
		size_t size;

		random_record(&seed, &random);
		size = libxl_record_size(&random.rec);
		assert_true(size <= sizeof(body));
		assert_int_equal(size % 4, 0);
		assert_int_equal(libxl_record_encode(&random.rec, body, size, NULL), 0);
		assert_int_equal(libxl_record_decode(&rec, body, size, NULL), 0);
		assert_record_equal(&rec, &random.rec);
		assert_true(libxl_record_key_size(&rec) <= size);
	}
}

static void test_round_trip(void **state)
{
	(void)state;
	round_trips(FIXED_SEED, 20000);
}

/* Whatever damage is accepted must be the one encoding of what was decoded. */
static void damage(unsigned int seed, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		const struct golden_record *golden =
			&golden_records[random_below(&seed, ARRAY_LEN(golden_records))];
		uint8_t body[64], again[64];
		struct record_fault fault;
		struct record rec;

		memcpy(body, golden_full + golden->body, golden->len);
		for (unsigned int n = 1 + random_below(&seed, 3); n; n--)
			body[random_below(&seed, (unsigned int)golden->len)] =
				(uint8_t)random_below(&seed, random_below(&seed, 2) ? 4 : 256);
		if (libxl_record_decode(&rec, body, golden->len, &fault)) {
			assert_true(fault.offset <= golden->len);
			assert_true(fault.reason[0]);
			continue;
		}
		assert_int_equal(libxl_record_size(&rec), golden->len);
		assert_int_equal(libxl_record_encode(&rec, again, golden->len, NULL), 0);
		assert_memory_equal(again, body, golden->len);
	}
}

static void test_damage(void **state)
{
	(void)state;
	damage(FIXED_SEED, 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_encode),
		cmocka_unit_test(test_golden_decode),
		cmocka_unit_test(test_decode_unaligned),
		cmocka_unit_test(test_decode_copies_nothing),
		cmocka_unit_test(test_perms),
		cmocka_unit_test(test_key_size),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_decode_reports),
		cmocka_unit_test(test_encode_refusals),
		cmocka_unit_test(test_encode_sizes),
		cmocka_unit_test(test_node_paths),
		cmocka_unit_test(test_watch_paths),
		cmocka_unit_test(test_path_length),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_perm_letters),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
