// SPDX-License-Identifier: MIT
/*
 * test_trace_text - lines of a trace: every request, and octets that no terminal may get.
 */
#include "tests/unit/trace_bed.h"

#include <stdio.h>

#include "trace/text.h"

#define HEAD "19:33:37.119070 d7 s2 > "
#define BACK "19:33:37.119070 d7 s2 < "
#define TOOK "  52 us, 41 upstream\n"

static void assert_line(const struct view *request, const struct view *answer, const char *want)
{
	struct exchange exchange = { request, answer };
	struct text text = { .utf8 = true };
	struct outbuf out = { 0 };

	text_exchange(&text, &out, &exchange);
	assert_string_equal(bed_text(&out), want);
	outbuf_free(&out);
}

struct sample {
	uint32_t type;
	const char *request;
	size_t request_len;
	const char *reply;
	size_t reply_len;
	const char *want;
};

static const struct sample samples[] = {
	{ XS_CONTROL, STRING("quiesce\0007"), STRING("OK"), "CONTROL quiesce 7 = OK" },
	{ XS_DIRECTORY, STRING("data"), STRING("a\0b c"), "DIRECTORY \"data\" = \"a\" \"b c\"" },
	{ XS_DIRECTORY, STRING("data"), TEXT(""), "DIRECTORY \"data\" = (empty)" },
	{ XS_READ, STRING("data/x"), TEXT("4"), "READ \"data/x\" = \"4\"" },
	{ XS_READ, STRING("data/x"), TEXT(""), "READ \"data/x\" = \"\"" },
	{ XS_READ, STRING("data/x"), TEXT("a\0b\0"), "READ \"data/x\" = \"a\\x00b\\x00\"" },
	{ XS_GET_PERMS, STRING("data"), STRING("n7\0r0"), "GET_PERMS \"data\" = n7 r0" },
	{ XS_WATCH, STRING("data\0tok"), STRING("OK"), "WATCH \"data\" \"tok\" = OK" },
	{ XS_WATCH, STRING("data\0tok\0002"), STRING("OK"), "WATCH \"data\" \"tok\" 2 = OK" },
	{ XS_UNWATCH, STRING("data\0tok"), STRING("OK"), "UNWATCH \"data\" \"tok\" = OK" },
	{ XS_TRANSACTION_START, STRING(""), STRING("3"), "TRANSACTION_START = 3" },
	{ XS_TRANSACTION_END, STRING("T"), STRING("OK"), "TRANSACTION_END T = OK" },
	{ XS_INTRODUCE, STRING("7\0001234\0005"), STRING("OK"), "INTRODUCE 7 1234 5 = OK" },
	{ XS_RELEASE, STRING("7"), STRING("OK"), "RELEASE 7 = OK" },
	{ XS_GET_DOMAIN_PATH, STRING("7"), STRING("/local/domain/7"),
	  "GET_DOMAIN_PATH 7 = \"/local/domain/7\"" },
	{ XS_WRITE, STRING("data/x\0001") - 1, STRING("OK"), "WRITE \"data/x\" \"1\" = OK" },
	{ XS_WRITE, STRING("data/x"), STRING("OK"), "WRITE \"data/x\" \"\" = OK" },
	{ XS_MKDIR, STRING("data"), STRING("OK"), "MKDIR \"data\" = OK" },
	{ XS_RM, STRING("data"), STRING("OK"), "RM \"data\" = OK" },
	{ XS_SET_PERMS, STRING("data\0n7\0b0"), STRING("OK"), "SET_PERMS \"data\" n7 b0 = OK" },
	{ XS_IS_DOMAIN_INTRODUCED, STRING("7"), STRING("T"), "IS_DOMAIN_INTRODUCED 7 = T" },
	{ XS_RESUME, STRING("7"), STRING("OK"), "RESUME 7 = OK" },
	{ XS_SET_TARGET, STRING("7\0008"), STRING("OK"), "SET_TARGET 7 8 = OK" },
	{ XS_RESET_WATCHES, STRING(""), STRING("OK"), "RESET_WATCHES = OK" },
	{ XS_DIRECTORY_PART, STRING("data\0000"), STRING("76\0a\0"),
	  "DIRECTORY_PART \"data\" 0 = 76 \"a\" \"\"" },
	{ 23, "", 0, STRING("14"), "GET_FEATURE = 14" },
	{ 23, STRING("7"), STRING("6"), "GET_FEATURE 7 = 6" },
	{ 24, STRING("7\0006"), STRING("OK"), "SET_FEATURE 7 6 = OK" },
	{ 25, STRING("7\0nodes"), STRING("1000"), "GET_QUOTA 7 nodes = 1000" },
	{ 26, STRING("7\0nodes\000900"), STRING("OK"), "SET_QUOTA 7 nodes 900 = OK" },
	{ MESSAGE_QUIESCE, STRING("7"), STRING("OK"), "QUIESCE 7 = OK" },
	{ MESSAGE_ADD_DOMAIN_WATCHES, STRING("7\0/a/b\0tok"), STRING("OK"),
	  "ADD_DOMAIN_WATCHES 7 \"/a/b\" tok = OK" },
	{ MESSAGE_GET_DOMAIN_WATCHES, STRING("7\0000"), STRING("1\0a\0tok"),
	  "GET_DOMAIN_WATCHES 7 0 = 1 a tok" },
	{ MESSAGE_START_DOMAIN_TRANSACTION, STRING("7\0003"), STRING("OK"),
	  "START_DOMAIN_TRANSACTION 7 3 = OK" },
	{ MESSAGE_UNQUIESCE, STRING("7"), STRING("OK"), "UNQUIESCE 7 = OK" },
	{ MESSAGE_HOLD, STRING("7"), STRING("OK"), "HOLD 7 = OK" },
	{ MESSAGE_GET_DOMAIN_TRANSACTIONS, STRING("7"), STRING("1\0002"),
	  "GET_DOMAIN_TRANSACTIONS 7 = 1 2" },
	{ MESSAGE_GET_DOMAIN_STATE, STRING("7"), STRING("running"),
	  "GET_DOMAIN_STATE 7 = running" },
	{ MESSAGE_RESET_DOMAIN, STRING("7"), STRING("OK"), "RESET_DOMAIN 7 = OK" },
	{ 0x2a, STRING("what"), STRING("ever"), "UNKNOWN 0x2a what = ever" },
};

static void every_request(void **state)
{
	char want[256];

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *sample = &samples[i];
		struct view request =
			bed_request(1, sample->type, sample->request, sample->request_len);
		struct view reply = bed_reply(1, sample->type, sample->reply, sample->reply_len);

		snprintf(want, sizeof(want), HEAD "%s" TOOK, sample->want);
		assert_line(&request, &reply, want);
		bed_free(&request);
		bed_free(&reply);
	}
}

static void what_came_of_it(void **state)
{
	struct view request = bed_request(1, XS_READ, STRING("data"));
	struct view error = bed_reply(1, XS_ERROR, STRING("ENOENT"));
	struct view event = bed_view(FRAME_EVENT, 0, XS_WATCH_EVENT, STRING("data/x\0tok"));
	struct view lost = bed_view(FRAME_LOST, 12, 0, NULL, 0);

	(void)state;
	request.msg.tx_id = 3;
	assert_line(&request, &error, HEAD "t3 READ \"data\" = ENOENT" TOOK);
	assert_line(&request, NULL, HEAD "t3 READ \"data\" = (no reply)\n");
	assert_line(NULL, &error, BACK "ERROR = ENOENT" TOOK);
	assert_line(NULL, &event, BACK "WATCH_EVENT \"data/x\" \"tok\"\n");
	assert_line(NULL, &lost,
		    "19:33:37.119070 12 frames lost here: they came faster than they were read\n");
	request.frame.flags = FRAME_CLIENT;
	error.frame.flags = FRAME_CLIENT | FRAME_OURS;
	assert_line(&request, &error,
		    "19:33:37.119070 d7 c2 > t3 READ \"data\" = ENOENT  52 us, by xsproxyd\n");
	bed_free(&request);
	bed_free(&error);
	bed_free(&event);
	bed_free(&lost);
}

static void what_is_missing(void **state)
{
	struct view open = bed_request(1, XS_READ, TEXT("data"));
	struct view half = bed_request(1, XS_WRITE, TEXT("data"));
	struct view cut = bed_request(1, XS_WRITE, STRING("data"));
	struct view none = bed_request(1, XS_READ, TEXT(""));

	(void)state;
	assert_line(&open, NULL, HEAD "READ \"data\"(no NUL) = (no reply)\n");
	assert_line(&half, NULL, HEAD "WRITE \"data\"(no NUL) = (no reply)\n");
	assert_line(&none, NULL, HEAD "READ = (no reply)\n");
	cut.msg.len += 100;
	assert_line(&cut, NULL, HEAD "WRITE \"data\" ...+100 = (no reply)\n");
	half.msg.len = UINT32_MAX;
	assert_line(&half, NULL, HEAD "WRITE \"data\" ...+4294967291 = (no reply)\n");
	bed_free(&open);
	bed_free(&half);
	bed_free(&cut);
	bed_free(&none);
}

static void assert_escaped(const char *octets, size_t len, bool utf8, const char *want)
{
	struct outbuf out = { 0 };
	char *copy = malloc(len + !len);

	memcpy(copy, octets, len);
	outbuf_escape(&out, copy, len, utf8);
	assert_string_equal(bed_text(&out), want);
	outbuf_free(&out);
	free(copy);
}

static void no_octet_reaches_a_terminal_for_more_than_it_is(void **state)
{
	(void)state;
	assert_escaped(TEXT("plain ~text"), true, "plain ~text");
	assert_escaped(TEXT("\033[31m\n\r\t\a\177"), true, "\\x1b[31m\\x0a\\x0d\\x09\\x07\\x7f");
	assert_escaped(TEXT("\\ \" \0"), true, "\\\\ \\\" \\x00");
	assert_escaped(TEXT("gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x90\xa7"), true,
		       "gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x90\xa7");
	assert_escaped(TEXT("gr\xc3\xbcn"), false, "gr\\xc3\\xbcn");
	assert_escaped(TEXT("\xc2\x9b"), true, "\\xc2\\x9b"); /* CSI */
	// NOLINTNEXTLINE(misc-misleading-bidirectional): that is what is tested
	assert_escaped(TEXT("\xe2\x80\xae"), true, "\\xe2\\x80\\xae"); /* right to left */
	assert_escaped(TEXT("\xef\xbb\xbf"), true, "\\xef\\xbb\\xbf"); /* zero width */
	assert_escaped(TEXT("\xc0\xaf"), true, "\\xc0\\xaf");	       /* overlong */
	assert_escaped(TEXT("\xe0\x80\xaf"), true, "\\xe0\\x80\\xaf");
	assert_escaped(TEXT("\xed\xa0\x80"), true, "\\xed\\xa0\\x80"); /* a surrogate */
	assert_escaped(TEXT("\xf4\x90\x80\x80"), true, "\\xf4\\x90\\x80\\x80");
	assert_escaped(TEXT("\xe2\x82"), true, "\\xe2\\x82"); /* ends too early */
	assert_escaped(TEXT("\xe2\x82z\xff\x80"), true, "\\xe2\\x82z\\xff\\x80");
}

static void every_octet_is_printable_or_escaped(void **state)
{
	char all[256];
	struct outbuf out = { 0 };

	(void)state;
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	outbuf_escape(&out, all, sizeof(all), true);
	for (const char *p = bed_text(&out); *p; p++)
		assert_true(*p >= 0x20 && *p < 0x7f);
	/* 95 are printable; \ and " take two, the others four. */
	assert_int_equal(out.len, 93 + 2 * 2 + (256 - 95) * 4);
	outbuf_free(&out);
}

static void colour_is_for_those_who_want_it(void **state)
{
	struct view request = bed_request(1, XS_READ, STRING("data"));
	struct view error = bed_reply(1, XS_ERROR, STRING("ENOENT"));
	struct exchange exchange = { &request, &error };
	struct text text = { .colour = true };
	struct outbuf out = { 0 };

	(void)state;
	text_exchange(&text, &out, &exchange);
	assert_non_null(strstr(bed_text(&out), "\033[1mREAD\033[0m"));
	assert_non_null(strstr(bed_text(&out), "\033[31mENOENT\033[0m"));
	outbuf_free(&out);
	bed_free(&request);
	bed_free(&error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_request),
		cmocka_unit_test(what_came_of_it),
		cmocka_unit_test(what_is_missing),
		cmocka_unit_test(no_octet_reaches_a_terminal_for_more_than_it_is),
		cmocka_unit_test(every_octet_is_printable_or_escaped),
		cmocka_unit_test(colour_is_for_those_who_want_it),
	};

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
