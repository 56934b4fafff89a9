// SPDX-License-Identifier: MIT
/*
 * watchlog_tidy - puts the live records of the watch log together, so that the extents of dead ones
 * go back to the pool. Called by watch.c at the end of a turn. A few segments at a time, each run
 * of them in one commit: whenever the process dies, all live records are there, once.
 */
#include <errno.h>
#include <string.h>

#include "proxy/session/pending.h"
#include "proxy/session/watchlog_segment.h"

/* How many segments watchlog_tidy() looks at in one go. */
#define TIDY_SEGMENTS 32

/* Neighbouring segments whose live records fit into one page, or of the last one some. */
struct run {
	uint32_t first, last;
	uint32_t cut;	/* where in the last one those that do not fit begin; 0: all fit */
	uint32_t pages; /* extents that are no longer needed then */
	uint32_t live;	/* octets of those that fit */
	uint32_t all;	/* octets of all records of the segments that are no longer needed */
};

/* EACH_RECORD() - run the statement for each record of a segment, its offset in @off. */
// NOLINTBEGIN(bugprone-macro-parentheses): @off is declared here
#define EACH_RECORD(log, segment, off)                                            \
	for (uint32_t off = sizeof(struct segment); is_record(log, segment, off); \
	     off += watchlog_size(log, POS(segment, off)))
// NOLINTEND(bugprone-macro-parentheses)

static bool is_live(const struct watchlog *log, const struct watch_record *record)
{
	return word_get(&record->live) == word_get(&log->ledger->epoch);
}

/* Whether a request under way refers to a record of this segment. */
static bool is_pinned(const struct watchlog *log, uint32_t segment)
{
	PENDING_EACH(log->ledger, slot)
	{
		const struct ledger_pending *pending = &log->ledger->pending[slot];

		if (pending_is_intent(pending) && POS_SEGMENT(pending->ref) == segment)
			return true;
	}
	return false;
}

/* Have @run take in one more segment, or as much as fits. Return: whether all of it did. */
static bool run_extend(const struct watchlog *log, struct run *run, uint32_t segment)
{
	struct run longer = *run;

	longer.last = segment;
	longer.pages += segment != 0;
	EACH_RECORD(log, segment, off)
	{
		const struct watch_record *record = watchlog_at(log, POS(segment, off));
		uint32_t size = record_size(record->len);

		longer.all += size;
		if (!is_live(log, record))
			continue;
		longer.live += size;
		if (sizeof(struct segment) + longer.live <= POOL_PAGE)
			continue;
		if (longer.live - size == run->live)
			return false;
		run->last = segment;
		run->cut = off;
		run->live = longer.live - size;
		return false;
	}
	*run = longer;
	return true;
}

/* The longest run from @first on; counts the segments that it looks at in @seen. */
static struct run run_from(const struct watchlog *log, uint32_t first, uint32_t *seen)
{
	struct run run = { .first = first, .last = first };
	uint32_t segment = first, last = last_segment(log);

	do {
		++*seen;
		if (is_pinned(log, segment) || !run_extend(log, &run, segment) || segment == last)
			break;
		segment = word_get(segment_next(log, segment));
	} while (*seen < TIDY_SEGMENTS);
	return run;
}

/* Copy the live records of a run behind each other into @target. Return: where they end. */
static uint32_t copy_live(struct watchlog *log, const struct run *run, uint32_t target,
			  watchlog_moved *moved, void *arg)
{
	uint32_t at = sizeof(struct segment);

	for (uint32_t segment = run->first;; segment = word_get(segment_next(log, segment))) {
		EACH_RECORD(log, segment, off)
		{
			const struct watch_record *record = watchlog_at(log, POS(segment, off));
			uint32_t size = record_size(record->len);

			if (segment == run->last && off == run->cut)
				break;
			if (!is_live(log, record))
				continue;
			memcpy(watchlog_at(log, POS(target, at)), record, size);
			moved(arg, POS(segment, off), POS(target, at));
			at += size;
		}
		if (segment == run->last)
			return at;
	}
}

/* Have @commit make one dead record of all before @cut in a segment. */
static void cover(struct watchlog *log, struct commit *commit, uint32_t segment, uint32_t cut)
{
	struct watch_record *record = watchlog_at(log, POS(segment, sizeof(struct segment)));
	struct watch_record one = { .len = (uint16_t)(cut - sizeof(struct segment) -
						      sizeof(*record)) };

	commit_set(commit, &record->live, 0);
	commit_set(commit, &record->shape, word_get(&one.shape));
}

/* Give back the segments of a run that are no longer needed. */
static void release_run(struct watchlog *log, const struct run *run)
{
	for (uint32_t segment = run->first;;) {
		uint32_t next = segment == run->last ? 0 : word_get(segment_next(log, segment));

		if (segment == run->last && run->cut)
			return;
		segment_release(log, segment);
		if (segment == run->last)
			return;
		segment = next;
	}
}

/*
 * Put @target, an unused segment, in the place of a run: @link is the word that names the run's
 * first segment. Without live records nothing is put there, but where the log ends.
 */
static void replace(struct watchlog *log, const struct ledger_place *place, const struct run *run,
		    ledger_word *link, uint32_t target, watchlog_moved *moved, void *arg)
{
	bool at_end = !run->cut && run->last == last_segment(log);
	uint32_t next = run->last;
	struct commit commit;

	if (!run->cut && !at_end)
		next = word_get(segment_next(log, run->last));
	commit_begin(&commit, place);
	if (run->live || at_end) {
		uint32_t end = copy_live(log, run, target, moved, arg);

		commit_set(&commit, link, target);
		if (at_end)
			commit_set(&commit, &log->ledger->log_tail, POS(target, end));
		else
			end_segment(log, POS(target, end), next);
	} else {
		commit_set(&commit, link, next);
	}
	if (run->cut)
		cover(log, &commit, run->last, run->cut);
	commit_end(&commit);
	log->used -= run->all - run->live;
	release_run(log, run);
}

bool watchlog_home(struct watchlog *log, const struct ledger_place *place, uint32_t live,
		   watchlog_moved *moved, void *arg)
{
	struct run run = { .first = first_segment(log),
			   .last = last_segment(log),
			   .live = live,
			   .all = log->used };

	if (sizeof(struct segment) + live > LEDGER_LOG_INLINE || (live && !run.first))
		return false;
	replace(log, place, &run, &log->ledger->log_first, 0, moved, arg);
	log->at_start = true;
	return true;
}

/* Return: whether that was all. */
static bool go_on_behind(struct watchlog *log, uint32_t segment)
{
	log->behind = segment;
	log->at_start = segment == last_segment(log);
	return log->at_start;
}

/*
 * Put a run together if that gives an extent back at once.
 * Return: 1 when it was the last, 0, or -ENOMEM.
 */
static int tidy_run(struct watchlog *log, const struct ledger_place *place, const struct run *run,
		    watchlog_moved *moved, void *arg)
{
	ledger_word *link =
		log->at_start ? &log->ledger->log_first : segment_next(log, log->behind);
	bool at_end = !run->cut && run->last == last_segment(log);
	uint32_t target = 0;

	if (!run->pages || (run->first == run->last && (run->live || at_end)))
		return go_on_behind(log, run->first);
	/* Vital, as it is but for a moment. */
	if (run->live || at_end) {
		target = account_alloc_vital(log->account);
		if (!target)
			return -ENOMEM;
		log->pages++;
	}
	replace(log, place, run, link, target, moved, arg);
	/* Unless it might take in more. */
	return run->cut || at_end ? go_on_behind(log, target) : 0;
}

int watchlog_tidy(struct watchlog *log, const struct ledger_place *place, watchlog_moved *moved,
		  void *arg)
{
	for (uint32_t seen = 0; seen < TIDY_SEGMENTS;) {
		uint32_t from = log->at_start ? first_segment(log)
					      : word_get(segment_next(log, log->behind));
		struct run run = run_from(log, from, &seen);
		int ret = tidy_run(log, place, &run, moved, arg);

		if (ret < 0)
			log->at_start = true;
		if (ret)
			return ret < 0 ? ret : 0;
	}
	return -EAGAIN;
}

void watchlog_bury(struct watchlog *log)
{
	for (uint32_t pos = watchlog_next(log, 0); pos; pos = watchlog_next(log, pos)) {
		struct watch_record *record = watchlog_at(log, pos);

		if (!is_live(log, record))
			atomic_store_explicit(&record->live, 0, memory_order_relaxed);
	}
}
