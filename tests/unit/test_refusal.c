// SPDX-License-Identifier: MIT
/*
 * Refusals: what counts as one, the first line of each kind, the minute's totals, and that neither
 * the table nor the log grows at a guest's will.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/logged.h"

#include "proxy/daemon.h"
#include "proxy/session/refusal.h"
#include "proxy/session/session.h"

static struct daemon daemon_;
static struct session *s;

static int setup(void **state)
{
	(void)state;
	logged_start();
	daemon_.base = event_base_new();
	s = calloc(1, sizeof(*s));
	assert_non_null(s);
	s->daemon = &daemon_;
	s->domid = 7;
	s->source = (struct log_source){ .domid = 7, .session = 3 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	refusals_fini(&s->refusals);
	free(s);
	event_base_free(daemon_.base);
	logged_end();
	return 0;
}

/* As if the timer had run out. */
static void minute_passes(void)
{
	assert_true(evtimer_pending(s->refusals.timer, NULL));
	evtimer_del(s->refusals.timer);
	event_active(s->refusals.timer, EV_TIMEOUT, 0);
	event_base_loop(daemon_.base, EVLOOP_NONBLOCK);
}

/* The whole answer by request: p permission, q quota, w watches, t transactions, - none. */
static const struct {
	const char *request;
	/* EACCES, EPERM, ENOMEM, ENOSPC, E2BIG, EQUOTA; any other error is none */
	char causes[7];
} answers[] = {
	{ "CONTROL", "pp----" },
	{ "DIRECTORY", "ppqq-q" },
	{ "READ", "ppqq-q" },
	{ "GET_PERMS", "ppqq-q" },
	{ "WATCH", "ppwwww" },
	{ "UNWATCH", "ppq---" },
	{ "TRANSACTION_START", "ppqt-t" },
	{ "TRANSACTION_END", "ppqq-q" },
	{ "INTRODUCE", "pp----" },
	{ "RELEASE", "pp----" },
	{ "GET_DOMAIN_PATH", "ppq--q" },
	{ "WRITE", "ppqqqq" },
	{ "MKDIR", "ppqq-q" },
	{ "RM", "ppqq-q" },
	{ "SET_PERMS", "ppqq-q" },
	{ "WATCH_EVENT", "pp----" },
	{ "ERROR", "pp----" },
	{ "IS_DOMAIN_INTRODUCED", "pp----" },
	{ "RESUME", "pp----" },
	{ "SET_TARGET", "pp----" },
	{ "RESET_WATCHES", "ppq---" },
	{ "DIRECTORY_PART", "ppqq-q" },
	{ "GET_FEATURE", "pp----" },
	{ "SET_FEATURE", "pp----" },
	{ "GET_QUOTA", "pp----" },
	{ "SET_QUOTA", "pp----" },
};

static char expected(uint32_t type, int err)
{
	static const int errors[] = { EACCES, EPERM, ENOMEM, ENOSPC, E2BIG, EDQUOT };
	const char *causes = "pp----"; /* of ours, and of what nobody knows */

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (!strcmp(message_name(type), answers[i].request))
			causes = answers[i].causes;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i] == err)
			return causes[i];
	return '-';
}

static void each_error_to_each_request(void **state)
{
	static const char letters[] = {
		[REFUSAL_NOT] = '-',	 [REFUSAL_PERMISSION] = 'p',   [REFUSAL_QUOTA] = 'q',
		[REFUSAL_WATCHES] = 'w', [REFUSAL_TRANSACTIONS] = 't',
	};
	uint32_t known = 0;

	(void)state;
	for (uint32_t type = 0; type <= MESSAGE_OURS_END; type++) {
		known += message_info(type) && !message_is_ours(type);
		for (uint32_t i = 0; message_error_at(i); i++) {
			const char *name = message_error_at(i);
			int err = message_error_parse((const uint8_t *)name,
						      (uint32_t)strlen(name) + 1);

			if (letters[refusal_cause(type, err)] != expected(type, err))
				fail_msg("%s to %s (%u): '%c'", name, message_name(type), type,
					 letters[refusal_cause(type, err)]);
		}
	}
	/* Each that has a name is in the table. */
	assert_int_equal(known, sizeof(answers) / sizeof(answers[0]));
}

static void only_refusals_count(void **state)
{
	static const int others[] = { ENOENT, EEXIST, EAGAIN, EINVAL, EBUSY, EIO, EISCONN };

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		refusal_note(s, XS_READ, others[i], "");
	refusal_note(s, XS_DIRECTORY, E2BIG, "");
	assert_int_equal(s->refusals.kinds, 0);
	assert_null(s->refusals.timer);
	assert_string_equal(logged(), "");
}

static void the_first_of_each_kind_is_logged(void **state)
{
	(void)state;
	refusal_note(s, XS_WATCH, E2BIG, "data/x");
	assert_string_equal(logged(),
			    "xsproxyd: d7 s3: WATCH of data/x was refused with E2BIG: it has 0 "
			    "watches; see xsproxyctl watches 7\n");
	refusal_note(s, XS_WATCH, E2BIG, "");
	assert_string_equal(logged(), "");
	refusal_note(s, XS_TRANSACTION_START, EDQUOT, "");
	assert_string_equal(logged(),
			    "xsproxyd: d7 s3: TRANSACTION_START was refused with EQUOTA: it has 0 "
			    "transactions open; see xsproxyctl transactions 7\n");
	refusal_note(s, XS_WRITE, EACCES, "");
	assert_string_equal(
		logged(), "xsproxyd: d7 s3: WRITE was refused with EACCES; it has no permission\n");
	refusal_note(s, XS_WRITE, ENOSPC, "");
	assert_string_equal(
		logged(), "xsproxyd: d7 s3: WRITE was refused with ENOSPC: it has too many nodes, "
			  "or this one's value is too long; if it needs more, raise xenstored's "
			  "quota, see xsproxyctl quota 7\n");
	assert_int_equal(s->refusals.kinds, 4);
	assert_int_equal(s->refusals.last, 3);
	assert_int_equal(s->refusals.kind[0].count, 2);
}

static void then_a_line_a_minute(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++)
		refusal_note(s, XS_WATCH, E2BIG, "");
	refusal_note(s, XS_WRITE, EACCES, "");
	refusal_note(s, XS_WRITE, EACCES, "");
	logged();
	minute_passes();
	assert_string_equal(logged(),
			    "xsproxyd: d7 s3: refused in the last minute: WATCH E2BIG 999 "
			    "times (1000 in all), WRITE EACCES 1 times (2 in all)\n");
	refusal_note(s, XS_WATCH, E2BIG, "");
	assert_string_equal(logged(), "");
	minute_passes();
	assert_string_equal(logged(), "xsproxyd: d7 s3: refused in the last minute: WATCH E2BIG 1 "
				      "times (1001 in all)\n");
	/* A quiet minute: no line, no timer, and the next one is news again. */
	minute_passes();
	assert_string_equal(logged(), "");
	assert_false(evtimer_pending(s->refusals.timer, NULL));
	refusal_note(s, XS_WATCH, E2BIG, "");
	assert_non_null(strstr(logged(), "WATCH was refused with E2BIG"));
}

static void the_table_is_bounded(void **state)
{
	(void)state;
	for (uint32_t type = 0; type < 200; type++)
		refusal_note(s, type, EACCES, "");
	assert_int_equal(s->refusals.kinds, REFUSAL_KINDS);
	assert_int_equal(s->refusals.others, 200 - REFUSAL_KINDS);
	logged();
	for (uint32_t type = 0; type < 200; type++)
		refusal_note(s, type, EACCES, "");
	assert_string_equal(logged(), "");
	minute_passes();
	/* One line, however many kinds. */
	assert_non_null(strstr(logged(), "refused in the last minute"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_error_to_each_request),
		cmocka_unit_test_setup_teardown(only_refusals_count, setup, teardown),
		cmocka_unit_test_setup_teardown(the_first_of_each_kind_is_logged, setup, teardown),
		cmocka_unit_test_setup_teardown(then_a_line_a_minute, setup, teardown),
		cmocka_unit_test_setup_teardown(the_table_is_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
