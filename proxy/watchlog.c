// SPDX-License-Identifier: MIT
#include "proxy/watchlog.h"

#include <errno.h>
#include <string.h>

/*
 * A position is segment << POS_BITS | octet / GRAIN. Segment 0 is the ledger's own area, others are
 * extent numbers. Each begins with a struct segment.
 */
#define GRAIN		  16u
#define POS_BITS	  9
#define POS(segment, off) ((segment) << POS_BITS | (off) / GRAIN)
#define POS_SEGMENT(pos)  ((pos) >> POS_BITS)
#define POS_OFF(pos)	  (((pos) & ((1u << POS_BITS) - 1)) * GRAIN)

struct segment {
	uint32_t next; /* written before the tail leaves this segment */
	uint32_t reserved[3];
};

_Static_assert(sizeof(struct segment) == GRAIN && sizeof(struct watch_record) == GRAIN,
	       "records start at multiples of the grain");

static uint8_t *segment_base(const struct watchlog *log, uint32_t segment)
{
	return segment ? pool_page(log->pool, segment) : log->ledger->log;
}

static uint32_t segment_size(uint32_t segment)
{
	return segment ? POOL_PAGE : LEDGER_LOG_INLINE;
}

static uint32_t record_size(uint32_t len)
{
	return (uint32_t)(sizeof(struct watch_record) + len + GRAIN - 1) & ~(GRAIN - 1);
}

void watchlog_init(struct watchlog *log, struct ledger *ledger, struct pool *pool)
{
	log->ledger = ledger;
	log->pool = pool;
	log->used = 0;
	if (!word_get(&ledger->log_tail)) {
		atomic_init(&ledger->log_first, 0);
		atomic_init(&ledger->log_tail, POS(0u, sizeof(struct segment)));
	}
}

struct watchlog_chain watchlog_reset(struct watchlog *log, struct commit *commit)
{
	struct watchlog_chain chain = {
		.first = word_get(&log->ledger->log_first),
		.last = POS_SEGMENT(word_get(&log->ledger->log_tail)),
	};

	commit_set(commit, &log->ledger->log_first, 0);
	commit_set(commit, &log->ledger->log_tail, POS(0u, sizeof(struct segment)));
	return chain;
}

void watchlog_release(struct watchlog *log, struct watchlog_chain chain)
{
	for (uint32_t segment = chain.first;;) {
		uint32_t next = 0;

		if (segment != chain.last)
			next = ((struct segment *)segment_base(log, segment))->next;
		pool_release(log->pool, segment);
		if (segment == chain.last)
			return;
		segment = next;
	}
}

/* Walk the chain of segments; @visit gives up by returning an error. */
static int each_segment(struct watchlog *log, int (*visit)(struct pool *pool, uint32_t segment))
{
	uint32_t last = POS_SEGMENT(word_get(&log->ledger->log_tail));
	uint32_t segment = word_get(&log->ledger->log_first);

	for (uint32_t guard = 0; guard < LEDGERS_EXTENTS; guard++) {
		uint32_t next = 0;
		int err;

		if (segment >= LEDGERS_EXTENTS)
			return -EINVAL;
		if (segment != last)
			next = ((struct segment *)segment_base(log, segment))->next;
		err = segment ? visit(log->pool, segment) : 0;
		if (err || segment == last)
			return err;
		segment = next;
	}
	return -EINVAL;
}

/*
 * Whether the records of one segment, from @off on, end where they should: at @end, or where the
 * segment says that the log goes on in the next one.
 */
static bool segment_is_sane(const struct watchlog *log, uint32_t segment, uint32_t end, bool last)
{
	uint32_t off = sizeof(struct segment);

	while (off < end) {
		const struct watch_record *record = watchlog_at(log, POS(segment, off));

		if (!record->len)
			return !last;
		if (off + record_size(record->len) > end)
			return false;
		off += record_size(record->len);
	}
	return off == end;
}

/* All segments are claimed. */
static bool records_are_sane(const struct watchlog *log)
{
	uint32_t tail = word_get(&log->ledger->log_tail);
	uint32_t segment = word_get(&log->ledger->log_first);

	while (segment != POS_SEGMENT(tail)) {
		if (!segment_is_sane(log, segment, segment_size(segment), false))
			return false;
		segment = ((struct segment *)segment_base(log, segment))->next;
	}
	return POS_OFF(tail) >= sizeof(struct segment) && POS_OFF(tail) <= segment_size(segment) &&
	       segment_is_sane(log, segment, POS_OFF(tail), true);
}

int watchlog_recover(struct watchlog *log)
{
	int err = each_segment(log, pool_claim);

	if (err)
		return err;
	if (!records_are_sane(log))
		return -EINVAL;
	for (uint32_t pos = watchlog_next(log, 0); pos; pos = watchlog_next(log, pos))
		log->used += record_size(watchlog_at(log, pos)->len);
	return 0;
}

static int segment_release(struct pool *pool, uint32_t segment)
{
	pool_release(pool, segment);
	return 0;
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

/* Where a record of @size octets goes when the tail is at @tail; opens a new segment if need be. */
static uint32_t place_record(struct watchlog *log, uint32_t tail, uint32_t size)
{
	uint32_t segment = POS_SEGMENT(tail), off = POS_OFF(tail), next;

	if (off + size <= segment_size(segment))
		return tail;

	next = pool_alloc(log->pool);
	if (!next)
		return 0;
	/* Both beyond the tail as long as the commit has not moved it into the new segment. */
	if (off < segment_size(segment))
		watchlog_at(log, tail)->len = 0;
	((struct segment *)segment_base(log, segment))->next = next;
	return POS(next, sizeof(struct segment));
}

static uint32_t write_record(struct watchlog *log, uint32_t tail, const struct watch_record *head,
			     const void *text, uint32_t *end)
{
	uint32_t size = record_size(head->len);
	uint32_t pos = place_record(log, tail, size);
	struct watch_record *record;

	if (!pos)
		return 0;
	record = watchlog_at(log, pos);
	memcpy(record, head, sizeof(*record));
	memcpy(record->text, text, head->len);
	*end = POS(POS_SEGMENT(pos), POS_OFF(pos) + size);
	return pos;
}

uint32_t watchlog_append(struct watchlog *log, struct commit *commit, const void *text,
			 uint32_t len, uint32_t depth, uint32_t batch)
{
	struct watch_record head = { .batch = batch,
				     .len = (uint16_t)len,
				     .depth = (uint16_t)depth };
	uint32_t end, pos;

	pos = write_record(log, word_get(&log->ledger->log_tail), &head, text, &end);
	if (!pos)
		return 0;
	commit_set(commit, &log->ledger->log_tail, end);
	log->used += record_size(len);
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

uint32_t watchlog_next(const struct watchlog *log, uint32_t pos)
{
	uint32_t tail = word_get(&log->ledger->log_tail);

	if (!pos)
		pos = POS(word_get(&log->ledger->log_first), sizeof(struct segment));
	else
		pos = POS(POS_SEGMENT(pos), POS_OFF(pos) + record_size(watchlog_at(log, pos)->len));

	while (pos != tail) {
		uint32_t segment = POS_SEGMENT(pos);

		if (POS_OFF(pos) < segment_size(segment) && watchlog_at(log, pos)->len)
			return pos;
		pos = POS(((struct segment *)segment_base(log, segment))->next,
			  sizeof(struct segment));
	}
	return 0;
}

static uint32_t live_octets(const struct watchlog *log)
{
	uint32_t epoch = word_get(&log->ledger->epoch), sum = 0;

	for (uint32_t pos = watchlog_next(log, 0); pos; pos = watchlog_next(log, pos))
		if (word_get(&watchlog_at(log, pos)->live) == epoch)
			sum += record_size(watchlog_at(log, pos)->len);
	return sum;
}

int watchlog_compact(struct watchlog *log, const struct ledger_place *place,
		     void (*moved)(void *arg, uint32_t from, uint32_t to), void *arg)
{
	struct ledger *ledger = log->ledger;
	uint32_t epoch = word_get(&ledger->epoch), live = live_octets(log);
	uint32_t old_first = word_get(&ledger->log_first);
	struct watchlog_chain old;
	uint32_t first = 0, tail;
	struct commit commit;

	/* The ledger's own area is free for the new chain unless the old one begins there. */
	if (old_first == 0 || live + sizeof(struct segment) > LEDGER_LOG_INLINE) {
		first = pool_alloc(log->pool);
		if (!first)
			return -ENOMEM;
	}
	tail = POS(first, sizeof(struct segment));

	for (uint32_t pos = watchlog_next(log, 0); pos; pos = watchlog_next(log, pos)) {
		const struct watch_record *record = watchlog_at(log, pos);

		if (word_get(&record->live) != epoch)
			continue;
		if (!write_record(log, tail, record, record->text, &tail)) {
			watchlog_release(log, (struct watchlog_chain){ first, POS_SEGMENT(tail) });
			return -ENOMEM;
		}
	}

	/* A second walk, now that it cannot fail: tell who holds positions. */
	for (uint32_t from = watchlog_next(log, 0), at = POS(first, sizeof(struct segment)); from;
	     from = watchlog_next(log, from)) {
		const struct watch_record *record = watchlog_at(log, from);
		uint32_t size = record_size(record->len);

		if (word_get(&record->live) != epoch)
			continue;
		if (POS_OFF(at) + size > segment_size(POS_SEGMENT(at)))
			at = POS(((struct segment *)segment_base(log, POS_SEGMENT(at)))->next,
				 sizeof(struct segment));
		moved(arg, from, at);
		at = POS(POS_SEGMENT(at), POS_OFF(at) + size);
	}

	commit_begin(&commit, place);
	old = watchlog_reset(log, &commit);
	commit_set(&commit, &ledger->log_first, first);
	commit_set(&commit, &ledger->log_tail, tail);
	commit_end(&commit);
	watchlog_release(log, old);
	log->used = live;
	return 0;
}
