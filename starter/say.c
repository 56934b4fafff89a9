// SPDX-License-Identifier: MIT
/*
 * say - see say.h.
 */
#include "starter/say.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define LOG_SOCKET "/dev/log"
#define LINE_MAX   1024

static void say_to_log(const char *text)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX, .sun_path = LOG_SOCKET };
	char line[LINE_MAX + sizeof("<000>")];
	int len = snprintf(line, sizeof(line), "<%d>%s", LOG_DAEMON | LOG_ERR, text);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	sendto(fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&un,
	       sizeof(un));
	close(fd);
}

void starter_say(const char *format, ...)
{
	char text[LINE_MAX] = "xsproxy: ";
	size_t len = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + len, sizeof(text) - len, format, args);
	va_end(args);
	fprintf(stderr, "%s\n", text);
	say_to_log(text);
}
