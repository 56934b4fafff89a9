// SPDX-License-Identifier: MIT
/*
 * test_show - what migration/show prints, as text and as JSON, for plain and for hostile octets.
 */
#include "tests/unit/golden/records.h"
#include "tests/unit/golden/streams.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "migration/show.h"

/* What is shown for a stream; free() it. */
static char *shown(const void *octets, size_t len, bool json)
{
	struct libxl_reader *reader;
	char *text = NULL;
	size_t text_len;
	FILE *out = open_memstream(&text, &text_len);

	assert_non_null(out);
	assert_int_equal(open_octets(&reader, octets, len, LIBXL_STREAM_MAX_DEFAULT, NULL), 0);
	assert_int_equal(show_stream(reader, out, json), 0);
	libxl_reader_free(reader);
	fclose(out);
	return text;
}

static char *shown_record(const struct record *rec, bool json)
{
	struct written written;
	char *text;

	written_start(&written);
	written_add(&written, rec);
	written_finish(&written);
	text = shown(written.octets, written.len, json);
	free(written.octets);
	return text;
}

static void assert_shown(const void *octets, size_t len, bool json, const char *want)
{
	char *text = shown(octets, len, json);

	assert_string_equal(text, want);
	free(text);
}

/* Only the first line, that of the record. */
static void assert_record_shown(const struct record *rec, bool json, const char *want)
{
	char *text = shown_record(rec, json);

	*strchrnul(text, '\n') = 0;
	assert_string_equal(text, want);
	free(text);
}

static void test_text(void **state)
{
	(void)state;
	assert_shown(golden_full, sizeof(golden_full), false,
		     "node /local/domain/7/name n7,r0 \"guest\"\n"
		     "watch control/shutdown \"k\\xff\"\n"
		     "transaction 305419896\n"
		     "node /local/domain/7 b4660 \"\"\n"
		     "watch @releaseDomain \"\"\n"
		     "nodes: 2, watches: 2, transactions: 1, skipped: 0, octets: 232\n");
	assert_shown(golden_empty, sizeof(golden_empty), false,
		     "nodes: 0, watches: 0, transactions: 0, skipped: 0, octets: 24\n");
	assert_shown(golden_optional, sizeof(golden_optional), false,
		     "transaction 1\n"
		     "nodes: 0, watches: 0, transactions: 1, skipped: 2, octets: 64\n");
}

static void test_json(void **state)
{
	(void)state;
	assert_shown(golden_full, sizeof(golden_full), true,
		     "{\"node\":{\"path\":\"/local/domain/7/name\",\"permissions\":[\"n7\",\"r0\"],"
		     "\"value\":\"guest\"}}\n"
		     "{\"watch\":{\"path\":\"control/shutdown\",\"token\":\"k\\\\xff\"}}\n"
		     "{\"transaction\":{\"id\":305419896}}\n"
		     "{\"node\":{\"path\":\"/local/domain/7\",\"permissions\":[\"b4660\"],"
		     "\"value\":\"\"}}\n"
		     "{\"watch\":{\"path\":\"@releaseDomain\",\"token\":\"\"}}\n"
		     "{\"summary\":{\"nodes\":2,\"watches\":2,\"transactions\":1,\"skipped\":0,"
		     "\"octets\":232}}\n");
}

static void test_text_escapes(void **state)
{
	struct record node = golden_records[0].rec;
	struct record watch = { .kind = RECORD_WATCH, .watch = { "@a \"\\\x1b[2J", 9, " ", 1 } };

	(void)state;
	node.node.value = "a\"b\\c\0\n\x1f \x7e\x7f\xc3\xa4";
	node.node.value_len = 13;
	assert_record_shown(&node, false,
			    "node /local/domain/7/name n7,r0 "
			    "\"a\\x22b\\x5cc\\x00\\x0a\\x1f ~\\x7f\\xc3\\xa4\"");
	assert_record_shown(&watch, false, "watch @a\\x20\"\\x5c\\x1b[2J \" \"");
}

static void test_json_escapes(void **state)
{
	struct record node = golden_records[0].rec;
	struct record watch = { .kind = RECORD_WATCH, .watch = { "@\xc0\xaf", 3, "\x1b", 1 } };

	(void)state;
	node.node.value = "a\"b\\c\0\n\xc3\xa4\xf0\x9f\x98\x80\xff";
	node.node.value_len = 14;
	assert_record_shown(&node, true,
			    "{\"node\":{\"path\":\"/local/domain/7/name\","
			    "\"permissions\":[\"n7\",\"r0\"],"
			    "\"value\":\"a\\\"b\\\\x5cc\\u0000\\n\\u00E4\\uD83D\\uDE00\\\\xff\"}}");
	assert_record_shown(&watch, true,
			    "{\"watch\":{\"path\":\"@\\\\xc0\\\\xaf\",\"token\":\"\\u001B\"}}");
}

/* One value by itself, parsed back from the JSON. */
static void assert_value_shown(const char *value, size_t len, const char *want)
{
	struct record node = golden_records[0].rec;
	json_t *line;
	char *text;

	node.node.value = value;
	node.node.value_len = len;
	text = shown_record(&node, true);
	line = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
	assert_non_null(line);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(line, "node"), "value")), want);
	json_decref(line);
	free(text);
}

static void test_utf8(void **state)
{
	static const char *const valid[] = {
		"\xc2\x80",	    "\xdf\xbf",		"\xe0\xa0\x80",
		"\xed\x9f\xbf",	    "\xee\x80\x80",	"\xef\xbf\xbf",
		"\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "a\xe2\x82\xac"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(valid); i++)
		assert_value_shown(valid[i], strlen(valid[i]), valid[i]);
	assert_value_shown("\x80", 1, "\\x80");
	assert_value_shown("\xbf", 1, "\\xbf");
	assert_value_shown("\xc3", 1, "\\xc3");
	assert_value_shown("\xc3z", 2, "\\xc3z");
	assert_value_shown("\xe2\x82", 2, "\\xe2\\x82");
	assert_value_shown("\xe2\x82\xc3\xa4", 4, "\\xe2\\x82\xc3\xa4");
	assert_value_shown("\xe2\x82\xff", 3, "\\xe2\\x82\\xff");
	assert_value_shown("\xc1\xbf", 2, "\\xc1\\xbf");
	assert_value_shown("\xe0\x9f\xbf", 3, "\\xe0\\x9f\\xbf");
	assert_value_shown("\xed\xa0\x80", 3, "\\xed\\xa0\\x80");
	assert_value_shown("\xf0\x8f\xbf\xbf", 4, "\\xf0\\x8f\\xbf\\xbf");
	assert_value_shown("\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80");
	assert_value_shown("\xf5\x80\x80\x80", 4, "\\xf5\\x80\\x80\\x80");
	assert_value_shown("\xf0\x9f\x98", 3, "\\xf0\\x9f\\x98");
}

/* Every octet there is, alone: the JSON must stay valid, whatever it is. */
static void test_all_octets(void **state)
{
	(void)state;
	for (int c = 1; c < 256; c++) {
		char value = (char)c, want[8];

		snprintf(want, sizeof(want), c == '\\' || c >= 0x7f ? "\\x%02x" : "%c", c);
		assert_value_shown(&value, 1, want);
	}
}

static void test_again(void **state)
{
	struct libxl_reader *reader;
	struct record rec;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	assert_int_equal(open_octets(&reader, golden_optional, sizeof(golden_optional),
				     LIBXL_STREAM_MAX_DEFAULT, NULL),
			 0);
	assert_int_equal(libxl_reader_next(reader, &rec), 1);
	assert_int_equal(show_stream(reader, out, false), 0);
	assert_int_equal(show_stream(reader, out, true), 0);
	libxl_reader_free(reader);
	fclose(out);
	assert_string_equal(text, "transaction 1\n"
				  "nodes: 0, watches: 0, transactions: 1, skipped: 2, octets: 64\n"
				  "{\"transaction\":{\"id\":1}}\n"
				  "{\"summary\":{\"nodes\":0,\"watches\":0,\"transactions\":1,"
				  "\"skipped\":2,\"octets\":64}}\n");
	free(text);
}

static void test_full_disk(void **state)
{
	struct libxl_reader *reader;

	(void)state;
	assert_int_equal(open_octets(&reader, golden_full, sizeof(golden_full),
				     LIBXL_STREAM_MAX_DEFAULT, NULL),
			 0);
	for (int json = 0; json < 2; json++) {
		for (int buffered = 0; buffered < 2; buffered++) {
			FILE *out = fopen("/dev/full", "we");

			assert_non_null(out);
			if (!buffered)
				setvbuf(out, NULL, _IONBF, 0);
			assert_int_equal(show_stream(reader, out, json), -ENOSPC);
			fclose(out);
		}
	}
	libxl_reader_free(reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),	     cmocka_unit_test(test_json),
		cmocka_unit_test(test_text_escapes), cmocka_unit_test(test_json_escapes),
		cmocka_unit_test(test_utf8),	     cmocka_unit_test(test_all_octets),
		cmocka_unit_test(test_again),	     cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
