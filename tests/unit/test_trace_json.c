// SPDX-License-Identifier: MIT
/*
 * test_trace_json - an exchange as a JSON object a line.
 */
#include "tests/unit/trace_bed.h"

#include "trace/json.h"

static void assert_json(const struct view *request, const struct view *answer, const char *want)
{
	struct exchange exchange = { request, answer };
	struct buffer scratch = { 0 };
	struct outbuf out = { 0 };

	assert_int_equal(json_exchange(&scratch, &out, &exchange, NULL), 0);
	assert_string_equal(bed_text(&out), want);
	free(scratch.data);
	outbuf_free(&out);
}

#define HEAD(kind) "{\"time\":1795376017119070665,\"kind\":\"" kind "\",\"domid\":7,\"session\":2,"
#define IDS	   "\"number\":1,\"req_id\":1,\"tx\":0,"
#define TOOK	   "\"took\":52999,\"upstream\":41000}\n"

static void exchanges(void **state)
{
	struct view write = bed_request(1, XS_WRITE, TEXT("data/x\0a\xff\\\033\177"));
	struct view ok = bed_reply(1, XS_WRITE, STRING("OK"));
	struct view error = bed_reply(1, XS_ERROR, STRING("EACCES"));
	struct view perms = bed_request(1, XS_SET_PERMS, STRING("data\0n7\0r0"));
	struct view dir = bed_request(1, XS_DIRECTORY, STRING("data"));
	struct view names = bed_reply(1, XS_DIRECTORY, STRING("a\0b"));
	struct view nothing = bed_reply(1, XS_DIRECTORY, TEXT(""));
	struct view introduce = bed_request(1, XS_INTRODUCE, STRING("7\0001\0002"));

	(void)state;
	assert_json(&write, &ok,
		    HEAD("request") IDS
		    "\"op\":\"WRITE\",\"path\":\"data/x\","
		    "\"value\":\"a\\\\xff\\\\x5c\\u001B\\\\x7f\",\"answered\":true,"
		    "\"reply\":\"OK\"," TOOK);
	assert_json(&perms, &error,
		    HEAD("request") IDS "\"op\":\"SET_PERMS\",\"path\":\"data\","
					"\"perms\":[\"n7\",\"r0\"],\"answered\":true,"
					"\"error\":\"EACCES\"," TOOK);
	assert_json(&dir, &names,
		    HEAD("request") IDS "\"op\":\"DIRECTORY\",\"path\":\"data\",\"answered\":true,"
					"\"reply\":[\"a\",\"b\"]," TOOK);
	assert_json(&dir, &nothing,
		    HEAD("request") IDS "\"op\":\"DIRECTORY\",\"path\":\"data\",\"answered\":true,"
					"\"reply\":[]," TOOK);
	error.frame.flags = FRAME_OURS;
	introduce.frame.flags = FRAME_CLIENT;
	assert_json(&introduce, &error,
		    HEAD("request") "\"client\":true," IDS "\"op\":\"INTRODUCE\","
				    "\"args\":[\"7\",\"1\",\"2\"],\"answered\":true,"
				    "\"error\":\"EACCES\",\"took\":52999,\"upstream\":41000,"
				    "\"ours\":true}\n");
	bed_free(&write);
	bed_free(&ok);
	bed_free(&error);
	bed_free(&perms);
	bed_free(&dir);
	bed_free(&names);
	bed_free(&nothing);
	bed_free(&introduce);
}

static void what_is_alone_or_missing(void **state)
{
	struct view request = bed_request(1, XS_READ, TEXT("data"));
	struct view reply = bed_reply(1, XS_READ, TEXT("val"));
	struct view error = bed_reply(1, XS_ERROR, STRING("ENOENT"));
	struct view event = bed_view(FRAME_EVENT, 0, XS_WATCH_EVENT, STRING("data\0tok"));
	struct view lost = bed_view(FRAME_LOST, 12, 0, NULL, 0);

	(void)state;
	assert_json(&request, NULL,
		    HEAD("request") IDS "\"op\":\"READ\",\"path\":\"data\",\"unterminated\":true,"
					"\"answered\":false}\n");
	reply.msg.len = 1000;
	request.msg.len = 5;
	assert_json(&request, &reply,
		    HEAD("request") IDS
		    "\"op\":\"READ\",\"path\":\"data\",\"cut\":1,"
		    "\"answered\":true,\"reply\":\"val\",\"reply_cut\":997," TOOK);
	assert_json(NULL, &error, HEAD("reply") IDS "\"error\":\"ENOENT\"," TOOK);
	assert_json(NULL, &event,
		    HEAD("event") "\"op\":\"WATCH_EVENT\",\"path\":\"data\",\"token\":\"tok\"}\n");
	assert_json(NULL, &lost, "{\"time\":1795376017119070665,\"kind\":\"lost\",\"count\":12}\n");
	bed_free(&request);
	bed_free(&reply);
	bed_free(&error);
	bed_free(&event);
	bed_free(&lost);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exchanges),
		cmocka_unit_test(what_is_alone_or_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
