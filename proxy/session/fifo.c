// SPDX-License-Identifier: MIT
#include "proxy/session/fifo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/table.h"

/* How much of what waits fifo_note_some() looks at. */
#define NOTE_OCTETS 32768u

/* One waiting event, by its payload. */
struct fifo_event {
	UT_hash_handle hh;
	uint32_t len;
	uint8_t payload[];
};

void fifo_init(struct fifo *fifo, struct ledger *ledger, struct account *account)
{
	fifo->ledger = ledger;
	fifo->account = account;
	fifo->first = fifo->pages = 0;
	fifo->events = NULL;
	fifo->noting = false;
	fifo->waiting = (struct fifo_counts){ 0 };
	fifo->part_is_event = false;
}

/* Positions count octets modulo 2^32, so pages count modulo 2^20. */
#define PAGE_MASK (UINT32_MAX / POOL_PAGE)

static uint32_t *page_slot(const struct fifo *fifo, uint32_t page)
{
	uint32_t *directory = account_page(fifo->account, fifo->ledger->fifo_directory);

	return &directory[page % FIFO_PAGES];
}

static uint8_t *octet_at(const struct fifo *fifo, uint32_t pos)
{
	uint8_t *page = account_page(fifo->account, *page_slot(fifo, pos / POOL_PAGE));

	return page + pos % POOL_PAGE;
}

/* The end of what is written, whole messages or not. */
static uint32_t fill_end(const struct fifo *fifo)
{
	uint32_t tail = word_get(&fifo->ledger->fifo_tail);

	/* A message that is being dropped is counted, but not kept (down.c). */
	if (fifo->ledger->fifo_hdr.type == XS_INVALID)
		return tail;
	return tail + word_get(&fifo->ledger->fifo_fill);
}

/* How many pages [head, end) touches. */
static uint32_t pages_needed(uint32_t head, uint32_t end)
{
	return end == head ? 0 : (head % POOL_PAGE + (end - head) + POOL_PAGE - 1) / POOL_PAGE;
}

static void release_unused(struct fifo *fifo)
{
	uint32_t head = word_get(&fifo->ledger->fifo_head), first = head / POOL_PAGE;
	uint32_t needed = pages_needed(head, fill_end(fifo));

	while (fifo->pages && (!needed || fifo->first != first)) {
		account_release(fifo->account, *page_slot(fifo, fifo->first));
		fifo->first = (fifo->first + 1) & PAGE_MASK;
		fifo->pages--;
	}
	while (fifo->pages > needed) {
		fifo->pages--;
		account_release(fifo->account, *page_slot(fifo, fifo->first + fifo->pages));
	}
	if (!fifo->pages) {
		account_release(fifo->account, fifo->ledger->fifo_directory);
		fifo->ledger->fifo_directory = 0;
	}
}

static uint32_t *counter(struct fifo_counts *counts, bool is_event)
{
	return is_event ? &counts->events : &counts->replies;
}

static void count(struct fifo_counts *counts, const struct xsd_sockmsg *hdr)
{
	++*counter(counts, hdr->type == XS_WATCH_EVENT);
}

void fifo_count(struct fifo *fifo, const struct xsd_sockmsg *hdr)
{
	count(&fifo->waiting, hdr);
}

/*
 * Count whole messages, from @off on. @giants: they may be longer than MESSAGE_MAX, and the last
 * one may go on behind @used, to @end. Return: 0, or -EINVAL when that are no messages.
 */
static int count_whole(struct fifo *fifo, uint32_t off, uint32_t used, uint32_t end, bool giants)
{
	struct xsd_sockmsg hdr;

	for (; off < used; off += message_size(&hdr)) {
		if (used - off < MESSAGE_HEADER)
			return -EINVAL;
		fifo_read(fifo, off, &hdr, sizeof(hdr));
		if (hdr.len > (giants ? end : XENSTORE_PAYLOAD_MAX))
			return -EINVAL;
		fifo_count(fifo, &hdr);
	}
	return off == (off > used ? end : used) ? 0 : -EINVAL;
}

/*
 * Count what is in its pages. @giants: more.giant_left octets of the last message are still to
 * come. Return: as count_whole().
 */
static int count_all(struct fifo *fifo, bool giants)
{
	uint32_t off = word_get(&fifo->ledger->fifo_left), used = fifo_used(fifo);
	uint32_t end = used + (giants ? word_get(&fifo->ledger->more.giant_left) : 0);

	fifo->part_is_event =
		word_get(&fifo->ledger->fifo_event) == word_get(&fifo->ledger->fifo_head) + off;
	if (off)
		++*counter(&fifo->waiting, fifo->part_is_event);
	return count_whole(fifo, off, used, end, giants);
}

int fifo_recover(struct fifo *fifo, bool giants)
{
	uint32_t head = word_get(&fifo->ledger->fifo_head), needed;
	int err;

	if (fill_end(fifo) - head > FIFO_SIZE)
		return -EINVAL;
	needed = pages_needed(head, fill_end(fifo));
	/* What lies beyond the end was never part of a step that ended. */
	if (!needed) {
		fifo->ledger->fifo_directory = 0;
		return 0;
	}
	err = account_claim(fifo->account, fifo->ledger->fifo_directory);
	fifo->first = head / POOL_PAGE;
	for (fifo->pages = 0; !err && fifo->pages < needed; fifo->pages++)
		err = account_claim(fifo->account, *page_slot(fifo, fifo->first + fifo->pages));
	return err ? err : count_all(fifo, giants);
}

void fifo_fini(struct fifo *fifo)
{
	fifo_forget_events(fifo);
	for (uint32_t i = 0; i < fifo->pages; i++)
		account_release(fifo->account, *page_slot(fifo, fifo->first + i));
	account_release(fifo->account, fifo->ledger->fifo_directory);
	fifo->ledger->fifo_directory = 0;
	fifo->pages = 0;
}

uint32_t fifo_room(const struct fifo *fifo)
{
	uint32_t head = word_get(&fifo->ledger->fifo_head) & ~(POOL_PAGE - 1);

	return FIFO_SIZE - (fill_end(fifo) - head);
}

/* The longest message touches so many. */
#define VITAL_PAGES 3

/* One page more at the end. */
static int add_page(struct fifo *fifo)
{
	uint32_t page = 0;

	if (!fifo->ledger->fifo_directory)
		fifo->ledger->fifo_directory = account_alloc_vital(fifo->account);
	if (fifo->ledger->fifo_directory)
		page = fifo->pages < VITAL_PAGES ? account_alloc_vital(fifo->account)
						 : account_alloc(fifo->account);
	if (!page) {
		release_unused(fifo);
		return -ENOMEM;
	}
	*page_slot(fifo, fifo->first + fifo->pages++) = page;
	return 0;
}

int fifo_reserve(struct fifo *fifo, uint32_t off, uint32_t len)
{
	uint32_t tail = word_get(&fifo->ledger->fifo_tail), last;

	if (!len)
		return 0;
	if (off + len > fifo_room(fifo) + fill_end(fifo) - tail)
		return -ENOBUFS;
	if (!fifo->pages)
		fifo->first = word_get(&fifo->ledger->fifo_head) / POOL_PAGE;
	last = (tail + off + len - 1) / POOL_PAGE;
	while (((last - fifo->first) & PAGE_MASK) >= fifo->pages) {
		int err = add_page(fifo);

		if (err)
			return err;
	}
	return 0;
}

int fifo_reserve_before(struct fifo *fifo, uint32_t len, uint32_t messages)
{
	bool fits = fifo_room(fifo) >= len + messages * MESSAGE_MAX;

	return fits ? fifo_reserve(fifo, 0, len) : -ENOBUFS;
}

void fifo_write(struct fifo *fifo, uint32_t off, const void *src, uint32_t len)
{
	uint32_t pos = word_get(&fifo->ledger->fifo_tail) + off;
	const uint8_t *from = src;

	while (len) {
		uint32_t room = POOL_PAGE - pos % POOL_PAGE, n = room < len ? room : len;

		memcpy(octet_at(fifo, pos), from, n);
		pos += n;
		from += n;
		len -= n;
	}
}

void fifo_read(const struct fifo *fifo, uint32_t off, void *dst, uint32_t len)
{
	uint32_t pos = word_get(&fifo->ledger->fifo_head) + off;
	uint8_t *to = dst;

	while (len) {
		uint32_t room = POOL_PAGE - pos % POOL_PAGE, n = room < len ? room : len;

		memcpy(to, octet_at(fifo, pos), n);
		pos += n;
		to += n;
		len -= n;
	}
}

uint32_t fifo_next(struct fifo *fifo)
{
	uint32_t left = word_get(&fifo->ledger->fifo_left);
	struct xsd_sockmsg hdr;

	if (left)
		return left;
	fifo_read(fifo, 0, &hdr, sizeof(hdr));
	fifo->part_is_event = hdr.type == XS_WATCH_EVENT;
	return message_size(&hdr);
}

void fifo_take(struct fifo *fifo, struct commit *commit, uint32_t len)
{
	struct ledger *ledger = fifo->ledger;
	uint32_t head = word_get(&ledger->fifo_head), left = fifo_next(fifo), end = head + left;

	commit_set(commit, &ledger->fifo_head, head + len);
	commit_set(commit, &ledger->fifo_left, left - len);
	if (left == len) {
		--*counter(&fifo->waiting, fifo->part_is_event);
		return;
	}
	commit_set(commit, &ledger->fifo_event, fifo->part_is_event ? end : end - 1);
	if (!word_get(&ledger->fifo_left)) {
		struct ledger_more *more = ledger_more(ledger);

		commit_set(commit, &more->part_end, end);
		commit_set(commit, &more->part_size, left);
	}
}

uint32_t fifo_sent(const struct fifo *fifo)
{
	const struct ledger *ledger = fifo->ledger;
	uint32_t left = word_get(&ledger->fifo_left), size = word_get(&ledger->more.part_size);

	if (!left || ledger->more.map_gen != ledger->map_gen || size <= left ||
	    size > MESSAGE_MAX ||
	    word_get(&ledger->more.part_end) != word_get(&ledger->fifo_head) + left)
		return 0;
	return size - left;
}

void fifo_trim(struct fifo *fifo)
{
	release_unused(fifo);
}

void fifo_append(struct fifo *fifo, struct commit *commit, const struct message *msg)
{
	uint32_t size = message_size(&msg->hdr);

	fifo_write(fifo, 0, msg, size);
	fifo_count(fifo, &msg->hdr);
	commit_set(commit, &fifo->ledger->fifo_tail, word_get(&fifo->ledger->fifo_tail) + size);
	commit_set(commit, &fifo->ledger->fifo_fill, 0);
}

int fifo_load(struct fifo *fifo, struct commit *commit, const void *octets, uint32_t len,
	      uint32_t rest, bool giants)
{
	struct ledger *ledger = fifo->ledger;
	uint32_t head = word_get(&ledger->fifo_head);
	int err;

	/* Of one that the front got in part it lacks less than all. */
	if (!giants && rest >= MESSAGE_MAX)
		return -EINVAL;
	err = fifo_reserve(fifo, 0, len);
	if (err)
		return err;
	fifo_write(fifo, 0, octets, len);
	err = count_whole(fifo, rest, len, len, giants);
	if (err)
		return err;
	fifo->waiting.replies += rest != 0;
	commit_set(commit, &ledger->fifo_tail, head + len);
	commit_set(commit, &ledger->fifo_left, rest);
	commit_set(commit, &ledger->fifo_event, head + rest - 1);
	return 0;
}

void fifo_clear(struct fifo *fifo, struct commit *commit)
{
	commit_set(commit, &fifo->ledger->fifo_head, word_get(&fifo->ledger->fifo_tail));
	commit_set(commit, &fifo->ledger->fifo_left, 0);
	fifo->waiting = (struct fifo_counts){ 0 };
}

bool fifo_has_event(struct fifo *fifo, const struct message *msg)
{
	struct fifo_event *event;
	uint32_t len = msg->hdr.len;

	HASH_FIND(hh, fifo->events, msg->payload, len, event);
	if (event)
		return true;
	if (HASH_COUNT(fifo->events) >= FIFO_NOTES)
		return false;
	event = malloc(sizeof(*event) + len);
	if (!event)
		return false;
	event->len = len;
	memcpy(event->payload, msg->payload, len);
	HASH_ADD_KEYPTR(hh, fifo->events, event->payload, len, event);
	if (!event->hh.tbl)
		free(event);
	return false;
}

void fifo_forget_events(struct fifo *fifo)
{
	struct fifo_event *event, *tmp;

	fifo->noting = false;
	HASH_ITER(hh, fifo->events, event, tmp) {
		HASH_DEL(fifo->events, event);
		free(event);
	}
}

void fifo_note_events(struct fifo *fifo)
{
	fifo_forget_events(fifo);
	fifo->noting = true;
	fifo->note_head = word_get(&fifo->ledger->fifo_head);
	fifo->note_off = word_get(&fifo->ledger->fifo_left);
}

bool fifo_note_some(struct fifo *fifo)
{
	uint32_t used = fifo_used(fifo), end;
	struct message msg;

	if (fifo->noting && fifo->note_head != word_get(&fifo->ledger->fifo_head))
		fifo_note_events(fifo);
	end = fifo->note_off + NOTE_OCTETS;
	while (fifo->noting && fifo->note_off < end) {
		uint32_t off = fifo->note_off;

		if (off >= used || HASH_COUNT(fifo->events) >= FIFO_NOTES) {
			fifo->noting = false;
			break;
		}
		fifo_read(fifo, off, &msg.hdr, sizeof(msg.hdr));
		fifo_read(fifo, off + MESSAGE_HEADER, msg.payload, msg.hdr.len);
		if (msg.hdr.type == XS_WATCH_EVENT)
			fifo_has_event(fifo, &msg);
		fifo->note_off += message_size(&msg.hdr);
	}
	return !fifo->noting;
}

int fifo_filter(struct fifo *fifo, const struct ledger_place *place,
		bool (*keep)(void *arg, const struct message *msg), void *arg)
{
	struct ledger *ledger = fifo->ledger;
	uint32_t used = fifo_used(fifo), off = word_get(&ledger->fifo_left), kept = off;
	uint32_t tail = word_get(&ledger->fifo_tail), part_end = tail + off;
	uint32_t sent = fifo_sent(fifo), part_size = sent ? sent + off : 0;
	struct ledger_more *more = ledger_more(ledger);
	struct fifo_counts counts = { 0 };
	struct commit commit;
	struct message msg;

	if (off)
		++*counter(&counts, fifo->part_is_event);
	/* The kept ones are copied beyond the tail, then head and tail jump over the old ones. */
	if (fifo_reserve(fifo, 0, off))
		return -ENOMEM;
	fifo_read(fifo, 0, &msg, off);
	fifo_write(fifo, 0, &msg, off);
	for (; off < used; off += message_size(&msg.hdr)) {
		fifo_read(fifo, off, &msg.hdr, sizeof(msg.hdr));
		fifo_read(fifo, off + MESSAGE_HEADER, msg.payload, msg.hdr.len);
		if (!keep(arg, &msg))
			continue;
		if (fifo_reserve(fifo, kept, message_size(&msg.hdr))) {
			release_unused(fifo);
			return -ENOMEM;
		}
		fifo_write(fifo, kept, &msg, message_size(&msg.hdr));
		kept += message_size(&msg.hdr);
		count(&counts, &msg.hdr);
	}
	commit_begin(&commit, place);
	commit_set(&commit, &ledger->fifo_head, tail);
	commit_set(&commit, &ledger->fifo_tail, tail + kept);
	commit_set(&commit, &ledger->fifo_event, fifo->part_is_event ? part_end : part_end - 1);
	commit_set(&commit, &more->part_end, part_end);
	commit_set(&commit, &more->part_size, part_size);
	commit_end(&commit);
	fifo->waiting = counts;
	release_unused(fifo);
	return 0;
}
