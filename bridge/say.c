// SPDX-License-Identifier: MIT
/*
 * say - see say.h. Called by bridge_log() alone, rarely, inside xenstored.
 *
 * Must never wait. What is left: standard error on a file waits as the disk does, which is so for
 * the daemon's own messages, too. Descriptors are opened for a line and closed: nothing is kept
 * that a daemon's fork could share, and a log that was started anew is found by itself.
 */
#include "bridge/say.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define SAY_MAX 768

_Static_assert(SAY_MAX <= PIPE_BUF, "a pipe takes a line whole or not at all");

void say_prepare(void)
{
	tzset();
}

/* --- the system's log */

/* "Nov  3 04:05:06"; neither daemon leaves the C locale. */
static void say_stamp(char *stamp, size_t size)
{
	time_t now = time(NULL);
	struct tm tm;

	if (!localtime_r(&now, &tm) || !strftime(stamp, size, "%b %e %T", &tm))
		stamp[0] = '\0';
}

/* A datagram is taken whole or not at all. */
static bool say_datagram(const char *path, const char *line, size_t len)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	ssize_t sent;
	int fd;

	if (strlen(path) >= sizeof(un.sun_path))
		return false;
	memcpy(un.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	sent = sendto(fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&un,
		      sizeof(un));
	close(fd);
	return sent == (ssize_t)len;
}

/* --- standard error */

/* write(2), without the signal of a pipe that nobody reads any more. */
static ssize_t say_write(int fd, const char *line, size_t len)
{
	static const struct timespec at_once = { 0, 0 };
	sigset_t pipe_signal, before, pending;
	ssize_t written;

	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
	written = write(fd, line, len);
	if (written < 0 && errno == EPIPE && !sigismember(&pending, SIGPIPE))
		sigtimedwait(&pipe_signal, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return written;
}

/*
 * O_NONBLOCK belongs to what all who inherited the descriptor share, so it cannot be set there; and
 * poll(2) says nothing of what others write between it and us. But /proc opens the same pipe or
 * terminal once more, for us alone.
 */
static bool say_again(int err, const char *line, size_t len)
{
	char path[32];
	ssize_t written;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", err);
	fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return false;
	written = say_write(fd, line, len);
	close(fd);
	return written > 0;
}

static bool say_error(int err, const char *line, size_t len)
{
	struct stat st;

	if (fstat(err, &st) < 0)
		return false;
	switch (st.st_mode & S_IFMT) {
	case S_IFSOCK: /* journald's, for a service */
		return send(err, line, len, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
	case S_IFREG: /* a second opening would have a position of its own */
		return say_write(err, line, len) > 0;
	case S_IFIFO:
	case S_IFCHR:
		return say_again(err, line, len);
	default:
		return false;
	}
}

/* --- both */

/* "xsproxy-bridge: text"; returns its length, below @size. */
static size_t say_body(char *body, size_t size, unsigned int lost, const char *text)
{
	int len;

	if (lost)
		len = snprintf(body, size, "xsproxy-bridge: (%u lost before this one) %s", lost,
			       text);
	else
		len = snprintf(body, size, "xsproxy-bridge: %s", text);
	return len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1;
}

static void say_to_log(struct say *say, int priority, const char *text)
{
	char line[SAY_MAX], stamp[32];
	int head;

	say_stamp(stamp, sizeof(stamp));
	head = snprintf(line, sizeof(line) / 4, "<%d>%s %.64s[%d]: ", LOG_DAEMON | priority, stamp,
			program_invocation_short_name, (int)getpid());
	if (head < 0)
		head = 0;
	if (say_datagram(say->log, line,
			 (size_t)head + say_body(line + head, sizeof(line) - (size_t)head,
						 say->lost_log, text)))
		say->lost_log = 0;
	else
		say->lost_log++;
}

static void say_to_error(struct say *say, const char *text)
{
	char line[SAY_MAX];
	size_t len = say_body(line, sizeof(line) - 1, say->lost_err, text);

	line[len++] = '\n';
	if (say_error(say->err, line, len))
		say->lost_err = 0;
	else
		say->lost_err++;
}

void say_line(struct say *say, int priority, const char *text)
{
	int saved = errno;

	say_to_error(say, text);
	say_to_log(say, priority, text);
	errno = saved;
}
