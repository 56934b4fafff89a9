// SPDX-License-Identifier: MIT
/*
 * test_say - the bridge's lines: whole, in the form that syslog(3) has, lost and counted where
 * nobody reads. No case could end if a line waited (the alarm ends the program).
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/say.h"

#define DEADLINE 20
#define LINES	 20000

static struct say say;
static struct sockaddr_un address;
static char dir[] = "/tmp/test_say.XXXXXX";
static char got[4096];

static int setup(void **state)
{
	(void)state;
	alarm(DEADLINE);
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	assert_non_null(mkdtemp(dir));
	address.sun_family = AF_UNIX;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/log", dir);
	say = (struct say){ .log = address.sun_path, .err = -1 };
	say_prepare();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	alarm(0);
	unlink(address.sun_path);
	return rmdir(dir);
}

static int log_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* What can be read at once, as a string, or NULL. */
static const char *take(int fd)
{
	ssize_t len = read(fd, got, sizeof(got) - 1);

	if (len < 0)
		return NULL;
	got[len] = '\0';
	return got;
}

/* Says lines until one does not go. */
static void fill(const unsigned int *lost)
{
	for (int i = 0; i < LINES && !*lost; i++)
		say_line(&say, LOG_ERR, "one of many");
	assert_int_equal(*lost, 1);
}

static void test_log(void **state)
{
	int fd = log_socket(), pid;
	char name[65], stamp[20], rest[100];
	unsigned int priority;

	(void)state;
	errno = ENOTTY;
	say_line(&say, LOG_ERR, "d7: \xff %s");
	assert_int_equal(errno, ENOTTY);
	assert_non_null(take(fd));
	assert_int_equal(
		sscanf(got, "<%u>%15c %64[^[][%d]: %99[^\n]", &priority, stamp, name, &pid, rest),
		5);
	assert_int_equal(priority, LOG_DAEMON | LOG_ERR);
	assert_string_equal(name, "test_say");
	assert_int_equal(pid, getpid());
	assert_string_equal(rest, "xsproxy-bridge: d7: \xff %s");
	assert_true(stamp[3] == ' ' && stamp[6] == ' ' && stamp[9] == ':' && stamp[12] == ':');
	assert_null(take(fd));
	close(fd);
}

static void test_log_is_full(void **state)
{
	int fd = log_socket();

	(void)state;
	fill(&say.lost_log);
	say_line(&say, LOG_ERR, "another");
	assert_int_equal(say.lost_log, 2);
	while (take(fd))
		assert_null(strstr(got, "lost"));
	say_line(&say, LOG_ERR, "at last");
	assert_non_null(take(fd));
	assert_non_null(strstr(got, ": xsproxy-bridge: (2 lost before this one) at last"));
	say_line(&say, LOG_ERR, "on");
	assert_non_null(take(fd));
	assert_non_null(strstr(got, ": xsproxy-bridge: on"));
	close(fd);
}

/* Nobody there, then one of another kind, then somebody. */
static void test_log_comes_and_goes(void **state)
{
	int fd;

	(void)state;
	say_line(&say, LOG_ERR, "nobody");
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	say_line(&say, LOG_ERR, "a stream");
	close(fd);
	say_line(&say, LOG_ERR, "a dead one");
	assert_int_equal(say.lost_log, 3);
	unlink(address.sun_path);
	fd = log_socket();
	say_line(&say, LOG_ERR, "there");
	assert_non_null(take(fd));
	assert_non_null(strstr(got, "(3 lost before this one) there"));
	close(fd);
}

static void test_long_line(void **state)
{
	char text[2000];
	int fd = log_socket(), out[2];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(pipe2(out, O_NONBLOCK), 0);
	say.err = out[1];
	say.lost_log = say.lost_err = UINT32_MAX;
	say_line(&say, LOG_ERR, text);
	assert_non_null(take(fd));
	assert_true(strlen(got) > 600 && strlen(got) < 1000);
	assert_non_null(take(out[0]));
	assert_true(strlen(got) > 600 && strlen(got) < 1000);
	assert_int_equal(got[strlen(got) - 1], '\n');
	close(out[0]);
	close(out[1]);
	close(fd);
}

/* --- standard error */

/* @in: where what was said can be read, without waiting */
static void check_fills_up(int in)
{
	int flags = fcntl(say.err, F_GETFL);
	const char *at = NULL;

	fill(&say.lost_err);
	say_line(&say, LOG_ERR, "another");
	assert_int_equal(fcntl(say.err, F_GETFL), flags);
	assert_false(flags & O_NONBLOCK);
	for (int i = 0; i < LINES && take(in); i++)
		assert_null(strstr(got, "lost"));
	say_line(&say, LOG_ERR, "at last");
	assert_int_equal(say.lost_err, 0);
	if (take(in))
		at = strstr(got, "xsproxy-bridge: (2 lost before this one) at last");
	assert_non_null(at);
	close(in);
	close(say.err);
}

static void test_pipe(void **state)
{
	int out[2];

	(void)state;
	assert_int_equal(pipe(out), 0);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	say.err = out[1];
	check_fills_up(out[0]);
}

static void test_stream(void **state)
{
	int out[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, out), 0);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	say.err = out[1];
	check_fills_up(out[0]);
}

static void test_terminal(void **state)
{
	int pty = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);

	(void)state;
	assert_int_equal(grantpt(pty), 0);
	assert_int_equal(unlockpt(pty), 0);
	say.err = open(ptsname(pty), O_WRONLY | O_NOCTTY);
	assert_true(say.err >= 0);
	say_line(&say, LOG_ERR, "before");
	assert_non_null(take(pty));
	assert_string_equal(got, "xsproxy-bridge: before\r\n");
	/* As with Ctrl-S. */
	assert_int_equal(tcflow(say.err, TCOOFF), 0);
	say_line(&say, LOG_ERR, "meanwhile");
	assert_int_equal(say.lost_err, 1);
	assert_int_equal(tcflow(say.err, TCOON), 0);
	say_line(&say, LOG_ERR, "after");
	assert_non_null(take(pty));
	assert_string_equal(got, "xsproxy-bridge: (1 lost before this one) after\r\n");
	close(say.err);
	close(pty);
}

/* Two descriptors share a position in the file, as with those that a process inherits. */
static void test_file(void **state)
{
	char path[100];
	int other;

	(void)state;
	snprintf(path, sizeof(path), "%s/file", dir);
	say.err = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	other = dup(say.err);
	assert_int_equal(write(other, "one\n", 4), 4);
	say_line(&say, LOG_ERR, "two");
	assert_int_equal(write(other, "three\n", 6), 6);
	lseek(other, 0, SEEK_SET);
	assert_non_null(take(other));
	assert_string_equal(got, "one\nxsproxy-bridge: two\nthree\n");
	close(other);
	close(say.err);
	unlink(path);
}

static void test_nothing_there(void **state)
{
	int out[2];

	(void)state;
	say.err = open("/dev/null", O_WRONLY);
	say_line(&say, LOG_ERR, "gone");
	assert_int_equal(say.lost_err, 0);
	close(say.err);
	say_line(&say, LOG_ERR, "closed");
	assert_int_equal(say.lost_err, 1);

	/* Without a signal, which would end the program. */
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(pipe(out), 0);
	close(out[0]);
	say.err = out[1];
	say_line(&say, LOG_ERR, "no reader");
	close(out[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, out), 0);
	close(out[0]);
	say.err = out[1];
	say_line(&say, LOG_ERR, "no peer");
	assert_int_equal(say.lost_err, 3);
	close(out[1]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_log),	      CASE(test_log_is_full), CASE(test_log_comes_and_goes),
		CASE(test_long_line), CASE(test_pipe),	      CASE(test_stream),
		CASE(test_terminal),  CASE(test_file),	      CASE(test_nothing_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
