// SPDX-License-Identifier: MIT
/* The wire format: sizes, which types are ours, names, errors both ways, splitting into strings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/message.h"

static void sizes(void **state)
{
	struct xsd_sockmsg hdr = { .len = 0 };

	(void)state;
	assert_int_equal(MESSAGE_HEADER, 16);
	assert_int_equal(message_size(&hdr), 16);
	hdr.len = XENSTORE_PAYLOAD_MAX;
	assert_int_equal(message_size(&hdr), MESSAGE_MAX);
	/* "<gencnt>|" of any 32-bit number and the longest watch fit one reply. */
	assert_true(sizeof("4294967295") + MESSAGE_WATCH_MAX <= XENSTORE_PAYLOAD_MAX);
}

static void only_our_types_are_ours(void **state)
{
	(void)state;
	for (uint32_t type = 0; type < MESSAGE_QUIESCE; type++)
		assert_false(message_is_ours(type));
	for (uint32_t type = MESSAGE_QUIESCE; type < MESSAGE_OURS_END; type++)
		assert_true(message_is_ours(type));
	assert_false(message_is_ours(MESSAGE_OURS_END));
	assert_false(message_is_ours(UINT32_MAX));
}

static void numbers_of_our_types_are_fixed(void **state)
{
	(void)state;
	assert_int_equal(MESSAGE_QUIESCE, 0x100);
	assert_int_equal(MESSAGE_ADD_DOMAIN_WATCHES, 0x101);
	assert_int_equal(MESSAGE_GET_DOMAIN_WATCHES, 0x102);
	assert_int_equal(MESSAGE_START_DOMAIN_TRANSACTION, 0x103);
	assert_int_equal(MESSAGE_UNQUIESCE, 0x104);
	assert_int_equal(MESSAGE_HOLD, 0x105);
	assert_int_equal(MESSAGE_GET_DOMAIN_TRANSACTIONS, 0x106);
	assert_int_equal(MESSAGE_GET_DOMAIN_STATE, 0x107);
	assert_int_equal(MESSAGE_RESET_DOMAIN, 0x108);
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(message_name(XS_CONTROL), "CONTROL");
	assert_string_equal(message_name(XS_WATCH_EVENT), "WATCH_EVENT");
	assert_string_equal(message_name(XS_DIRECTORY_PART), "DIRECTORY_PART");
	/* 4.21 and 4.22 */
	assert_string_equal(message_name(23), "GET_FEATURE");
	assert_string_equal(message_name(24), "SET_FEATURE");
	assert_string_equal(message_name(25), "GET_QUOTA");
	assert_string_equal(message_name(26), "SET_QUOTA");
	assert_string_equal(message_name(27), "UNKNOWN");
	assert_string_equal(message_name(MESSAGE_QUIESCE), "QUIESCE");
	assert_string_equal(message_name(MESSAGE_HOLD), "HOLD");
	assert_string_equal(message_name(MESSAGE_GET_DOMAIN_TRANSACTIONS),
			    "GET_DOMAIN_TRANSACTIONS");
	for (uint32_t type = MESSAGE_QUIESCE; type < MESSAGE_OURS_END; type++)
		assert_string_not_equal(message_name(type), "UNKNOWN");
	assert_string_equal(message_name(MESSAGE_OURS_END), "UNKNOWN");
	assert_string_equal(message_name(MESSAGE_QUIESCE - 1), "UNKNOWN");
	assert_string_equal(message_name(UINT32_MAX), "UNKNOWN");
}

static void what_is_known_of_a_type(void **state)
{
	/* All that xenstored refuses a guest without a look at it */
	static const uint32_t privileged[] = {
		XS_CONTROL, XS_INTRODUCE,  XS_RELEASE, XS_IS_DOMAIN_INTRODUCED,
		XS_RESUME,  XS_SET_TARGET, 24,	       25,
		26,
	};
	uint32_t nr = 0;

	(void)state;
	for (uint32_t type = 0; type < MESSAGE_QUIESCE; type++)
		nr += message_info(type) && message_info(type)->who == MESSAGE_TOOLSTACK;
	assert_int_equal(nr, sizeof(privileged) / sizeof(privileged[0]));
	for (uint32_t i = 0; i < nr; i++)
		assert_int_equal(message_info(privileged[i])->who, MESSAGE_TOOLSTACK);
	assert_int_equal(message_info(XS_WATCH_EVENT)->who, MESSAGE_NOBODY);
	assert_int_equal(message_info(XS_ERROR)->who, MESSAGE_NOBODY);
	assert_string_equal(message_info(XS_WRITE)->request, "pv");
	assert_string_equal(message_info(XS_READ)->reply, "v");
	assert_string_equal(message_info(MESSAGE_GET_DOMAIN_WATCHES)->reply, "w*");
	for (uint32_t type = MESSAGE_QUIESCE; type < MESSAGE_OURS_END; type++)
		assert_int_equal(message_info(type)->who, strncmp(message_name(type), "GET_", 4)
								  ? MESSAGE_ROOT
								  : MESSAGE_TOOLSTACK);
	/* Between the numbers of others, and beyond all */
	assert_null(message_info(20));
	assert_null(message_info(27));
	assert_null(message_info(MESSAGE_QUIESCE - 1));
	assert_null(message_info(MESSAGE_OURS_END));
	assert_null(message_info(UINT32_MAX));
}

static void a_type_by_its_number(void **state)
{
	static const char *const bad[] = { "",	  "x",	"READ",	      "-1",
					   "+1",  " 1", "1 ",	      "0x",
					   "0xg", "1a", "4294967296", "18446744073709551636" };
	uint32_t type = 99;

	(void)state;
	assert_true(message_number_parse("20", &type));
	assert_int_equal(type, 20);
	assert_true(message_number_parse("0x1F", &type));
	assert_int_equal(type, 31);
	assert_true(message_number_parse("4294967295", &type));
	assert_int_equal(type, UINT32_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(message_number_parse(bad[i], &type));
}

static void every_error_goes_there_and_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++) {
		struct message msg = { .hdr = { .req_id = 7, .tx_id = 9, .type = XS_READ } };
		const char *name = xsd_errors[i].errstring;

		message_set_error(&msg, xsd_errors[i].errnum);
		assert_int_equal(msg.hdr.type, XS_ERROR);
		assert_int_equal(msg.hdr.req_id, 7);
		assert_int_equal(msg.hdr.tx_id, 9);
		assert_int_equal(msg.hdr.len, strlen(name) + 1);
		assert_string_equal((char *)msg.payload, name);
		assert_string_equal(message_error_name(xsd_errors[i].errnum), name);
		assert_int_equal(message_error_parse(msg.payload, msg.hdr.len),
				 xsd_errors[i].errnum);
		/* A peer may leave the NUL out. */
		assert_int_equal(message_error_parse(msg.payload, msg.hdr.len - 1),
				 xsd_errors[i].errnum);
	}
}

static void errors_beyond_the_protocol(void **state)
{
	(void)state;
	assert_string_equal(message_error_name(EDQUOT), "EQUOTA");
	assert_int_equal(message_error_parse((const uint8_t *)"EQUOTA", 7), EDQUOT);
	assert_int_equal(message_error_parse((const uint8_t *)"EINVALID", 9), EIO);
	assert_int_equal(message_error_parse((const uint8_t *)"EINV", 4), EIO);
	assert_int_equal(message_error_parse((const uint8_t *)"", 0), EIO);
}

static void text_keeps_type_and_ids(void **state)
{
	struct message msg = { .hdr = { .req_id = 7, .tx_id = 9, .type = XS_READ, .len = 77 } };

	(void)state;
	message_set_text(&msg, "OK", 3);
	assert_int_equal(msg.hdr.type, XS_READ);
	assert_int_equal(msg.hdr.req_id, 7);
	assert_int_equal(msg.hdr.tx_id, 9);
	assert_int_equal(msg.hdr.len, 3);
	assert_memory_equal(msg.payload, "OK", 3);
}

static int split(const char *payload, uint32_t len, const char **vec, int max)
{
	return message_strings((const uint8_t *)payload, len, vec, max);
}

static void strings(void **state)
{
	const char *vec[4] = { 0 };

	(void)state;
	assert_int_equal(split("", 0, vec, 4), 0);
	assert_int_equal(split("\0", 1, vec, 4), 1);
	assert_string_equal(vec[0], "");
	assert_int_equal(split("a\0\0bc", 6, vec, 4), 3);
	assert_string_equal(vec[0], "a");
	assert_string_equal(vec[1], "");
	assert_string_equal(vec[2], "bc");
	assert_int_equal(split("a", 1, vec, 4), -EINVAL);
	assert_int_equal(split("a\0b", 3, vec, 4), -EINVAL);
}

static void strings_stop_at_the_room(void **state)
{
	const char *vec[3] = { NULL, NULL, "untouched" };

	(void)state;
	assert_int_equal(split("a\0b", 4, vec, 2), 2);
	assert_int_equal(split("a\0b\0c", 6, vec, 2), 3);
	assert_int_equal(split("a\0b\0c\0d\0e", 10, vec, 2), 3);
	assert_string_equal(vec[2], "untouched");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(only_our_types_are_ours),
		cmocka_unit_test(numbers_of_our_types_are_fixed),
		cmocka_unit_test(names),
		cmocka_unit_test(what_is_known_of_a_type),
		cmocka_unit_test(a_type_by_its_number),
		cmocka_unit_test(every_error_goes_there_and_back),
		cmocka_unit_test(errors_beyond_the_protocol),
		cmocka_unit_test(text_keeps_type_and_ids),
		cmocka_unit_test(strings),
		cmocka_unit_test(strings_stop_at_the_room),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
