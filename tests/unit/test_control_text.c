// SPDX-License-Identifier: MIT
/*
 * Our requests as `xenstore-control` sends and prints them: which commands are ours, the payload
 * that they mean, and replies as lines of printable text, cut at an item.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/control_text.h"

#define CONTROL(msg, text) set(msg, XS_CONTROL, text, sizeof(text))

static void set(struct message *msg, uint32_t type, const void *payload, uint32_t len)
{
	memset(msg, 0xee, sizeof(*msg)); /* what lies beyond the payload must not matter */
	msg->hdr = (struct xsd_sockmsg){ .type = type, .req_id = 5, .tx_id = 6 };
	message_set_text(msg, payload, len);
}

static uint32_t type_of(const char *payload, uint32_t len)
{
	struct message msg;

	set(&msg, XS_CONTROL, payload, len);
	return control_text_type(&msg);
}

static void commands_are_recognised(void **state)
{
	struct message msg;

	(void)state;
	assert_int_equal(type_of("quiesce\0"
				 "7",
				 10),
			 MESSAGE_QUIESCE);
	assert_int_equal(type_of("unquiesce\0"
				 "7",
				 12),
			 MESSAGE_UNQUIESCE);
	assert_int_equal(type_of("hold\0"
				 "7",
				 7),
			 MESSAGE_HOLD);
	assert_int_equal(type_of("get-domain-watches", 19), MESSAGE_GET_DOMAIN_WATCHES);
	assert_int_equal(type_of("add-domain-watches", 19), MESSAGE_ADD_DOMAIN_WATCHES);
	assert_int_equal(type_of("start-domain-transaction", 25), MESSAGE_START_DOMAIN_TRANSACTION);
	assert_int_equal(type_of("get-domain-transactions", 24), MESSAGE_GET_DOMAIN_TRANSACTIONS);
	assert_int_equal(type_of("get-domain-state", 17), MESSAGE_GET_DOMAIN_STATE);
	assert_int_equal(type_of("live-update\0-s", 15), MESSAGE_LIVE_UPDATE);

	/* Everything else is upstream's. */
	assert_int_equal(type_of("help", 5), 0);
	assert_int_equal(type_of("print\0quiesce", 14), 0);
	assert_int_equal(type_of("quiesceX", 9), 0);
	assert_int_equal(type_of("Quiesce", 8), 0);
	assert_int_equal(type_of("quiesce", 7), 0); /* not terminated */
	assert_int_equal(type_of("", 1), 0);
	assert_int_equal(type_of("", 0), 0);
	set(&msg, XS_READ,
	    "quiesce\0"
	    "7",
	    10);
	assert_int_equal(control_text_type(&msg), 0);
}

static void assert_request(const char *control, uint32_t len, uint32_t type, const char *payload,
			   uint32_t payload_len)
{
	struct message msg, out;

	set(&msg, XS_CONTROL, control, len);
	memset(&out, 0x55, sizeof(out));
	control_text_request(&msg, &out);
	assert_int_equal(out.hdr.type, type);
	assert_int_equal(out.hdr.req_id, 5);
	assert_int_equal(out.hdr.tx_id, 6);
	assert_int_equal(out.hdr.len, payload_len);
	assert_memory_equal(out.payload, payload, payload_len);
}

static void arguments_become_the_payload(void **state)
{
	(void)state;
	assert_request("quiesce\0"
		       "7",
		       10, MESSAGE_QUIESCE, "7", 2);
	assert_request("quiesce", 8, MESSAGE_QUIESCE, "", 0);
	assert_request("quiesce\0"
		       "7\0junk",
		       15, MESSAGE_QUIESCE, "7\0junk", 7);
	assert_request("quiesce\0"
		       "7",
		       9, MESSAGE_QUIESCE, "7", 1); /* not terminated: not mended */
	assert_request("add-domain-watches\0"
		       "7\0/a\0t",
		       26, MESSAGE_ADD_DOMAIN_WATCHES, "7\0/a\0t", 7);
}

static void the_index_may_be_left_out(void **state)
{
	static const char name[] = "get-domain-watches";
	char control[XENSTORE_PAYLOAD_MAX] = "get-domain-watches";
	struct message msg, out;

	(void)state;
	assert_request("get-domain-watches\0"
		       "7",
		       21, MESSAGE_GET_DOMAIN_WATCHES,
		       "7\0"
		       "0",
		       4);
	assert_request("get-domain-watches\0"
		       "7\0"
		       "3",
		       23, MESSAGE_GET_DOMAIN_WATCHES,
		       "7\0"
		       "3",
		       4);
	assert_request("get-domain-watches\0"
		       "7\0",
		       21 + 1, MESSAGE_GET_DOMAIN_WATCHES, "7\0", 3);
	assert_request("get-domain-watches", 19, MESSAGE_GET_DOMAIN_WATCHES, "", 0);
	assert_request("get-domain-watches\0"
		       "7",
		       20, MESSAGE_GET_DOMAIN_WATCHES, "7", 1);
	/* Other requests have no default. */
	assert_request("start-domain-transaction\0"
		       "7",
		       27, MESSAGE_START_DOMAIN_TRANSACTION, "7", 2);
	/* One string that fills the message: no harm done. */
	memset(control + sizeof(name), '7', sizeof(control) - sizeof(name) - 1);
	control[sizeof(control) - 1] = 0;
	set(&msg, XS_CONTROL, control, sizeof(control));
	control_text_request(&msg, &out);
	assert_int_equal(out.hdr.len, sizeof(control) - sizeof(name) + 2);
	assert_memory_equal(out.payload + out.hdr.len - 4,
			    "7\0"
			    "0",
			    4);
}

static void assert_text(uint32_t type, const void *payload, uint32_t len, const char *text)
{
	struct message msg;

	set(&msg, type, payload, len);
	control_text_reply(type, &msg);
	assert_int_equal(msg.hdr.req_id, 5);
	assert_int_equal(msg.hdr.len, strlen(text) + 1);
	assert_string_equal((char *)msg.payload, text);
}

static void replies_are_lines(void **state)
{
	(void)state;
	assert_text(MESSAGE_GET_DOMAIN_TRANSACTIONS,
		    "1\0"
		    "22\0"
		    "3",
		    7, "1\n22\n3");
	assert_text(MESSAGE_GET_DOMAIN_TRANSACTIONS, "", 0, "");
	assert_text(MESSAGE_GET_DOMAIN_STATE, "running", 8, "running");
	assert_text(MESSAGE_GET_DOMAIN_WATCHES, "12", 3, "12");
	assert_text(MESSAGE_GET_DOMAIN_WATCHES, "12\0/a\0t\0b\0u", 12, "12\n/a t\nb u");
	assert_text(MESSAGE_GET_DOMAIN_WATCHES, "12\0/a\0\0\0u", 10, "12\n/a \n u");
}

static void other_octets_are_escaped(void **state)
{
	(void)state;
	assert_text(MESSAGE_GET_DOMAIN_STATE, "\x01 ~\x7f\xff\\a\n", 9,
		    "\\x01\\x20~\\x7f\\xff\\x5ca\\x0a");
	/* Every octet but NUL, by its rule. */
	for (int c = 1; c < 256; c++) {
		char payload[2] = { (char)c, 0 }, text[8];

		if (c > ' ' && c < 0x7f && c != '\\')
			snprintf(text, sizeof(text), "%c", c);
		else
			snprintf(text, sizeof(text), "\\x%02x", c);
		assert_text(MESSAGE_GET_DOMAIN_STATE, payload, 2, text);
	}
}

/* @n watches of @path_len octets with the token "t"; returns the payload's length. */
static uint32_t make_watches(char *to, uint32_t n, uint32_t path_len, char c)
{
	uint32_t at = (uint32_t)sprintf(to, "9") + 1;

	for (uint32_t i = 0; i < n; i++) {
		memset(to + at, c, path_len);
		at += path_len;
		memcpy(to + at, "\0t", 3);
		at += 3;
	}
	return at;
}

static void long_replies_are_cut_at_an_item(void **state)
{
	static char payload[XENSTORE_PAYLOAD_MAX];

	(void)state;
	for (uint32_t path_len = 100; path_len < 400; path_len++) {
		for (int escaped = 0; escaped < 2; escaped++) {
			uint32_t n = (sizeof(payload) - 2) / (path_len + 3);
			uint32_t line = (escaped ? 4 * path_len : path_len) + 3;
			uint32_t fit = (XENSTORE_PAYLOAD_MAX - 1 - 2) / line, want;
			struct message msg;

			want = 2 + (fit < n ? fit : n) * line;
			set(&msg, 0, payload,
			    make_watches(payload, n, path_len, escaped ? '\x80' : 'x'));
			control_text_reply(MESSAGE_GET_DOMAIN_WATCHES, &msg);
			assert_int_equal(msg.hdr.len, strlen((char *)msg.payload) + 1);
			/* The last line's end is the terminator. */
			assert_int_equal(msg.hdr.len, want);
			assert_memory_equal(msg.payload + msg.hdr.len - 3, " t", 3);
		}
	}
}

/* The longest there are, and all of it to be escaped. */
static void the_worst_fits(void **state)
{
	static char payload[XENSTORE_PAYLOAD_MAX];
	struct message msg;

	(void)state;
	set(&msg, 0, payload, make_watches(payload, 1, MESSAGE_WATCH_MAX - 3, '\xff'));
	control_text_reply(MESSAGE_GET_DOMAIN_WATCHES, &msg);
	assert_string_equal((char *)msg.payload, "9");
	memset(payload, '\xff', sizeof(payload) - 1);
	payload[sizeof(payload) - 1] = 0;
	set(&msg, 0, payload, sizeof(payload));
	control_text_reply(MESSAGE_GET_DOMAIN_TRANSACTIONS, &msg);
	assert_int_equal(msg.hdr.len, 1);
}

/* --- help */

static enum control_text_quota quota_of(const char *payload, uint32_t len)
{
	struct message msg;

	set(&msg, XS_CONTROL, payload, len);
	return control_text_quota(&msg);
}

static void questions_for_quotas(void **state)
{
	(void)state;
	assert_int_equal(quota_of("quota", 6), CONTROL_TEXT_QUOTA_SHOW);
	assert_int_equal(quota_of("quota\0set\0watches\0"
				  "9",
				  20),
			 CONTROL_TEXT_QUOTA_SET);
	/* What one domain has, the highest that any had, other commands, no command. */
	assert_int_equal(quota_of("quota\0"
				  "7",
				  8),
			 CONTROL_TEXT_QUOTA_NOT);
	assert_int_equal(quota_of("quota\0max", 10), CONTROL_TEXT_QUOTA_NOT);
	assert_int_equal(quota_of("quota\0set", 9), CONTROL_TEXT_QUOTA_NOT);
	assert_int_equal(quota_of("quota-soft", 11), CONTROL_TEXT_QUOTA_NOT);
	assert_int_equal(quota_of("quota", 5), CONTROL_TEXT_QUOTA_NOT);
	assert_int_equal(quota_of("", 0), CONTROL_TEXT_QUOTA_NOT);
}

static uint32_t watches_in(const char *text, uint32_t len)
{
	struct message msg;

	set(&msg, XS_CONTROL, text, len);
	return control_text_quota_watches(&msg);
}

static void lists_of_quotas(void **state)
{
	static const char list[] = "Quota settings:\nnodes            :     1000 nodes a domain\n"
				   "watches          :      128 watches a domain\n";
	char full[XENSTORE_PAYLOAD_MAX];

	(void)state;
	assert_int_equal(watches_in(list, sizeof(list)), 128);
	assert_int_equal(watches_in("  watches: 4", 12), 4);
	assert_int_equal(watches_in("watches : 12", 11), 1); /* what lies behind does not count */
	assert_int_equal(watches_in("OK", 3), 0);
	assert_int_equal(watches_in("", 0), 0);
	assert_int_equal(watches_in("watches", 7), 0);
	assert_int_equal(watches_in("watches-max : 7\nmy watches : 8", 30), 0);
	memset(full, '\n', sizeof(full));
	memcpy(full + sizeof(full) - 10, "watches:17", 10);
	assert_int_equal(watches_in(full, sizeof(full)), 17);
}

static void help_is_recognised(void **state)
{
	struct message msg;

	(void)state;
	CONTROL(&msg, "help");
	assert_true(control_text_is_help(&msg));
	CONTROL(&msg, "help\0quiesce");
	assert_false(control_text_is_help(&msg));
	CONTROL(&msg, "helper");
	assert_false(control_text_is_help(&msg));
	set(&msg, XS_CONTROL, "help", 4);
	assert_false(control_text_is_help(&msg));
	set(&msg, XS_CONTROL, "", 0);
	assert_false(control_text_is_help(&msg));
}

static void help_lists_ours_after_upstreams(void **state)
{
	static const char *const upstreams[] = { "print <string>", "print <string>\n", "" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		char *text, *line, *save = NULL;
		uint32_t n = 0;
		struct message msg;

		set(&msg, XS_CONTROL, upstreams[i], (uint32_t)strlen(upstreams[i]) + (i != 1));
		control_text_help(&msg);
		assert_true(msg.hdr.len <= strlen(upstreams[i]) + CONTROL_TEXT_HELP_MAX + 1);
		assert_int_equal(msg.hdr.len, strlen((char *)msg.payload) + 1);
		text = (char *)msg.payload;
		assert_memory_equal(text, upstreams[i], strlen(upstreams[i]));
		assert_null(strstr(text, "live-update"));
		assert_null(strstr(text, "\n\n"));
		for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
			line[strcspn(line, " ")] = 0;
			n += type_of(line, (uint32_t)strlen(line) + 1) != 0;
		}
		/* Each of our requests once. */
		assert_int_equal(n, MESSAGE_OURS_END - MESSAGE_QUIESCE);
	}
}

static void help_never_outgrows_a_message(void **state)
{
	(void)state;
	for (uint32_t len = XENSTORE_PAYLOAD_MAX - 700; len <= XENSTORE_PAYLOAD_MAX; len++) {
		for (int terminated = 0; terminated < 2; terminated++) {
			/* A canary behind the message, for what the sanitizer cannot see. */
			struct {
				struct message msg;
				uint8_t canary[16];
			} m;

			memset(&m, 'x', sizeof(m));
			m.msg.hdr.len = len;
			if (terminated)
				m.msg.payload[len - 1] = 0;
			control_text_help(&m.msg);
			assert_true(m.msg.hdr.len >= len - 1);
			assert_true(m.msg.hdr.len <= XENSTORE_PAYLOAD_MAX);
			for (size_t i = 0; i < sizeof(m.canary); i++)
				assert_int_equal(m.canary[i], 'x');
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_recognised),
		cmocka_unit_test(arguments_become_the_payload),
		cmocka_unit_test(the_index_may_be_left_out),
		cmocka_unit_test(replies_are_lines),
		cmocka_unit_test(other_octets_are_escaped),
		cmocka_unit_test(long_replies_are_cut_at_an_item),
		cmocka_unit_test(the_worst_fits),
		cmocka_unit_test(questions_for_quotas),
		cmocka_unit_test(lists_of_quotas),
		cmocka_unit_test(help_is_recognised),
		cmocka_unit_test(help_lists_ours_after_upstreams),
		cmocka_unit_test(help_never_outgrows_a_message),
	};

	return cmocka_run_group_tests_name("control_text", tests, NULL, NULL);
}
