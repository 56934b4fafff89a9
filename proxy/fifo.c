// SPDX-License-Identifier: MIT
#include "proxy/fifo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* One waiting event, by its payload. */
struct fifo_event {
	UT_hash_handle hh;
	uint32_t len;
	uint8_t payload[];
};

void fifo_init(struct fifo *fifo, struct ledger *ledger, struct pool *pool)
{
	fifo->ledger = ledger;
	fifo->pool = pool;
	fifo->events = NULL;
}

static uint32_t *page_slot(const struct fifo *fifo, uint32_t pos)
{
	return &fifo->ledger->fifo_page[pos / POOL_PAGE % LEDGER_FIFO_PAGES];
}

/* The end of what is written, whole messages or not. */
static uint32_t fill_end(const struct fifo *fifo)
{
	return word_get(&fifo->ledger->fifo_tail) + word_get(&fifo->ledger->fifo_fill);
}

/* Whether page slot @i holds an octet of what is written. */
static bool slot_in_use(const struct fifo *fifo, uint32_t i)
{
	uint32_t head = word_get(&fifo->ledger->fifo_head), len = fill_end(fifo) - head;
	uint32_t pages = (head % POOL_PAGE + len + POOL_PAGE - 1) / POOL_PAGE;

	return len && (i - head / POOL_PAGE) % LEDGER_FIFO_PAGES < pages;
}

static void release_unused(struct fifo *fifo)
{
	for (uint32_t i = 0; i < LEDGER_FIFO_PAGES; i++) {
		uint32_t *slot = &fifo->ledger->fifo_page[i];

		if (!*slot || slot_in_use(fifo, i))
			continue;
		pool_release(fifo->pool, *slot);
		*slot = 0;
	}
}

int fifo_recover(struct fifo *fifo)
{
	if (fill_end(fifo) - word_get(&fifo->ledger->fifo_head) > FIFO_SIZE)
		return -EINVAL;
	for (uint32_t i = 0; i < LEDGER_FIFO_PAGES; i++) {
		uint32_t *slot = &fifo->ledger->fifo_page[i];
		int err;

		/* A page beyond the end was never part of a step that ended. */
		if (!slot_in_use(fifo, i)) {
			*slot = 0;
			continue;
		}
		err = pool_claim(fifo->pool, *slot);
		if (err)
			return err;
	}
	return 0;
}

void fifo_fini(struct fifo *fifo)
{
	fifo_forget_events(fifo);
	for (uint32_t i = 0; i < LEDGER_FIFO_PAGES; i++) {
		pool_release(fifo->pool, fifo->ledger->fifo_page[i]);
		fifo->ledger->fifo_page[i] = 0;
	}
}

uint32_t fifo_room(const struct fifo *fifo)
{
	uint32_t head = word_get(&fifo->ledger->fifo_head) & ~(POOL_PAGE - 1);

	return FIFO_SIZE - (fill_end(fifo) - head);
}

int fifo_reserve(struct fifo *fifo, uint32_t off, uint32_t len)
{
	uint32_t pos = word_get(&fifo->ledger->fifo_tail) + off;

	if (off + len > fifo_room(fifo) + word_get(&fifo->ledger->fifo_fill))
		return -ENOBUFS;
	while (len) {
		uint32_t at = pos % POOL_PAGE, n = POOL_PAGE - at < len ? POOL_PAGE - at : len;
		uint32_t *slot = page_slot(fifo, pos);

		if (!*slot) {
			*slot = pool_alloc(fifo->pool);
			if (!*slot)
				return -ENOMEM;
		}
		pos += n;
		len -= n;
	}
	return 0;
}

void fifo_write(struct fifo *fifo, uint32_t off, const void *src, uint32_t len)
{
	uint32_t pos = word_get(&fifo->ledger->fifo_tail) + off;
	const uint8_t *from = src;

	while (len) {
		uint32_t at = pos % POOL_PAGE, n = POOL_PAGE - at < len ? POOL_PAGE - at : len;

		memcpy((uint8_t *)pool_page(fifo->pool, *page_slot(fifo, pos)) + at, from, n);
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
		uint32_t at = pos % POOL_PAGE, n = POOL_PAGE - at < len ? POOL_PAGE - at : len;

		memcpy(to, (uint8_t *)pool_page(fifo->pool, *page_slot(fifo, pos)) + at, n);
		pos += n;
		to += n;
		len -= n;
	}
}

void fifo_trim(struct fifo *fifo)
{
	release_unused(fifo);
}

void fifo_append(struct fifo *fifo, struct commit *commit, const struct message *msg)
{
	uint32_t size = message_size(&msg->hdr);

	fifo_write(fifo, 0, msg, size);
	commit_set(commit, &fifo->ledger->fifo_tail, word_get(&fifo->ledger->fifo_tail) + size);
	commit_set(commit, &fifo->ledger->fifo_fill, 0);
}

void fifo_clear(struct fifo *fifo, struct commit *commit)
{
	commit_set(commit, &fifo->ledger->fifo_head, word_get(&fifo->ledger->fifo_tail));
	commit_set(commit, &fifo->ledger->fifo_left, 0);
}

bool fifo_has_event(struct fifo *fifo, const struct message *msg)
{
	struct fifo_event *event;
	uint32_t len = msg->hdr.len;

	HASH_FIND(hh, fifo->events, msg->payload, len, event);
	if (event)
		return true;
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

	HASH_ITER(hh, fifo->events, event, tmp) {
		HASH_DEL(fifo->events, event);
		free(event);
	}
}

void fifo_note_events(struct fifo *fifo)
{
	uint32_t used = fifo_used(fifo);
	struct message msg;

	fifo_forget_events(fifo);
	for (uint32_t off = word_get(&fifo->ledger->fifo_left); off < used;
	     off += message_size(&msg.hdr)) {
		fifo_read(fifo, off, &msg.hdr, sizeof(msg.hdr));
		fifo_read(fifo, off + MESSAGE_HEADER, msg.payload, msg.hdr.len);
		if (msg.hdr.type == XS_WATCH_EVENT)
			fifo_has_event(fifo, &msg);
	}
}

int fifo_filter(struct fifo *fifo, const struct ledger_place *place,
		bool (*keep)(void *arg, const struct message *msg), void *arg)
{
	struct ledger *ledger = fifo->ledger;
	uint32_t used = fifo_used(fifo), off = word_get(&ledger->fifo_left), kept = off;
	struct commit commit;
	struct message msg;

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
	}
	commit_begin(&commit, place);
	commit_set(&commit, &ledger->fifo_head, word_get(&ledger->fifo_tail));
	commit_set(&commit, &ledger->fifo_tail, word_get(&ledger->fifo_tail) + kept);
	commit_end(&commit);
	release_unused(fifo);
	return 0;
}
