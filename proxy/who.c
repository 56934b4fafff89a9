// SPDX-License-Identifier: MIT
#include "proxy/who.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/clock.h"
#include "proxy/log.h"

/* A process may give itself any name; here it is one line of text. */
static void read_comm(struct who *who)
{
	char path[32];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", who->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	len = read(fd, who->comm, sizeof(who->comm) - 1);
	close(fd);
	if (len < 0)
		len = 0;
	who->comm[len] = '\0';
	who->comm[strcspn(who->comm, "\n")] = '\0';
	for (char *c = who->comm; *c; c++)
		if (!isascii(*c) || !isprint(*c))
			*c = '?';
}

void who_peer(int fd, struct who *who)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	*who = (struct who){ 0 };
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return;
	who->uid = cred.uid;
	who->pid = cred.pid;
	if (who->pid)
		read_comm(who);
}

const char *who_text(const struct who *who, char *text)
{
	if (who->pid)
		snprintf(text, WHO_TEXT_MAX, "%s (pid %d, uid %u)", *who->comm ? who->comm : "?",
			 who->pid, who->uid);
	else
		snprintf(text, WHO_TEXT_MAX, "%s", *who->comm ? who->comm : "somebody");
	return text;
}

void who_log(uint32_t domid, const char *request, const struct who *who, const char *fmt, ...)
{
	char text[WHO_TEXT_MAX], what[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	log_domain(LOG_NOTICE, domid, "%s by %s: %s", request, who_text(who, text), what);
}

struct stand stand_now(const struct who *by)
{
	return (struct stand){ .since = clock_ns(CLOCK_REALTIME), .by = *by };
}
