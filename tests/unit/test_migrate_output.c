// SPDX-License-Identifier: MIT
/*
 * test_migrate_output - where a stream goes, all of it or nothing; sets of paths; octets of a
 * guest's in messages.
 */
#include "tests/unit/golden/records.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "migration/output.h"
#include "migration/pathset.h"
#include "migration/report.h"

#define BIG 200000 /* more than a pipe holds */

/* --- output, in a directory that is the current one while a test runs */

static int setup(void **state)
{
	char *dir = strdup("/tmp/test_migrate_output.XXXXXX");

	*state = dir;
	return dir && mkdtemp(dir) && !chdir(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	unlink("file");
	unlink("link");
	unlink("fifo");
	/* Not empty: something was left behind. */
	if (chdir("/") || rmdir(*state))
		return -1;
	free(*state);
	return 0;
}

/* What can be read from @fd, which is closed. */
static void assert_reads(int fd, const char *text)
{
	char got[64] = "";

	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, sizeof(got) - 1), strlen(text));
	assert_string_equal(got, text);
	close(fd);
}

static void assert_file(const char *path, const char *text)
{
	assert_reads(open(path, O_RDONLY), text);
}

static void write_output(const char *path, const char *text, bool commit)
{
	struct output *output = NULL;

	assert_int_equal(output_open(&output, path, NULL), 0);
	assert_true(fputs(text, output_file(output)) >= 0);
	if (commit)
		assert_int_equal(output_commit(output), 0);
	output_free(output);
}

static void test_file(void **state)
{
	struct stat st;

	(void)state;
	umask(0);
	write_output("file", "given up", false);
	assert_int_equal(access("file", F_OK), -1);
	write_output("file", "new", true);
	assert_file("file", "new");
	assert_int_equal(stat("file", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	write_output("file", "given up", false);
	assert_file("file", "new");
	write_output("file", "newer", true);
	assert_file("file", "newer");
}

static void test_no_such_place(void **state)
{
	struct output *output = NULL;

	(void)state;
	assert_int_equal(output_open(&output, "none/file", NULL), -ENOENT);
	assert_null(output);
}

/* What is no regular file must still be there afterwards. */
static void test_devices(void **state)
{
	struct output *output = NULL;
	struct stat st;
	int fd;

	(void)state;
	write_output("/dev/null", "text", true);
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));

	assert_int_equal(mkfifo("fifo", 0600), 0);
	fd = open("fifo", O_RDONLY | O_NONBLOCK);
	assert_true(fd >= 0);
	write_output("fifo", "text", true);
	assert_reads(fd, "text");

	assert_int_equal(output_open(&output, "/dev/full", NULL), 0);
	fputs("text", output_file(output));
	assert_int_equal(output_commit(output), -ENOSPC);
	output_free(output);
}

/* A reader that does not read, and is gone before everything is written. */
static void test_pipe(void **state)
{
	static char big[BIG];
	struct output *output = NULL;
	char path[32];
	int pair[2];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	memset(big, 'x', sizeof(big) - 1);
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", pair[1]);
	assert_int_equal(output_open(&output, path, NULL), 0);
	close(pair[0]);
	close(pair[1]);
	fputs(big, output_file(output));
	assert_int_equal(output_commit(output), -EPIPE);
	output_free(output);
}

/* --- sets of paths */

static void test_parents(void **state)
{
	(void)state;
	assert_int_equal(pathset_parent("/", 1), 1);
	assert_int_equal(pathset_parent("/a", 2), 1);
	assert_int_equal(pathset_parent("/a/bc", 5), 2);
	assert_int_equal(pathset_parent("/a/bc/d", 5), 2);
	assert_int_equal(pathset_parent("", 0), 0);
	assert_int_equal(pathset_parent("@x", 2), 2);
}

static size_t cover(const struct pathset *set, const char *path)
{
	return pathset_cover(set, path, strlen(path));
}

static void test_cover(void **state)
{
	struct pathset *set = NULL;

	(void)state;
	assert_int_equal(cover(set, "/a"), 0);
	assert_int_equal(pathset_add(&set, "/a/b", 4), 0);
	assert_int_equal(pathset_add(&set, "/a/b", 4), 0);
	assert_int_equal(pathset_add(&set, "/a/b/c/d", 8), 0);
	assert_int_equal(HASH_COUNT(set), 2);
	assert_int_equal(cover(set, "/a"), 0);
	assert_int_equal(cover(set, "/a/b"), 4);
	assert_int_equal(cover(set, "/a/bc"), 0);
	assert_int_equal(cover(set, "/a/b/c"), 4);
	assert_int_equal(cover(set, "/a/b/c/d/e"), 8);
	assert_int_equal(cover(set, "@releaseDomain"), 0);
	assert_int_equal(cover(set, ""), 0);
	assert_int_equal(pathset_add(&set, "/", 1), 0);
	assert_int_equal(cover(set, "/x/y"), 1);
	pathset_clear(&set);
	assert_null(set);
}

/* --- messages */

static void test_octets(void **state)
{
	char out[REPORT_OCTETS_MAX], many[1000];

	(void)state;
	assert_string_equal(report_octets(out, "/a b\\c\x1b\xff", 8), "/a\\x20b\\x5cc\\x1b\\xff");
	assert_string_equal(report_octets(out, "", 0), "");
	memset(many, 'a', sizeof(many));
	report_octets(out, many, sizeof(many));
	assert_true(strlen(out) < sizeof(out));
	assert_string_equal(out + strlen(out) - 4, "a...");
	memset(many, '\n', sizeof(many));
	report_octets(out, many, sizeof(many));
	assert_true(strlen(out) < sizeof(out));
	assert_string_equal(out + strlen(out) - 7, "\\x0a...");
}

static void test_report(void **state)
{
	char text[128] = "";
	struct report report = { fmemopen(text, sizeof(text), "w"), "who" };

	(void)state;
	assert_non_null(report.out);
	assert_int_equal(report_fail(&report, -EIO, "cannot %s", "do it"), -EIO);
	report_warn(&report, "%d of them", 2);
	fclose(report.out);
	assert_string_equal(text, "who: cannot do it\nwho: warning: 2 of them\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_such_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_devices, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipe, setup, teardown),
		cmocka_unit_test(test_parents),
		cmocka_unit_test(test_cover),
		cmocka_unit_test(test_octets),
		cmocka_unit_test(test_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
