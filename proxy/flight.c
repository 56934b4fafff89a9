// SPDX-License-Identifier: MIT
#include "proxy/flight.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/util.h"

#define FLIGHT_FIRST 512 /* octets at first */
#define TIME_SHIFT   6	 /* durations are kept in 64 ns */

/* A message in the ring, before its payload. Every idle guest has some dozens of them. */
struct kept {
	uint64_t time;
	uint32_t took, upstream;
	uint32_t number;
	struct xsd_sockmsg hdr;
	uint16_t size; /* in the ring */
	uint8_t kind, flags;
};

_Static_assert(sizeof(struct kept) == 40, "no octet is wasted");
_Static_assert(sizeof(struct kept) + FLIGHT_PAYLOAD <= FLIGHT_FIRST, "any message fits");

static void copy_in(struct flight *flight, uint32_t pos, const void *from, uint32_t len)
{
	uint32_t at = pos & (flight->size - 1), n = min_u32(len, flight->size - at);

	memcpy(flight->data + at, from, n);
	if (n < len)
		memcpy(flight->data, (const uint8_t *)from + n, len - n);
}

static void copy_out(const struct flight *flight, uint32_t pos, void *to, uint32_t len)
{
	uint32_t at = pos & (flight->size - 1), n = min_u32(len, flight->size - at);

	memcpy(to, flight->data + at, n);
	if (n < len)
		memcpy((uint8_t *)to + n, flight->data, len - n);
}

static void drop_oldest(struct flight *flight)
{
	struct kept oldest;

	copy_out(flight, flight->head, &oldest, sizeof(oldest));
	flight->head += oldest.size;
	flight->count--;
	flight->dropped++;
}

static void grow(struct flight *flight)
{
	uint32_t size = flight->size ? 2 * flight->size : FLIGHT_FIRST, used;
	uint8_t *data;

	if (size > FLIGHT_OCTETS)
		return;
	data = malloc(size);
	if (!data)
		return;
	used = flight->tail - flight->head;
	if (used)
		copy_out(flight, flight->head, data, used);
	free(flight->data);
	flight->data = data;
	flight->size = size;
	flight->head = 0;
	flight->tail = used;
}

static uint32_t duration(uint64_t ns)
{
	return ns >> TIME_SHIFT < UINT32_MAX ? (uint32_t)(ns >> TIME_SHIFT) : UINT32_MAX;
}

void flight_add(struct flight *flight, const struct frame *frame, const struct xsd_sockmsg *hdr,
		const void *payload, uint32_t len, uint32_t max)
{
	uint32_t part = min_u32(len, FLIGHT_PAYLOAD), size = sizeof(struct kept) + part;
	struct kept kept = {
		.time = frame->time,
		.took = duration(frame->took),
		.upstream = duration(frame->upstream),
		.number = frame->number,
		.hdr = *hdr,
		.size = (uint16_t)size,
		.kind = (uint8_t)frame->kind,
		.flags = (uint8_t)frame->flags,
	};

	if (!max)
		return;
	if (flight->size - (flight->tail - flight->head) < size)
		grow(flight);
	if (!flight->size) {
		flight->dropped++;
		return;
	}
	while (flight->count >= max || flight->size - (flight->tail - flight->head) < size)
		drop_oldest(flight);
	copy_in(flight, flight->tail, &kept, sizeof(kept));
	copy_in(flight, flight->tail + (uint32_t)sizeof(kept), payload, part);
	flight->tail += size;
	flight->count++;
}

void flight_each(const struct flight *flight, uint32_t domid, uint32_t session,
		 void (*show)(void *arg, const struct flight_frame *frame), void *arg)
{
	struct kept kept;

	for (uint32_t pos = flight->head; pos != flight->tail; pos += kept.size) {
		struct flight_frame out = { .frame = { .domid = domid, .session = session } };
		uint32_t part;

		copy_out(flight, pos, &kept, sizeof(kept));
		part = kept.size - (uint32_t)sizeof(kept);
		out.frame.size = (uint32_t)offsetof(struct flight_frame, payload) + part;
		out.frame.kind = kept.kind;
		out.frame.flags = kept.flags;
		out.frame.time = kept.time;
		out.frame.took = (uint64_t)kept.took << TIME_SHIFT;
		out.frame.upstream = (uint64_t)kept.upstream << TIME_SHIFT;
		out.frame.number = kept.number;
		out.hdr = kept.hdr;
		copy_out(flight, pos + (uint32_t)sizeof(kept), out.payload, part);
		show(arg, &out);
	}
}

void flight_fini(struct flight *flight)
{
	free(flight->data);
	*flight = (struct flight){ .data = NULL };
}
