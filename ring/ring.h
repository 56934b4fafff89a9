/* SPDX-License-Identifier: MIT */
/*
 * ring - a byte queue in memory that two sides share: one direction of a Xenstore page, or of a
 * socket's buffer.
 *
 * The producer alone writes `prod` and the octets between prod and cons + size; the consumer alone
 * writes `cons`. Both indexes run freely through 2^32 and are masked on access. The other side may
 * be hostile: an index is read once, into a view, and checked there; everything after works on the
 * view. Octets are copied once, then checked.
 *
 * Called by proxy/; never touches an index by itself, since index changes belong to a commit
 * (proxy/session/ledger.h).
 */
#ifndef XSPROXY_RING_RING_H
#define XSPROXY_RING_RING_H

#include <stdatomic.h>
#include <stdint.h>

struct ring {
	uint8_t *data;
	uint32_t size; /* a power of two */
	_Atomic uint32_t *prod;
	_Atomic uint32_t *cons;
};

/* What the indexes were when they were read; moved along as the owner of the view works. */
struct ring_view {
	uint32_t prod;
	uint32_t cons;
};

/**
 * ring_load() - read both indexes once, and check them.
 *
 * Acquires `prod`'s octets for a consumer and `cons`'s room for a producer.
 *
 * Return: 0, or -EIO when they are more than the ring's size apart (the view then is unusable).
 */
int ring_load(const struct ring *ring, struct ring_view *view);

/** ring_used() - octets that wait to be consumed. */
static inline uint32_t ring_used(const struct ring_view *view)
{
	return view->prod - view->cons;
}

/** ring_room() - octets that can be produced. */
static inline uint32_t ring_room(const struct ring *ring, const struct ring_view *view)
{
	return ring->size - (view->prod - view->cons);
}

/** ring_read() - copy @len octets that start at index @pos; the caller has checked the range. */
void ring_read(const struct ring *ring, uint32_t pos, void *dst, uint32_t len);

/** ring_write() - copy @len octets to index @pos; the caller has checked the range. */
void ring_write(const struct ring *ring, uint32_t pos, const void *src, uint32_t len);

#endif
