// SPDX-License-Identifier: MIT
/*
 * test_starter_daemon - what counts as a daemon, and where it will listen.
 */
#include "tests/unit/golden/records.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "starter/daemon.h"

#define ROOT	 "/tmp/test_daemon.XXXXXX"
#define PATH_LEN 64

static char dir[sizeof(ROOT)];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, ROOT);
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "xenstored", "oxenstored", "other", "upstream" };
	char path[PATH_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static void make_program(char path[PATH_LEN], const char *name, const char *octets, mode_t mode)
{
	int fd;

	snprintf(path, PATH_LEN, "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, octets, strlen(octets)), strlen(octets));
	close(fd);
}

/* Beside what a link leads to. */
static void test_beside(void **state)
{
	char path[PATH_LEN], link[PATH_LEN], expected[PATH_LEN], beside[PATH_MAX];

	(void)state;
	make_program(path, "xenstored", "", 0755);
	snprintf(link, sizeof(link), "%s/other", dir);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(daemon_beside(beside, link, "oxenstored"), 0);
	snprintf(expected, sizeof(expected), "%s/oxenstored", dir);
	assert_string_equal(beside, expected);
	unlink(path);
	assert_int_equal(daemon_beside(beside, link, "oxenstored"), -ENOENT);
}

static void test_programs(void **state)
{
	char path[PATH_LEN], link[PATH_LEN];
	struct daemon_program program;
	struct reason reason;

	(void)state;
	make_program(path, "xenstored",
		     "ELF... libxenctrl.so.4"
		     ".17 ...",
		     0755);
	assert_int_equal(daemon_look(&program, path, &reason), 0);
	assert_string_equal(program.path, path);
	assert_int_equal(program.flavour, RINGS_FLAVOUR_C);
	assert_false(program.takes_c2);
	/* what it is called is what the link leads to, as for the bridge */
	snprintf(link, sizeof(link), "%s/other", dir);
	assert_int_equal(symlink("xenstored", link), 0);
	assert_int_equal(daemon_look(&program, link, &reason), 0);
	assert_string_equal(program.path, link);
	assert_int_equal(program.flavour, RINGS_FLAVOUR_C);
	unlink(path);
	make_program(path, "xenstored", "ELF... libxenmanage.so.1 ...", 0755);
	assert_int_equal(daemon_look(&program, path, &reason), 0);
	assert_true(program.takes_c2);
	make_program(path, "oxenstored", "", 0755);
	assert_int_equal(daemon_look(&program, path, &reason), 0);
	assert_int_equal(program.flavour, RINGS_FLAVOUR_OCAML);
	assert_false(program.takes_c2);
}

static void test_what_is_none(void **state)
{
	char path[PATH_LEN], long_path[PATH_MAX + 8], want[PATH_LEN + 80];
	struct daemon_program program;
	struct reason reason;

	(void)state;
	make_program(path, "other", "", 0755);
	assert_int_equal(daemon_look(&program, path, &reason), -EINVAL);
	snprintf(want, sizeof(want),
		 "cannot start %s: it is called neither xenstored nor oxenstored", path);
	assert_string_equal(reason.text, want);
	assert_int_equal(daemon_flavour(path), 0);
	assert_int_equal(daemon_flavour("/nonexistent/xenstored"), 0);
	make_program(path, "xenstored", "", 0644);
	assert_int_equal(daemon_look(&program, path, &reason), -EACCES);
	unlink(path);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(daemon_look(&program, path, &reason), -EACCES);
	rmdir(path);
	assert_int_equal(daemon_look(&program, path, &reason), -ENOENT);
	memset(long_path, '/', sizeof(long_path));
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(daemon_look(&program, long_path, &reason), -ENAMETOOLONG);
}

/* As the daemons' own is, but that more than one may wait to be accepted. */
static void test_listen(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct reason reason;
	struct stat st;
	int fd, clients[10];

	(void)state;
	fd = daemon_listen(dir, &reason);
	assert_true(fd >= 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/upstream", dir);
	assert_int_equal(stat(un.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	for (int i = 0; i < 10; i++) {
		clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(clients[i], (struct sockaddr *)&un, sizeof(un)), 0);
	}
	for (int i = 0; i < 10; i++)
		close(clients[i]);
	daemon_unlisten(dir, fd);
	assert_int_equal(access(un.sun_path, F_OK), -1);
}

static void test_where_nobody_can_listen(void **state)
{
	static char long_dir[200];
	struct reason reason;

	(void)state;
	memset(long_dir, 'x', sizeof(long_dir) - 1);
	assert_int_equal(daemon_listen(long_dir, &reason), -ENAMETOOLONG);
	assert_int_equal(daemon_listen("/nonexistent", &reason), -ENOENT);
	assert_string_equal(reason.text, "cannot listen at /nonexistent/upstream: No such file or "
					 "directory");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_programs),
		TEST(test_beside),
		TEST(test_what_is_none),
		TEST(test_listen),
		TEST(test_where_nobody_can_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
