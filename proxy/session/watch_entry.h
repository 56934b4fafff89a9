/* SPDX-License-Identifier: MIT */
/*
 * watch_entry - a place in the table of a connection's watches; for watch.c, which changes them,
 * and watch_list.c, which looks at them.
 */
#ifndef XSPROXY_PROXY_SESSION_WATCH_ENTRY_H
#define XSPROXY_PROXY_SESSION_WATCH_ENTRY_H

#include "protocol/table.h"

/* Exists while confirmed or while an intent refers to it. */
struct watch {
	UT_hash_handle hh;
	struct watch *prev, *next; /* in order of registration; only while confirmed */
	uint32_t pos;		   /* the live record, or 0 */
	uint32_t order;		   /* of registration */
	uint32_t intents;
	char key[];
};

#endif
