// SPDX-License-Identifier: MIT
#include "proxy/session/who.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "protocol/clock.h"
#include "proxy/log.h"

#define COMMAND_LINE_MAX 512

/*
 * A file of the process, as far as there is room, NUL-terminated. Return: its length, 0 for none.
 */
static size_t read_file(const struct who *who, const char *name, char *octets, size_t size)
{
	char path[32];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", who->pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, octets, size - 1);
	if (fd >= 0)
		close(fd);
	if (len < 0)
		len = 0;
	octets[len] = '\0';
	return (size_t)len;
}

/* A process may give itself any name; here it is one line of text. */
static void read_comm(struct who *who)
{
	read_file(who, "comm", who->comm, sizeof(who->comm));
	who->comm[strcspn(who->comm, "\n")] = '\0';
	for (char *c = who->comm; *c; c++)
		if (!isascii(*c) || !isprint(*c))
			*c = '?';
}

/* What our own tool does that takes more than one request. */
static void read_verb(struct who *who)
{
	char line[COMMAND_LINE_MAX];
	size_t len = read_file(who, "cmdline", line, sizeof(line));

	for (const char *word = line; word < line + len; word += strlen(word) + 1)
		if (!strcmp(word, "export") || !strcmp(word, "import"))
			strcpy(who->verb, word);
}

bool who_peer(int fd, struct who *who)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	*who = (struct who){ 0 };
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return false;
	who->uid = cred.uid;
	who->pid = cred.pid;
	if (who->pid)
		read_comm(who);
	if (!strcmp(who->comm, "xsproxyctl"))
		read_verb(who);
	return true;
}

const char *who_text(const struct who *who, char *text)
{
	if (who->pid)
		snprintf(text, WHO_TEXT_MAX, "%s%s%s (pid %d, uid %u)",
			 *who->comm ? who->comm : "?", *who->verb ? " " : "", who->verb, who->pid,
			 who->uid);
	else if (who->uid) /* of another pid namespace */
		snprintf(text, WHO_TEXT_MAX, "somebody (uid %u)", who->uid);
	else
		snprintf(text, WHO_TEXT_MAX, "%s", *who->comm ? who->comm : "somebody");
	return text;
}

struct who who_kept(const struct who *noted)
{
	struct who who = *noted;

	who.comm[sizeof(who.comm) - 1] = 0;
	who.verb[sizeof(who.verb) - 1] = 0;
	return who;
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
