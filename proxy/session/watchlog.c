// SPDX-License-Identifier: MIT
#include "proxy/session/watchlog.h"

#include <errno.h>
#include <string.h>

#include "proxy/session/watchlog_segment.h"

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
