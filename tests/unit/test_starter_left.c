// SPDX-License-Identifier: MIT
/*
 * test_starter_left - which file counts as what a daemon has left, and what becomes of the files.
 */
#include "tests/unit/state_bed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "starter/left.h"

#define ROOT  "/tmp/test_left.XXXXXX"
#define PAGE  4096
#define BEGIN "$xenstored-dump-format\nglobal,5\nstore,2f,6e30,"

static char dir[sizeof(ROOT)];
static char state_dump[sizeof(ROOT) + 16], db[sizeof(ROOT) + 16];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, ROOT);
	if (!mkdtemp(dir))
		return -1;
	snprintf(state_dump, sizeof(state_dump), "%s/state_dump", dir);
	snprintf(db, sizeof(db), "%s/db", dir);
	unsetenv("XENSTORED_RUNDIR");
	return setenv("XSPROXY_STORED_DIR", dir, 1);
}

static int tear_down(void **state)
{
	(void)state;
	unlink(state_dump);
	unlink(db);
	return rmdir(dir);
}

/* @age: seconds ago */
static void leave(const char *name, const void *octets, size_t len, time_t age)
{
	struct timespec times[] = { { time(NULL) - age, 0 }, { time(NULL) - age, 0 } };
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, octets, len), len);
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

static void leave_c(time_t age)
{
	leave(state_dump, golden_c, sizeof(golden_c), age);
}

static void leave_ox(time_t age)
{
	leave(db, golden_ox, GOLDEN_OX_LEN, age);
}

static void assert_taken(bool ended, const void *octets, size_t len, uint32_t age)
{
	static char got[2 * PAGE];
	struct reason reason = { "" };
	uint32_t is = 77;
	int fd = left_take(ended, &is, &reason);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, got, sizeof(got), 0), len);
	assert_memory_equal(got, octets, len);
	assert_in_range(is, age, age + 2);
	/* nobody can change it, and all who have it can read it twice */
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(fcntl(fd, F_GET_SEALS),
			 F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	close(fd);
}

static void assert_none(bool ended, int want, const char *reason)
{
	struct reason is;
	uint32_t age;

	assert_int_equal(left_take(ended, &age, &is), want);
	assert_string_equal(is.text, reason);
}

#define NONE -ENOENT, "no xenstored has left a state"

static void test_the_newest(void **state)
{
	(void)state;
	assert_none(true, NONE);
	leave_c(100);
	assert_taken(true, golden_c, sizeof(golden_c), 100);
	leave_ox(50);
	assert_taken(true, golden_ox, GOLDEN_OX_LEN, 50);
	assert_taken(false, golden_ox, GOLDEN_OX_LEN, 50);
	leave_c(10);
	assert_taken(true, golden_c, sizeof(golden_c), 10);
}

static void test_what_was_given_is_nothing_left(void **state)
{
	struct left_gift *gift;
	struct reason reason = { "" };
	struct stat st;

	(void)state;
	assert_int_equal(left_gift_new(&gift, RINGS_FLAVOUR_OCAML, &reason), 0);
	fputs(golden_ox, left_gift_file(gift));
	assert_int_equal(access(db, F_OK), -1); /* not found half written */
	assert_int_equal(left_gift_put(gift, &reason), 0);
	assert_int_equal(stat(db, &st), 0);
	assert_int_equal(st.st_size, GOLDEN_OX_LEN);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_none(true, NONE);
	/* written anew by the daemon that it was given to */
	leave_ox(1);
	assert_taken(true, golden_ox, GOLDEN_OX_LEN, 1);
	left_gift_free(gift);
	assert_none(true, NONE);
	assert_int_equal(access(db, F_OK), -1);
}

static void test_a_gift_that_is_not_given(void **state)
{
	struct left_gift *gift;
	struct reason reason = { "" };
	char new_name[sizeof(state_dump) + 4];

	(void)state;
	snprintf(new_name, sizeof(new_name), "%s.new", state_dump);
	leave(new_name, "xenstore", 8, 0); /* of one that was killed */
	assert_int_equal(left_gift_new(&gift, RINGS_FLAVOUR_C, &reason), 0);
	left_gift_free(gift);
	assert_int_equal(access(new_name, F_OK), -1);
	left_gift_free(NULL);
	leave(new_name, "xenstore", 8, 0);
	left_clear();
	assert_int_equal(access(new_name, F_OK), -1);
	setenv("XSPROXY_STORED_DIR", "/nonexistent/dir", 1);
	assert_int_equal(left_gift_new(&gift, RINGS_FLAVOUR_C, &reason), -ENOENT);
	assert_string_equal(reason.text,
			    "cannot write /nonexistent/dir/state_dump.new: No such file "
			    "or directory");
}

/* Where the daemon makes its directory itself, we do; and it may have the C daemon's elsewhere. */
static void test_where(void **state)
{
	struct left_gift *gift;
	struct reason reason = { "" };
	char other[sizeof(dir) + 8];

	(void)state;
	snprintf(other, sizeof(other), "%s/other", dir);
	setenv("XENSTORED_RUNDIR", other, 1);
	assert_int_equal(left_gift_new(&gift, RINGS_FLAVOUR_C, &reason), 0);
	assert_int_equal(left_gift_put(gift, &reason), 0);
	assert_int_equal(access(state_dump, F_OK), -1);
	left_gift_free(gift);
	assert_int_equal(rmdir(other), 0);
}

static void test_clear(void **state)
{
	(void)state;
	leave_c(1);
	leave_ox(1);
	left_clear();
	assert_int_equal(access(state_dump, F_OK), -1);
	assert_int_equal(access(db, F_OK), -1);
	/* oxenstored's own, where it keeps its store on disk */
	leave(db, "/{n0}\n", 6, 1);
	left_clear();
	assert_int_equal(access(db, F_OK), 0);
	assert_none(true, NONE);
}

/* As it does when it turns its access log over; the store has changed since then. */
static void test_what_oxenstored_writes_now_and_then(void **state)
{
	static const char rotated[] = "$xenstored-dump-format\nglobal,-1\nstore,2f,6e30,\n";

	(void)state;
	leave(db, rotated, sizeof(rotated) - 1, 1);
	assert_none(true, NONE);
	assert_none(false, NONE);
	leave_c(100);
	assert_taken(true, golden_c, sizeof(golden_c), 100);
}

static void test_one_that_was_killed_while_it_wrote(void **state)
{
	static char cut[PAGE + 16] = BEGIN;
	size_t len = strlen(cut);

	(void)state;
	/* by chance a line ends there; also in the middle of a value, which would be another one */
	memset(cut + len, '3', PAGE - len - 1);
	cut[PAGE - 1] = '\n';
	leave(db, cut, PAGE, 0);
	assert_none(true, -EBADMSG, "the state that oxenstored has left may be cut off");
	cut[PAGE - 1] = '3';
	leave(db, cut, PAGE, 0);
	assert_none(true, -EBADMSG, "the state that oxenstored has left may be cut off");
	/* it has executed us, so it had written all */
	cut[PAGE - 1] = '\n';
	leave(db, cut, PAGE, 0);
	assert_taken(false, cut, PAGE, 0);
	leave(state_dump, golden_c, sizeof(golden_c) - 8, 0);
	unlink(db);
	assert_none(true, -EBADMSG,
		    "the state that was left: record 14: the stream ends without END");
}

/* Nobody else can pass something off as it. */
static void test_what_is_no_file_of_ours(void **state)
{
	(void)state;
	leave_c(1);
	assert_int_equal(rename(state_dump, db),
			 0); /* and under a wrong name it is not looked for */
	assert_int_equal(symlink("db", state_dump), 0);
	assert_none(true, NONE);
	unlink(state_dump);
	assert_int_equal(mkfifo(state_dump, 0600), 0);
	assert_none(true, NONE);
	left_clear();
}

/* --- what goes back */

static void hold(struct left_held *held, enum rings_flavour flavour)
{
	struct reason reason = { "" };

	assert_int_equal(left_hold(held, flavour, &reason), 0);
}

static void test_of_its_kind(void **state)
{
	struct left_held held;
	struct reason reason = { "" };

	(void)state;
	leave_c(1);
	assert_int_equal(left_hold(&held, RINGS_FLAVOUR_OCAML, &reason), -ENOENT);
	assert_string_equal(reason.text, "no xenstored has left a state");
	leave_ox(100); /* older than the other's, as clocks may have it */
	hold(&held, RINGS_FLAVOUR_OCAML);
	assert_string_equal(held.name, db);
	assert_in_range(held.age, 100, 102);
	close(held.memfd);
	hold(&held, RINGS_FLAVOUR_C);
	assert_string_equal(held.name, state_dump);
	close(held.memfd);
}

static void assert_back(const struct left_held *held)
{
	char got[2 * PAGE], new_name[sizeof(db) + 4];
	struct reason reason = { "" };
	struct stat st;
	int fd;

	assert_int_equal(left_put_back(held, &reason), 0);
	fd = open(db, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, sizeof(got)), GOLDEN_OX_LEN);
	assert_memory_equal(got, golden_ox, GOLDEN_OX_LEN);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_mtim.tv_sec, held->written.tv_sec);
	assert_int_equal(st.st_mtim.tv_nsec, held->written.tv_nsec);
	close(fd);
	snprintf(new_name, sizeof(new_name), "%s.new", db);
	assert_int_equal(access(new_name, F_OK), -1);
}

static ino_t inode(void)
{
	struct stat st;

	assert_int_equal(stat(db, &st), 0);
	return st.st_ino;
}

static void test_it_is_put_back(void **state)
{
	static char changed[GOLDEN_OX_LEN + 1];
	struct left_held held;
	ino_t before;

	(void)state;
	leave_ox(100);
	assert_int_equal(chmod(db, 0640), 0);
	hold(&held, RINGS_FLAVOUR_OCAML);
	before = inode();
	assert_back(&held);
	assert_int_equal(inode(), before); /* as long as it is there nobody touches it */
	unlink(db);
	assert_back(&held);
	leave(db, golden_ox, GOLDEN_OX_LEN - 1, 5);
	assert_back(&held);
	memcpy(changed, golden_ox, GOLDEN_OX_LEN);
	leave(db, changed, sizeof(changed), 5); /* an octet more */
	assert_back(&held);
	changed[GOLDEN_OX_LEN - 1] ^= 1;
	leave(db, changed, GOLDEN_OX_LEN, 5);
	assert_back(&held);
	unlink(db);
	assert_int_equal(symlink("state_dump", db), 0);
	leave_ox(100); /* through it */
	assert_back(&held);
	close(held.memfd);
}

static void test_it_cannot_be_put_back(void **state)
{
	char want[sizeof(db) + 64];
	struct left_held held;
	struct reason reason = { "" };

	(void)state;
	leave_ox(1);
	hold(&held, RINGS_FLAVOUR_OCAML);
	unlink(db);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(left_put_back(&held, &reason), -ENOENT);
	snprintf(want, sizeof(want), "cannot put %s back: No such file or directory", db);
	assert_string_equal(reason.text, want);
	assert_int_equal(mkdir(dir, 0700), 0);
	close(held.memfd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_newest),
		TEST(test_what_was_given_is_nothing_left),
		TEST(test_a_gift_that_is_not_given),
		TEST(test_where),
		TEST(test_clear),
		TEST(test_what_oxenstored_writes_now_and_then),
		TEST(test_one_that_was_killed_while_it_wrote),
		TEST(test_what_is_no_file_of_ours),
		TEST(test_of_its_kind),
		TEST(test_it_is_put_back),
		TEST(test_it_cannot_be_put_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
