// SPDX-License-Identifier: MIT
/*
 * test_ctl_program - which xenstored runs, which could take its place, and what was said of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h> /* needs the above */

/* Part of xsproxyctl alone, so not in the library that unit tests are linked with. */
#include "ctl/program.c"

#define ROOT "/tmp/test_ctl_program.XXXXXX"

static char root[sizeof(ROOT)];

static int set_up(void **state)
{
	(void)state;
	strcpy(root, ROOT);
	return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
	static const char *const files[] = { "xenstored", "oxenstored", "link", "file" };
	char path[PATH_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", root, files[i]);
		unlink(path);
	}
	return rmdir(root);
}

/* Return: its path, until the next call */
static const char *put(const char *name, const char *text, mode_t mode)
{
	static char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static int find(struct program *program, const char *with, const struct program *running,
		char said[256])
{
	struct report report = { NULL, "test" };
	int r;

	memset(said, 0, 256);
	report.out = fmemopen(said, 256, "w");
	assert_non_null(report.out);
	r = program_find(program, with, running, &report);
	fclose(report.out);
	return r;
}

static void test_beside_the_one_that_runs(void **state)
{
	struct program running = { .kind = PROGRAM_OX }, program;
	char said[256];

	(void)state;
	snprintf(running.path, sizeof(running.path), "%s/oxenstored", root);
	put("xenstored", "", 0755);
	put("oxenstored", "", 0755);
	assert_int_equal(find(&program, NULL, &running, said), 0);
	assert_int_equal(program.kind, PROGRAM_OX);
	assert_string_equal(program.path, running.path);
	assert_int_equal(find(&program, "c", &running, said), 0);
	assert_int_equal(program.kind, PROGRAM_C);
	assert_string_equal(program.path, put("xenstored", "", 0755));
	assert_int_equal(find(&program, "oxenstored", &running, said), 0);
	assert_string_equal(program.path, running.path);
}

static void test_paths(void **state)
{
	struct program running = { .kind = PROGRAM_C }, program;
	char said[256], link[PATH_MAX];
	const char *path = put("oxenstored", "", 0755);

	(void)state;
	snprintf(link, sizeof(link), "%s/link", root);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(find(&program, link, &running, said), 0);
	assert_int_equal(program.kind, PROGRAM_OX);
	assert_string_equal(program.path, path);
	put("oxenstored", "", 0644);
	assert_int_equal(find(&program, link, &running, said), -EACCES);
	assert_non_null(strstr(said, "/link is no program\n"));
	assert_int_equal(find(&program, put("file", "", 0755), &running, said), -EINVAL);
	assert_int_equal(find(&program, "/nonexistent/xenstored", &running, said), -ENOENT);
	assert_string_equal(said, "test: /nonexistent/xenstored: No such file or directory\n");
}

static void test_running(void **state)
{
	struct program program;
	char real[PATH_MAX];

	(void)state;
	assert_non_null(realpath("/proc/self/exe", real));
	program_running(&program, "oxenstored", getpid());
	assert_int_equal(program.kind, PROGRAM_OX);
	assert_string_equal(program.path, real);
	program_running(&program, "xenstored", INT32_MAX);
	assert_int_equal(program.kind, PROGRAM_C);
	assert_string_equal(program.path, "");
}

static void test_of_a_process(void **state)
{
	struct program program;
	char real[PATH_MAX];

	(void)state;
	assert_non_null(realpath("/proc/self/exe", real));
	assert_int_equal(program_of(&program, getpid()), -EINVAL);
	assert_string_equal(program.path, real);
	assert_int_equal(program_of(&program, INT32_MAX), -ESRCH);
}

static void copy_cat(const char *path)
{
	FILE *from = fopen("/bin/cat", "r"), *to = fopen(path, "w");
	char octets[65536];
	size_t n;

	assert_true(from && to);
	while ((n = fread(octets, 1, sizeof(octets), from)))
		assert_int_equal(fwrite(octets, 1, n, to), n);
	fclose(from);
	assert_int_equal(fclose(to), 0);
	assert_int_equal(chmod(path, 0755), 0);
}

/* Starts it; it runs until *@end is closed. */
static pid_t start(const char *path, int *end)
{
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		dup2(ends[0], STDIN_FILENO);
		close(STDERR_FILENO); /* it finds no files of these names */
		execl(path, path, "--", "-", "--config-file=/a", "--with", "b", "--last",
		      (char *)NULL);
		_exit(1);
	}
	close(ends[0]);
	*end = ends[1];
	return pid;
}

/* It was upgraded while it ran. */
static void test_running_one_that_is_deleted(void **state)
{
	char path[sizeof(root) + 16], value[PATH_MAX];
	struct program program;
	int end, status;
	pid_t pid;

	(void)state;
	snprintf(path, sizeof(path), "%s/xenstored", root);
	copy_cat(path);
	pid = start(path, &end);
	do /* until it is what it is to be: exec(2) sets its words after its file */
		program_running(&program, "xenstored", pid);
	while ((strcmp(program.path, path) != 0 || !program_option(pid, "--with", value)) &&
	       !waitpid(pid, &status, WNOHANG));
	unlink(path);
	program_running(&program, "xenstored", pid);
	assert_string_equal(program.path, path);
	program.kind = PROGRAM_OX;
	assert_int_equal(program_of(&program, pid), 0);
	assert_int_equal(program.kind, PROGRAM_C);
	assert_string_equal(program.path, path);
	assert_true(program_option(pid, "--config-file", value));
	assert_string_equal(value, "/a");
	assert_true(program_option(pid, "--with", value));
	assert_string_equal(value, "b");
	assert_false(program_option(pid, "--last", value));
	assert_false(program_option(pid, "--config", value));
	close(end);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void test_type(void **state)
{
	static const struct {
		const char *text;
		bool domain;
	} cases[] = {
		{ "", false },
		{ "#XENSTORETYPE=domain\n", false },
		{ "XENSTORETYPE=domain\n", true },
		{ "XENSTORETYPE=daemon\n", false },
		{ "X=1\n  export XENSTORETYPE=\"domain\"\n", true },
		{ "XENSTORETYPE='domain'", true },
		{ "XENSTORETYPE=domain\nXENSTORETYPE=daemon\n", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(program_in_domain(put("file", cases[i].text, 0644)),
				 cases[i].domain);
	assert_false(program_in_domain("/nonexistent/xencommons"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_beside_the_one_that_runs),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_running),
		cmocka_unit_test(test_of_a_process),
		cmocka_unit_test(test_running_one_that_is_deleted),
		cmocka_unit_test(test_type),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
