// SPDX-License-Identifier: MIT
#include "proxy/notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

static void send_status(const struct notify *notify)
{
	const char *between = *notify->doing && *notify->wrong ? "; " : "";
	const char *label = *notify->wrong ? "wrong configuration: " : "";

	sd_notifyf(0, "STATUS=%s%s%s%s", notify->doing, between, label, notify->wrong);
}

void notify_doing(struct notify *notify, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(notify->doing, sizeof(notify->doing), fmt, args);
	va_end(args);
	send_status(notify);
}

void notify_wrong(struct notify *notify, const char *what)
{
	snprintf(notify->wrong, sizeof(notify->wrong), "%s", what ? what : "");
	send_status(notify);
}
