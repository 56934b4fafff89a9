// SPDX-License-Identifier: MIT
#include "proxy/session/watchlog.h"

#include <errno.h>
#include <string.h>

#include "proxy/session/pending.h"

/*
 * A position is segment << POS_BITS | octet / GRAIN. Segment 0 is the ledger's own area, others are
 * extent numbers. Each begins with a struct segment.
 */
#define GRAIN		  16u
#define POS_BITS	  9
#define POS(segment, off) ((segment) << POS_BITS | (off) / GRAIN)
#define POS_SEGMENT(pos)  ((pos) >> POS_BITS)
#define POS_OFF(pos)	  (((pos) & ((1u << POS_BITS) - 1)) * GRAIN)

/* How many segments watchlog_tidy() looks at in one go. */
#define TIDY_SEGMENTS 32

struct segment {
	ledger_word next; /* written before the tail leaves this segment */
	uint32_t reserved[3];
};

_Static_assert(sizeof(struct segment) == GRAIN && sizeof(struct watch_record) == GRAIN,
	       "records start at multiples of the grain");

static uint8_t *segment_base(const struct watchlog *log, uint32_t segment)
{
	return segment ? account_page(log->account, segment) : log->ledger->log;
}

/* The word that names the segment behind @segment. */
static ledger_word *segment_next(const struct watchlog *log, uint32_t segment)
{
	return &((struct segment *)segment_base(log, segment))->next;
}

static uint32_t first_segment(const struct watchlog *log)
{
	return word_get(&log->ledger->log_first);
}

static uint32_t last_segment(const struct watchlog *log)
{
	return POS_SEGMENT(word_get(&log->ledger->log_tail));
}

static uint32_t segment_size(uint32_t segment)
{
	return segment ? POOL_PAGE : LEDGER_LOG_INLINE;
}

static uint32_t record_size(uint32_t len)
{
	return (uint32_t)(sizeof(struct watch_record) + len + GRAIN - 1) & ~(GRAIN - 1);
}

void watchlog_init(struct watchlog *log, struct ledger *ledger, struct account *account)
{
	log->ledger = ledger;
	log->account = account;
	log->used = log->pages = 0;
	log->most = UINT32_MAX;
	log->at_start = true;
	if (!word_get(&ledger->log_tail)) {
		atomic_init(&ledger->log_first, 0);
		atomic_init(&ledger->log_tail, POS(0u, sizeof(struct segment)));
	}
}

struct watchlog_chain watchlog_reset(struct watchlog *log, struct commit *commit)
{
	struct watchlog_chain chain = { .first = first_segment(log), .last = last_segment(log) };

	commit_set(commit, &log->ledger->log_first, 0);
	commit_set(commit, &log->ledger->log_tail, POS(0u, sizeof(struct segment)));
	log->at_start = true;
	return chain;
}

/* Walk the chain of segments; @visit gives up by returning an error. */
static int each_segment(struct watchlog *log, int (*visit)(struct watchlog *log, uint32_t segment))
{
	uint32_t last = last_segment(log), segment = first_segment(log);

	for (uint32_t guard = 0; guard < LEDGERS_EXTENTS; guard++) {
		uint32_t next = 0;
		int err;

		if (segment >= LEDGERS_EXTENTS)
			return -EINVAL;
		if (segment != last)
			next = word_get(segment_next(log, segment));
		err = segment ? visit(log, segment) : 0;
		if (err || segment == last)
			return err;
		segment = next;
	}
	return -EINVAL;
}

static int segment_claim(struct watchlog *log, uint32_t segment)
{
	int err = account_claim(log->account, segment);

	log->pages += !err;
	return err;
}

/*
 * Whether the records of one segment end where they should: at @end, or where the segment says that
 * the log goes on in the next one.
 */
static bool segment_is_sane(const struct watchlog *log, uint32_t segment, uint32_t end, bool last)
{
	uint32_t off = sizeof(struct segment);

	while (off < end) {
		uint32_t len = watchlog_at(log, POS(segment, off))->len;

		if (!len)
			return !last;
		off += record_size(len);
	}
	return off == end;
}

/* All segments are claimed. */
static bool records_are_sane(const struct watchlog *log)
{
	uint32_t end = POS_OFF(word_get(&log->ledger->log_tail)), last = last_segment(log);
	uint32_t segment = first_segment(log);

	while (segment != last) {
		if (!segment_is_sane(log, segment, segment_size(segment), false))
			return false;
		segment = word_get(segment_next(log, segment));
	}
	return end >= sizeof(struct segment) && end <= segment_size(last) &&
	       segment_is_sane(log, last, end, true);
}

int watchlog_recover(struct watchlog *log)
{
	int err = each_segment(log, segment_claim);

	if (err)
		return err;
	if (!records_are_sane(log))
		return -EINVAL;
	for (uint32_t pos = watchlog_next(log, 0); pos; pos = watchlog_next(log, pos))
		log->used += record_size(watchlog_at(log, pos)->len);
	return 0;
}

static int segment_release(struct watchlog *log, uint32_t segment)
{
	account_release(log->account, segment);
	log->pages -= segment != 0;
	return 0;
}

void watchlog_release(struct watchlog *log, struct watchlog_chain chain)
{
	for (uint32_t segment = chain.first;;) {
		uint32_t next = segment == chain.last ? 0 : word_get(segment_next(log, segment));

		segment_release(log, segment);
		if (segment == chain.last)
			return;
		segment = next;
	}
}

void watchlog_fini(struct watchlog *log)
{
	each_segment(log, segment_release);
	log->used = 0;
}

struct watch_record *watchlog_at(const struct watchlog *log, uint32_t pos)
{
	uint32_t off = POS_OFF(pos);

	return (struct watch_record *)(segment_base(log, POS_SEGMENT(pos)) + off);
}

/* Have a segment end at @pos, and @next follow it. */
static void end_segment(struct watchlog *log, uint32_t pos, uint32_t next)
{
	if (POS_OFF(pos) < segment_size(POS_SEGMENT(pos)))
		watchlog_at(log, pos)->len = 0;
	atomic_store_explicit(segment_next(log, POS_SEGMENT(pos)), next, memory_order_relaxed);
}

/* Where a record of @size octets goes when the tail is at @tail; opens a new segment if need be. */
static uint32_t place_record(struct watchlog *log, uint32_t tail, uint32_t size)
{
	uint32_t segment = POS_SEGMENT(tail), off = POS_OFF(tail), next;

	if (off + size <= segment_size(segment))
		return tail;

	next = log->pages < log->most ? account_alloc(log->account) : 0;
	if (!next)
		return 0;
	log->pages++;
	/* Beyond the tail as long as the commit has not moved it into the new segment. */
	end_segment(log, tail, next);
	return POS(next, sizeof(struct segment));
}

uint32_t watchlog_append(struct watchlog *log, struct commit *commit, const void *text,
			 uint32_t len, uint32_t depth, uint32_t batch)
{
	struct watch_record head = { .batch = batch,
				     .len = (uint16_t)len,
				     .depth = (uint16_t)depth };
	uint32_t size = record_size(len), pos;
	struct watch_record *record;

	pos = place_record(log, word_get(&log->ledger->log_tail), size);
	if (!pos)
		return 0;
	record = watchlog_at(log, pos);
	memcpy(record, &head, sizeof(*record));
	memcpy(record->text, text, len);
	commit_set(commit, &log->ledger->log_tail, POS(POS_SEGMENT(pos), POS_OFF(pos) + size));
	log->used += size;
	return pos;
}

uint32_t watchlog_size(const struct watchlog *log, uint32_t pos)
{
	return record_size(watchlog_at(log, pos)->len);
}

void watchlog_undo(struct watchlog *log, struct commit *commit, uint32_t pos)
{
	uint32_t size = record_size(watchlog_at(log, pos)->len);

	/* A segment is not given back here: compaction does that, and rarely. */
	if (commit_peek(commit, &log->ledger->log_tail) !=
	    POS(POS_SEGMENT(pos), POS_OFF(pos) + size))
		return;
	commit_set(commit, &log->ledger->log_tail, pos);
	log->used -= size;
}

/* Whether there is a record at an offset of a segment, or that segment's end. */
static bool is_record(const struct watchlog *log, uint32_t segment, uint32_t off)
{
	uint32_t pos = POS(segment, off);

	return pos != word_get(&log->ledger->log_tail) && off < segment_size(segment) &&
	       watchlog_at(log, pos)->len;
}

uint32_t watchlog_next(const struct watchlog *log, uint32_t pos)
{
	uint32_t tail = word_get(&log->ledger->log_tail);

	if (!pos)
		pos = POS(first_segment(log), sizeof(struct segment));
	else
		pos = POS(POS_SEGMENT(pos), POS_OFF(pos) + watchlog_size(log, pos));

	while (pos != tail) {
		if (is_record(log, POS_SEGMENT(pos), POS_OFF(pos)))
			return pos;
		pos = POS(word_get(segment_next(log, POS_SEGMENT(pos))), sizeof(struct segment));
	}
	return 0;
}

/* --- tidying */

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
