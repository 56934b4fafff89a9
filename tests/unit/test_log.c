// SPDX-License-Identifier: MIT
/*
 * Log lines: their form on stderr, the level, that the longest is cut and ends in one newline; and
 * that a guest's lines are limited, with a count of what was left out, a minute being one of our
 * clock's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/logged.h"

/* The linker takes this instead of libc's, so the test decides how fast time goes. */
static time_t now = 1000;

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	*ts = (struct timespec){ .tv_sec = now };
	return 0;
}

static int capture(void **state)
{
	(void)state;
	logged_start();
	now = 1000;
	return 0;
}

static int uncapture(void **state)
{
	(void)state;
	logged_end();
	return 0;
}

static uint32_t lines(const char *text)
{
	uint32_t n = 0;

	while ((text = strchr(text, '\n'))) {
		text++;
		n++;
	}
	return n;
}

static void form(void **state)
{
	struct log_source source = { .domid = 7, .session = 12 };

	(void)state;
	log_line(LOG_ERR, "%s %d", "text", 5);
	assert_string_equal(logged(), "xsproxyd: text 5\n");
	log_domain(LOG_NOTICE, 3, "text %d", 6);
	assert_string_equal(logged(), "xsproxyd: d3: text 6\n");
	log_limited(&source, LOG_INFO, "text %d", 7);
	assert_string_equal(logged(), "xsproxyd: d7 s12: text 7\n");
	log_request(&source, LOG_INFO, "WATCH", "text %d", 8);
	assert_non_null(strstr(logged(), "d7 s12: "));
	source.nobody = true;
	log_limited(&source, LOG_INFO, "text %d", 9);
	assert_string_equal(logged(), "xsproxyd: text 9\n");
}

static void the_level_decides(void **state)
{
	struct log_source source = { .domid = 7 };

	(void)state;
	log_line(LOG_DEBUG, "no");
	assert_string_equal(logged(), "");
	log_set_level(LOG_DEBUG);
	assert_int_equal(log_level(), LOG_DEBUG);
	log_line(LOG_DEBUG, "yes");
	assert_int_equal(lines(logged()), 1);
	log_set_level(LOG_WARNING);
	log_line(LOG_NOTICE, "no");
	log_domain(LOG_NOTICE, 1, "no");
	log_request(&source, LOG_NOTICE, "READ", "no");
	for (int i = 0; i < 20; i++)
		log_limited(&source, LOG_NOTICE, "no");
	assert_string_equal(logged(), "");
	/* What was not to be seen does not count against the limit. */
	log_limited(&source, LOG_WARNING, "yes");
	assert_string_equal(logged(), "xsproxyd: d7 s0: yes\n");
}

static void long_lines_are_cut(void **state)
{
	struct log_source source = { .domid = UINT32_MAX, .session = UINT32_MAX };
	char text[5000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	for (size_t len = 900; len < sizeof(text); len += len < 1200 ? 1 : 1000) {
		const char *got;

		text[len] = 0;
		source.burst = 0;
		log_limited(&source, LOG_INFO, "%s", text);
		got = logged();
		assert_int_equal(lines(got), 1);
		assert_int_equal(got[strlen(got) - 1], '\n');
		assert_true(strlen(got) > 900);
		text[len] = 'x';
	}
}

/* A few, then one a minute that says how many were left out. */
static void a_guest_is_limited(void **state)
{
	struct log_source source = { .domid = 7, .session = 1 };
	const char *text;
	uint32_t first;

	(void)state;
	for (int i = 0; i < 1000; i++)
		log_limited(&source, LOG_WARNING, "noise %d", i);
	text = logged();
	first = lines(text);
	assert_in_range(first, 1, 20);
	assert_non_null(strstr(text, "noise 0\n"));

	for (int minute = 0; minute < 3; minute++) {
		char count[64];

		now += 60;
		for (int i = 0; i < 500; i++)
			log_limited(&source, LOG_WARNING, "again %d", i);
		text = logged();
		assert_int_equal(lines(text), 2);
		snprintf(count, sizeof(count), " %u similar lines", minute ? 499 : 1000 - first);
		assert_non_null(strstr(text, count));
		assert_non_null(strstr(text, "again 0\n"));
		assert_true(strstr(text, count) < strstr(text, "again"));
	}
	/* Nothing was left out of a quiet minute. */
	now += 60;
	log_limited(&source, LOG_WARNING, "one");
	logged();
	now += 60;
	log_limited(&source, LOG_WARNING, "two");
	assert_string_equal(logged(), "xsproxyd: d7 s1: two\n");
}

static void guests_do_not_share_their_limit(void **state)
{
	struct log_source loud = { .domid = 7 }, quiet = { .domid = 8 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		log_limited(&loud, LOG_WARNING, "noise");
	logged();
	log_limited(&quiet, LOG_WARNING, "heard");
	assert_string_equal(logged(), "xsproxyd: d8 s0: heard\n");
}

/* A pipe that nobody empties: the line is lost, nothing else. */
static void a_full_log_is_no_error(void **state)
{
	(void)state;
	for (int i = 0; i < 10000; i++)
		log_line(LOG_ERR, "noise");
	while (logged()[0])
		;
	log_line(LOG_ERR, "works again");
	assert_string_equal(logged(), "xsproxyd: works again\n");
}

/* The variable alone is not enough: systemd sets it for stderr of the unit, not for every child's.
 */
static void another_journal_stream_is_not_ours(void **state)
{
	(void)state;
	setenv("JOURNAL_STREAM", "1:2", 1);
	log_open(LOG_INFO);
	log_line(LOG_ERR, "text");
	assert_string_equal(logged(), "xsproxyd: text\n");
	unsetenv("JOURNAL_STREAM");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, capture, uncapture)
	static const struct CMUnitTest tests[] = {
		TEST(form),
		TEST(the_level_decides),
		TEST(long_lines_are_cut),
		TEST(a_guest_is_limited),
		TEST(guests_do_not_share_their_limit),
		TEST(a_full_log_is_no_error),
		TEST(another_journal_stream_is_not_ours),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
