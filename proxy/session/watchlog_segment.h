/* SPDX-License-Identifier: MIT */
/*
 * watchlog_segment - how the log lies in its segments; for watchlog.c, which writes it, and
 * watchlog_tidy.c, which puts it together.
 */
#ifndef XSPROXY_PROXY_SESSION_WATCHLOG_SEGMENT_H
#define XSPROXY_PROXY_SESSION_WATCHLOG_SEGMENT_H

#include "proxy/session/watchlog.h"

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
	ledger_word next; /* written before the tail leaves this segment */
	uint32_t reserved[3];
};

_Static_assert(sizeof(struct segment) == GRAIN && sizeof(struct watch_record) == GRAIN,
	       "records start at multiples of the grain");

static inline uint8_t *segment_base(const struct watchlog *log, uint32_t segment)
{
	return segment ? account_page(log->account, segment) : log->ledger->log;
}

/** segment_next() - the word that names the segment behind @segment. */
static inline ledger_word *segment_next(const struct watchlog *log, uint32_t segment)
{
	return &((struct segment *)segment_base(log, segment))->next;
}

static inline uint32_t first_segment(const struct watchlog *log)
{
	return word_get(&log->ledger->log_first);
}

static inline uint32_t last_segment(const struct watchlog *log)
{
	return POS_SEGMENT(word_get(&log->ledger->log_tail));
}

static inline uint32_t segment_size(uint32_t segment)
{
	return segment ? POOL_PAGE : LEDGER_LOG_INLINE;
}

static inline uint32_t record_size(uint32_t len)
{
	return (uint32_t)(sizeof(struct watch_record) + len + GRAIN - 1) & ~(GRAIN - 1);
}

/** is_record() - whether there is a record at an offset of a segment, or that segment's end. */
static inline bool is_record(const struct watchlog *log, uint32_t segment, uint32_t off)
{
	uint32_t pos = POS(segment, off);

	return pos != word_get(&log->ledger->log_tail) && off < segment_size(segment) &&
	       watchlog_at(log, pos)->len;
}

static inline int segment_release(struct watchlog *log, uint32_t segment)
{
	account_release(log->account, segment);
	log->pages -= segment != 0;
	return 0;
}

/** end_segment() - have a segment end at @pos, and @next follow it. */
static inline void end_segment(struct watchlog *log, uint32_t pos, uint32_t next)
{
	if (POS_OFF(pos) < segment_size(POS_SEGMENT(pos)))
		watchlog_at(log, pos)->len = 0;
	atomic_store_explicit(segment_next(log, POS_SEGMENT(pos)), next, memory_order_relaxed);
}

#endif
