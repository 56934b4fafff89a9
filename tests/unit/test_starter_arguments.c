// SPDX-License-Identifier: MIT
/*
 * test_starter_arguments - the command line of the daemon that is to be, and the plan of it.
 */
#include "tests/unit/golden/records.h"

#include <errno.h>

#include "starter/arguments.h"
#include "starter/exchange_plan.h"

#define WORDS_MAX 16
#define TEXT_MAX  256

#define C	  RINGS_FLAVOUR_C
#define OX	  RINGS_FLAVOUR_OCAML

/* @text: words; split into @words, with a NULL behind them */
static void split(char *copy, const char *text, char *words[WORDS_MAX])
{
	char *rest = NULL;
	int nr = 0;

	strcpy(copy, text);
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		words[nr++] = word;
	words[nr] = NULL;
}

static void join(char *text, char **words)
{
	*text = '\0';
	for (int i = 0; words[i]; i++)
		sprintf(text + strlen(text), "%s%s", i ? " " : "", words[i]);
}

static void assert_words(const char *configured, enum rings_flavour from, enum rings_flavour to,
			 const char *want, const char *want_left_out)
{
	char copy[TEXT_MAX], text[TEXT_MAX], *words[WORDS_MAX];
	struct arguments arguments;

	split(copy, configured, words);
	assert_int_equal(arguments_make(&arguments, "/x", words, from, to, NULL), 0);
	join(text, arguments.words);
	assert_string_equal(text, want);
	join(text, arguments.left_out);
	assert_string_equal(text, want_left_out);
	arguments_clear(&arguments);
}

/* What follows is for the daemon that is to be, whatever was configured. */
static void test_more(void **state)
{
	char *configured[] = { "--no-fork", "-T", "/t", NULL };
	char *more[] = { "--live", "--config-file", "/c", NULL };
	struct arguments arguments;
	char text[TEXT_MAX];

	(void)state;
	assert_int_equal(arguments_make(&arguments, "/x", configured, C, OX, more), 0);
	join(text, arguments.words);
	assert_string_equal(text, "/x --live --restart --no-fork --config-file /c");
	join(text, arguments.left_out);
	assert_string_equal(text, "-T");
	arguments_clear(&arguments);
}

static void test_the_same_kind(void **state)
{
	(void)state;
	assert_words("", C, C, "/x -U", "");
	assert_words("--no-fork -T /t -Q nodes=5 -V", C, C, "/x -U --no-fork -T /t -Q nodes=5 -V",
		     "");
	assert_words("-N -U --pid-file=/p --live-update", C, C, "/x -U -N --pid-file=/p", "");
	assert_words("--config-file /c --no-fork", OX, OX,
		     "/x --live --restart --config-file /c --no-fork", "");
	assert_words("--live --restart --pid-file /p", OX, OX, "/x --live --restart --pid-file /p",
		     "");
}

static void test_oxenstored_instead(void **state)
{
	(void)state;
	assert_words("-N -F /p -D", C, OX,
		     "/x --live --restart --no-fork --pid-file /p --no-domain-init", "");
	assert_words("-F/p", C, OX, "/x --live --restart --pid-file /p", "");
	assert_words("--pid-file=/p --no-fork", C, OX,
		     "/x --live --restart --pid-file /p --no-fork", "");
	/* as getopt_long() takes them */
	assert_words("--pid /p --no-f", C, OX, "/x --live --restart --pid-file /p --no-fork", "");
	/* it would end at one that it does not know; a value goes with its option */
	assert_words("-T --no-fork -K --quota nodes=5 -w=3 -N -U", C, OX,
		     "/x --live --restart --no-fork", "-T -K --quota -w=3");
	assert_words("--pid-file", C, OX, "/x --live --restart", "--pid-file");
	assert_words("- --", C, OX, "/x --live --restart", "- --");
}

static void test_the_c_daemon_instead(void **state)
{
	(void)state;
	assert_words("--no-fork --pid-file /p", OX, C, "/x -U --no-fork --pid-file /p", "");
	/* it would end at a word that is no option */
	assert_words("--live --restart --config-file /c --no-access-log word --pid-file=/p", OX, C,
		     "/x -U --pid-file /p", "--config-file --no-access-log word");
	/* from 4.19 on it has none of these; and oxenstored knows no short names */
	assert_words("--no-domain-init -N --pid /p", OX, C, "/x -U",
		     "--no-domain-init -N --pid /p");
}

static void test_who_executes_a_live_update(void **state)
{
	char *ox[] = { "--live", "--restart", "--no-fork", NULL };
	char *c[] = { "--no-fork", "-U", NULL };
	char *none[] = { NULL };

	(void)state;
	assert_int_equal(arguments_flavour(ox), OX);
	assert_int_equal(arguments_flavour(c), C);
	assert_int_equal(arguments_flavour(none), C);
	assert_true(arguments_update(ox));
	assert_true(arguments_update(c));
	assert_false(arguments_update(none));
	assert_false(arguments_update(ox + 2));
}

static void test_who_only_asks(void **state)
{
	char *asks[][3] = { { "--help" }, { "-N", "-H" }, { "--config-test" } };
	char *starts[] = { "-N", "--pid-file", "/help", NULL };

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_true(arguments_ask(asks[i]));
	assert_false(arguments_ask(starts));
}

/* --- the plan */

static int read_plan(struct exchange_plan **plan, const char *text, size_t len,
		     struct reason *reason)
{
	int fd = input_fd(text, len);
	int r = exchange_plan_read(plan, fd, reason);

	close(fd);
	return r;
}

static void test_plan(void **state)
{
	static const char text[] = "daemon /opt/my xen/oxenstored\n"
				   "arguments -W 7 --transaction 9\n"
				   "ring 0 1 0 -\n"
				   "\n"
				   "ring 32751 4294967295 9223372036854775806 0\n";
	const struct exchange_ring *ring;
	struct exchange_plan *plan;
	struct reason reason;

	(void)state;
	assert_int_equal(read_plan(&plan, text, sizeof(text) - 1, &reason), 0);
	assert_string_equal(plan->daemon, "/opt/my xen/oxenstored");
	assert_string_equal(plan->arguments, "-W 7 --transaction 9");
	assert_int_equal(plan->nr_rings, 2);
	ring = exchange_plan_ring(plan, 32751);
	assert_int_equal(ring->port, UINT32_MAX);
	assert_int_equal(ring->gfn, INT64_MAX - 1);
	assert_true(ring->has_target);
	assert_int_equal(ring->target, 0);
	assert_false(exchange_plan_ring(plan, 0)->has_target);
	assert_null(exchange_plan_ring(plan, 7));
	assert_null(exchange_plan_ring(plan, UINT16_MAX));
	exchange_plan_free(plan);
	assert_int_equal(read_plan(&plan, "daemon oxenstored", 17, &reason), 0);
	assert_string_equal(plan->daemon, "oxenstored");
	exchange_plan_free(plan);
	assert_int_equal(read_plan(&plan, "", 0, &reason), 0);
	assert_null(plan->daemon);
	assert_null(plan->arguments);
	exchange_plan_free(plan);
}

static void test_plans_that_make_no_sense(void **state)
{
	static const struct {
		const char *text;
		const char *reason;
	} wrong[] = {
		{ "arguments -x\narguments -x", "line 2 of the plan was given before" },
		{ "arguments", "line 1 of the plan makes no sense" },
		{ "ring 7 1 2", "line 1 of the plan makes no sense" },
		{ "ring 7 1 2 - -", "line 1 of the plan makes no sense" },
		{ "ring 7 1 2 x", "line 1 of the plan makes no sense" },
		{ "ring -7 1 2 -", "line 1 of the plan makes no sense" },
		{ "ring 32752 1 2 -", "line 1 of the plan makes no sense" },
		{ "ring 7 1 2 32752", "line 1 of the plan makes no sense" },
		{ "ring 7 4294967296 2 -", "line 1 of the plan makes no sense" },
		{ "ring 7 1 9223372036854775807 -", "line 1 of the plan makes no sense" },
		{ "ring 7 1 99999999999999999999999 -", "line 1 of the plan makes no sense" },
		{ "ring 7 0x1 2 -", "line 1 of the plan makes no sense" },
		{ "ring 7 1 2 -\nring 7 1 2 -", "line 2 of the plan was given before" },
		{ "daemon /x\ndaemon /y", "line 2 of the plan was given before" },
		{ "daemon xsd", "line 1 of the plan makes no sense" },
		{ "daemon ./xenstored", "line 1 of the plan makes no sense" },
		{ "daemon", "line 1 of the plan makes no sense" },
		{ "rings", "line 1 of the plan makes no sense" },
		{ " ", "line 1 of the plan makes no sense" },
	};
	struct exchange_plan *plan;
	struct reason reason;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(read_plan(&plan, wrong[i].text, strlen(wrong[i].text), &reason),
				 -EBADMSG);
		assert_string_equal(reason.text, wrong[i].reason);
	}
	assert_int_equal(read_plan(&plan, "ring\0x", 6, &reason), -EBADMSG);
	assert_string_equal(reason.text, "cannot read the plan: Bad message");
}

static void test_a_plan_that_is_too_long(void **state)
{
	struct exchange_plan *plan;
	struct reason reason;
	int fd = memfd_create("plan", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)EXCHANGE_PLAN_MAX + 1), 0);
	assert_int_equal(exchange_plan_read(&plan, fd, &reason), -EFBIG);
	assert_string_equal(reason.text, "cannot read the plan: File too large");
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_same_kind),
		cmocka_unit_test(test_more),
		cmocka_unit_test(test_oxenstored_instead),
		cmocka_unit_test(test_the_c_daemon_instead),
		cmocka_unit_test(test_who_executes_a_live_update),
		cmocka_unit_test(test_who_only_asks),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_plans_that_make_no_sense),
		cmocka_unit_test(test_a_plan_that_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
