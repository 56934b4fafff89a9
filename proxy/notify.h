/* SPDX-License-Identifier: MIT */
/*
 * notify - the one line that `systemctl status` shows of us (STATUS=): what xsproxyd is doing, and
 * what is wrong for as long as it is.
 *
 * Called by upstream.c and settings.c. Must be the only one that sends STATUS=, or one of the two
 * would hide the other.
 */
#ifndef XSPROXY_PROXY_NOTIFY_H
#define XSPROXY_PROXY_NOTIFY_H

#define NOTIFY_TEXT_MAX 768

/* Part of struct daemon; all 0 at first. */
struct notify {
	char doing[NOTIFY_TEXT_MAX]; /* or "" */
	char wrong[NOTIFY_TEXT_MAX]; /* with the configuration; or "" */
};

/** notify_doing() - say what xsproxyd is doing from now on. */
void notify_doing(struct notify *notify, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** notify_wrong() - say what is wrong with the configuration; NULL: no longer anything. */
void notify_wrong(struct notify *notify, const char *what);

#endif
