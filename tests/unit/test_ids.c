// SPDX-License-Identifier: MIT
/*
 * Users and groups of xsproxy.conf: names and numbers, and what is no list of them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/ids.h"

static struct ids ids;
static char why[160];

static void assert_refused(int (*read)(struct ids *ids, const char *text, char *why, int size),
			   const char *text, const char *words)
{
	struct ids before = ids;

	assert_int_equal(read(&ids, text, why, sizeof(why)), -EINVAL);
	if (!strstr(why, words))
		fail_msg("\"%s\" does not mention \"%s\"", why, words);
	assert_memory_equal(&ids, &before, sizeof(ids));
}

static void a_group(void **state)
{
	(void)state;
	assert_int_equal(ids_group(&ids, "daemon", why, sizeof(why)), 0);
	assert_string_equal(ids.text, "daemon");
	assert_int_equal(ids.count, 1);
	assert_int_equal(ids.id[0], 1);
	assert_int_equal(ids_group(&ids, "4294967294", why, sizeof(why)), 0);
	assert_int_equal(ids.id[0], 4294967294u);
	assert_int_equal(ids_group(&ids, "root", why, sizeof(why)), 0);
	assert_int_equal(ids.id[0], 0);
	assert_refused(ids_group, "4294967295",
		       "4294967295 is no number of a group, 0 to 4294967294");
	assert_refused(ids_group, "99999999999999999999", "is no number of a group");
	assert_refused(ids_group, "-1", "there is no group -1");
	assert_refused(ids_group, "no-such", "there is no group no-such; make it, or give");
	assert_refused(ids_group, "root root", "must be one group, a name or a number");
	assert_refused(ids_group, ",", "must be one group");
	assert_refused(ids_group, "", "must be one group");
}

static void users(void **state)
{
	(void)state;
	assert_int_equal(ids_users(&ids, "daemon,7  4294967294,\tdaemon", why, sizeof(why)), 0);
	assert_string_equal(ids.text, "daemon,7  4294967294,\tdaemon");
	assert_int_equal(ids.count, 4);
	assert_true(ids_has(&ids, 1));
	assert_true(ids_has(&ids, 7));
	assert_true(ids_has(&ids, 4294967294u));
	/* Neither what fills the rest of the list, nor whom nobody named */
	assert_false(ids_has(&ids, 0));
	assert_false(ids_has(&ids, 8));
	assert_refused(ids_users, "1 no-such", "there is no user no-such; make it, or give");
	assert_refused(ids_users, "1 4294967295", "4294967295 is no number of a user");
	assert_refused(ids_users, "7x", "there is no user 7x");
	assert_refused(ids_users, "", "must be names or numbers of users, 1 to 16");
}

static void no_more_than_there_is_room_for(void **state)
{
	char text[IDS_TEXT_MAX + 1];

	(void)state;
	assert_int_equal(
		ids_users(&ids, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", why, sizeof(why)), 0);
	assert_int_equal(ids.count, IDS_MAX);
	assert_true(ids_has(&ids, 16));
	assert_refused(ids_users, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", "1 to 16");
	memset(text, ' ', sizeof(text));
	text[0] = '7';
	text[IDS_TEXT_MAX - 1] = '\0';
	assert_int_equal(ids_users(&ids, text, why, sizeof(why)), 0);
	assert_true(ids_has(&ids, 7));
	text[IDS_TEXT_MAX - 1] = ' ';
	text[IDS_TEXT_MAX] = '\0';
	assert_refused(ids_users, text, "at most 191 characters");
	/* A name as long as can be, in the room that config.c has for the reason */
	memset(text, 'x', IDS_TEXT_MAX - 1);
	text[IDS_TEXT_MAX - 1] = '\0';
	assert_refused(ids_users, text, "; make it, or give a number");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group),
		cmocka_unit_test(users),
		cmocka_unit_test(no_more_than_there_is_room_for),
	};

	return cmocka_run_group_tests_name("ids", tests, NULL, NULL);
}
