// SPDX-License-Identifier: MIT
#include "ring/ring.h"

#include <errno.h>
#include <string.h>

int ring_load(const struct ring *ring, struct ring_view *view)
{
	view->prod = atomic_load_explicit(ring->prod, memory_order_acquire);
	view->cons = atomic_load_explicit(ring->cons, memory_order_acquire);
	return view->prod - view->cons > ring->size ? -EIO : 0;
}

void ring_read(const struct ring *ring, uint32_t pos, void *dst, uint32_t len)
{
	uint32_t off = pos & (ring->size - 1);
	uint32_t first = len < ring->size - off ? len : ring->size - off;

	memcpy(dst, ring->data + off, first);
	memcpy((uint8_t *)dst + first, ring->data, len - first);
}

void ring_write(const struct ring *ring, uint32_t pos, const void *src, uint32_t len)
{
	uint32_t off = pos & (ring->size - 1);
	uint32_t first = len < ring->size - off ? len : ring->size - off;

	memcpy(ring->data + off, src, first);
	memcpy(ring->data, (const uint8_t *)src + first, len - first);
}
