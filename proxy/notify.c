// SPDX-License-Identifier: MIT
#include "proxy/notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

const char *notify_all_wrong(const struct notify *notify, char text[NOTIFY_ALL_MAX])
{
	size_t len = 0;

	*text = '\0';
	for (int i = 0; i < NOTIFY_WRONGS; i++)
		if (notify->wrong[i].holds)
			len += (size_t)snprintf(text + len, NOTIFY_ALL_MAX - len, "%s%s",
						len ? "; " : "", notify->wrong[i].text);
	return len ? text : NULL;
}

static void send_status(const struct notify *notify)
{
	char text[NOTIFY_ALL_MAX];
	const char *wrong = notify_all_wrong(notify, text);

	sd_notifyf(0, "STATUS=%s%s%s%s", notify->doing, *notify->doing && wrong ? "; " : "",
		   wrong ? "wrong configuration: " : "", text);
}

void notify_doing(struct notify *notify, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(notify->doing, sizeof(notify->doing), fmt, args);
	va_end(args);
	send_status(notify);
}

static void set_wrong(struct notify *notify, enum notify_kind kind, const char *text, bool holds)
{
	struct notify_text *wrong = &notify->wrong[kind];
	bool is_news = wrong->holds != holds || strcmp(wrong->text, text) != 0;

	if (text != wrong->text)
		snprintf(wrong->text, sizeof(wrong->text), "%s", text);
	wrong->holds = holds;
	if (is_news)
		send_status(notify);
}

void notify_wrong(struct notify *notify, enum notify_kind kind, const char *what)
{
	set_wrong(notify, kind, what ? what : "", what != NULL);
}

void notify_still(struct notify *notify, enum notify_kind kind, bool holds)
{
	set_wrong(notify, kind, notify->wrong[kind].text, holds && *notify->wrong[kind].text);
}
