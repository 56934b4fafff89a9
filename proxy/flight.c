// SPDX-License-Identifier: MIT
#include "proxy/flight.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/util.h"

#define FLIGHT_FIRST 1024 /* octets at first */
#define FRAME_LEAST  (sizeof(struct frame) + sizeof(struct xsd_sockmsg))

_Static_assert(FRAME_LEAST + FLIGHT_PAYLOAD <= FLIGHT_FIRST, "any frame fits");

static void copy_in(struct flight *flight, uint32_t pos, const void *from, uint32_t len)
{
	uint32_t at = pos & (flight->size - 1), n = min_u32(len, flight->size - at);

	memcpy(flight->data + at, from, n);
	memcpy(flight->data, (const uint8_t *)from + n, len - n);
}

static void copy_out(const struct flight *flight, uint32_t pos, void *to, uint32_t len)
{
	uint32_t at = pos & (flight->size - 1), n = min_u32(len, flight->size - at);

	memcpy(to, flight->data + at, n);
	memcpy((uint8_t *)to + n, flight->data, len - n);
}

static void drop_oldest(struct flight *flight)
{
	uint32_t size;

	copy_out(flight, flight->head, &size, sizeof(size));
	flight->head += size;
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

void flight_add(struct flight *flight, const struct frame *frame, const struct xsd_sockmsg *hdr,
		const void *payload, uint32_t len, uint32_t max)
{
	uint32_t keep = min_u32(len, FLIGHT_PAYLOAD), size = FRAME_LEAST + keep;
	struct frame kept = *frame;

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
	kept.size = size;
	copy_in(flight, flight->tail, &kept, sizeof(kept));
	copy_in(flight, flight->tail + sizeof(kept), hdr, sizeof(*hdr));
	copy_in(flight, flight->tail + FRAME_LEAST, payload, keep);
	flight->tail += size;
	flight->count++;
}

void flight_each(const struct flight *flight, void (*show)(void *arg, const struct frame *frame),
		 void *arg)
{
	union {
		struct frame frame;
		uint8_t octets[FRAME_LEAST + FLIGHT_PAYLOAD];
	} copy;

	for (uint32_t pos = flight->head; pos != flight->tail; pos += copy.frame.size) {
		copy_out(flight, pos, &copy.frame, sizeof(copy.frame));
		copy_out(flight, pos, &copy, copy.frame.size);
		show(arg, &copy.frame);
	}
}

void flight_fini(struct flight *flight)
{
	free(flight->data);
	*flight = (struct flight){ .data = NULL };
}
