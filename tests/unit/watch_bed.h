/* SPDX-License-Identifier: MIT */
/* watch_bed - WATCH and UNWATCH as up.c sends and down.c answers them, over a ledger. */
#ifndef XSPROXY_TESTS_UNIT_WATCH_BED_H
#define XSPROXY_TESTS_UNIT_WATCH_BED_H

#include <stdio.h>

#include "tests/unit/bed.h"

#include "protocol/message.h"
#include "proxy/session/pending.h"
#include "proxy/session/watch.h"

static inline int intend(struct watches *set, struct commit *commit, uint32_t type,
			 const void *payload, uint32_t len, uint32_t *pos)
{
	return type == XS_WATCH ? watch_intend(set, commit, payload, len, 0, pos)
				: watch_intend_removal(set, commit, payload, len, pos);
}

/* A request as up.c sends it. Return: its slot. */
static inline int ask(struct bed *bed, struct watches *set, uint32_t type, const void *payload,
		      uint32_t len)
{
	static uint32_t seq = 1;
	struct xsd_sockmsg hdr = { .type = type, .len = len };
	int slot = pending_slot(bed->ledger);
	struct ledger_pending *pending =
		pending_fill(bed->ledger, slot, &seq, &hdr, PENDING_FORWARD);
	struct commit commit;

	commit_begin(&commit, &bed->place);
	assert_int_equal(intend(set, &commit, type, payload, len, &pending->ref), 0);
	pending_take(bed->ledger, &commit, slot);
	commit_end(&commit);
	return slot;
}

/* A reply as down.c takes it. */
static inline void answer(struct bed *bed, struct watches *set, int slot, bool ok)
{
	const struct ledger_pending *pending = &bed->ledger->pending[slot];
	struct commit commit;

	commit_begin(&commit, &bed->place);
	if (!pending->ref)
		assert_int_equal(pending->type, XS_UNWATCH);
	else if (!ok)
		watch_refused(set, &commit, pending->ref);
	else if (pending->type == XS_WATCH)
		watch_added(set, &commit, pending->ref);
	else
		watch_removed(set, &commit, pending->ref);
	pending_drop(bed->ledger, &commit, slot);
	commit_end(&commit);
}

/* "path NUL token NUL" */
static inline uint32_t make(char *to, const char *path, const char *token)
{
	uint32_t n = (uint32_t)sprintf(to, "%s", path) + 1;

	return n + (uint32_t)sprintf(to + n, "%s", token) + 1;
}

static inline int ask_pair(struct bed *bed, struct watches *set, uint32_t type, const char *path,
			   const char *token)
{
	char payload[256];

	return ask(bed, set, type, payload, make(payload, path, token));
}

static inline void do_pair(struct bed *bed, struct watches *set, uint32_t type, const char *path,
			   const char *token)
{
	answer(bed, set, ask_pair(bed, set, type, path, token), true);
}

static inline void watch(struct bed *bed, struct watches *set, const char *path, const char *token)
{
	do_pair(bed, set, XS_WATCH, path, token);
}

static inline void unwatch(struct bed *bed, struct watches *set, const char *path,
			   const char *token)
{
	do_pair(bed, set, XS_UNWATCH, path, token);
}

/* The list as "path token;path token;" */
static inline void assert_list(struct watches *set, const char *all)
{
	char seen[500] = "";
	uint32_t n = 0;

	for (const struct watch *w = watches_from(set, 0); w; w = watch_next(w), n++) {
		uint32_t len;
		const char *text = watch_text(set, w, &len);

		assert_int_equal(len, strlen(text) + strlen(text + strlen(text) + 1) + 2);
		sprintf(seen + strlen(seen), "%s %s;", text, text + strlen(text) + 1);
	}
	assert_string_equal(seen, all);
	assert_int_equal(set->count, n);
}

static inline void init(struct bed *bed, struct watches *set)
{
	watches_init(set, bed->ledger, &bed->account, BED_DOMID);
}

#endif
