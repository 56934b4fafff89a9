/* SPDX-License-Identifier: MIT */
/* watchlog_bed - single steps of a log of watches, each in a commit of its own. */
#ifndef XSPROXY_TESTS_UNIT_WATCHLOG_BED_H
#define XSPROXY_TESTS_UNIT_WATCHLOG_BED_H

#include <errno.h>

#include "tests/unit/bed.h"

#include "proxy/session/watchlog.h"

static inline uint32_t append(struct bed *bed, struct watchlog *log, const void *text, uint32_t len)
{
	struct commit commit;
	uint32_t pos;

	commit_begin(&commit, &bed->place);
	pos = watchlog_append(log, &commit, text, len, 0, 0);
	commit_end(&commit);
	return pos;
}

static inline void set_live(struct bed *bed, struct watchlog *log, uint32_t pos, bool live)
{
	struct commit commit;

	commit_begin(&commit, &bed->place);
	commit_set(&commit, &watchlog_at(log, pos)->live, live ? word_get(&bed->ledger->epoch) : 0);
	commit_end(&commit);
}

/* To the end. Return: what the last call said. */
static inline int tidy(struct bed *bed, struct watchlog *log, watchlog_moved *moved, void *arg)
{
	int err;

	for (uint32_t n = 0; (err = watchlog_tidy(log, &bed->place, moved, arg)) == -EAGAIN; n++)
		assert_true(n < 1000);
	return err;
}

static inline void undo(struct bed *bed, struct watchlog *log, uint32_t pos)
{
	struct commit commit;

	commit_begin(&commit, &bed->place);
	watchlog_undo(log, &commit, pos);
	commit_end(&commit);
}

#endif
