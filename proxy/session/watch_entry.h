/* SPDX-License-Identifier: MIT */
/*
 * watch_entry - a place in the table of a connection's watches; for watch.c, which changes them,
 * watch_anew.c, which has them registered anew, and watch_list.c, which looks at them.
 */
#ifndef XSPROXY_PROXY_SESSION_WATCH_ENTRY_H
#define XSPROXY_PROXY_SESSION_WATCH_ENTRY_H

#include <stdbool.h>

#include "protocol/table.h"

/* Exists while confirmed or while an intent refers to it. */
struct watch {
	UT_hash_handle hh;
	struct watch *prev, *next; /* in order of registration; only while confirmed */
	uint32_t pos;		   /* the live record, or 0 */
	uint32_t order;		   /* of registration */
	uint32_t intents;
	bool first; /* it was registered anew, and its first event is still to come */
	char key[];
};

struct commit;
struct watches;

/** watch_find() - the entry of "path NUL token NUL...", or NULL. */
struct watch *watch_find(const struct watches *set, const char *text);

/** watch_unlist() - it is confirmed no more: its record dies with @commit. */
void watch_unlist(struct watches *set, struct commit *commit, struct watch *watch);

/** watch_put() - free an entry that nothing refers to. */
void watch_put(struct watches *set, struct watch *watch);

/** watches_changed() - have @commit count a change of the list. */
void watches_changed(struct watches *set, struct commit *commit);

#endif
