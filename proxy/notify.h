/* SPDX-License-Identifier: MIT */
/*
 * notify - the one line that `systemctl status` shows of us (STATUS=): what xsproxyd is doing, and
 * what is wrong for as long as it is.
 *
 * Called by whoever finds out, and by what else shows it (`status`, metrics). Must be the only one
 * that sends STATUS=, or one of the two would hide the other.
 */
#ifndef XSPROXY_PROXY_NOTIFY_H
#define XSPROXY_PROXY_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>

/* What can be wrong with the configuration, in the order in which it is said. */
enum notify_kind {
	NOTIFY_RUN_DIR, /* the one of the file could not be used */
	NOTIFY_SOCKET,	/* it could not be given its group and mode */
	NOTIFY_METRICS, /* nobody can listen there */
	NOTIFY_FILE,	/* lines of it */
	NOTIFY_WRONGS,
};

#define NOTIFY_TEXT_MAX 768
#define NOTIFY_ALL_MAX	((size_t)NOTIFY_WRONGS * (NOTIFY_TEXT_MAX + 2))

/* Part of struct daemon; all 0 at first. */
struct notify {
	char doing[NOTIFY_TEXT_MAX]; /* or "" */
	struct notify_text {
		char text[NOTIFY_TEXT_MAX]; /* or "" */
		bool holds;		    /* and it is not "" */
	} wrong[NOTIFY_WRONGS];
};

/** notify_doing() - say what xsproxyd is doing from now on. */
void notify_doing(struct notify *notify, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** notify_wrong() - say what is wrong in a way; NULL: no longer anything. */
void notify_wrong(struct notify *notify, enum notify_kind kind, const char *what);

/** notify_still() - whether what was said of this kind, if anything, still holds. */
void notify_still(struct notify *notify, enum notify_kind kind, bool holds);

/** notify_all_wrong() - all that is wrong, in @text. Return: @text, or NULL when nothing is. */
const char *notify_all_wrong(const struct notify *notify, char text[NOTIFY_ALL_MAX]);

#endif
