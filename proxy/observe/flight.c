// SPDX-License-Identifier: MIT
#include "proxy/observe/flight.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/util.h"

#define FLIGHT_FIRST 512  /* octets at first */
#define FLIGHT_STEP  1024 /* octets more at once, at most */
#define TIME_SHIFT   6	  /* durations are kept in 64 ns */

/* A message as it is kept, in one piece. Every idle guest has some dozens of them. */
struct kept {
	uint64_t time;
	uint32_t took, upstream;
	uint32_t number;
	struct xsd_sockmsg hdr;
	uint8_t part; /* octets of its payload that are here */
	uint8_t kind;
	uint16_t flags;
	uint8_t payload[];
} __attribute__((packed, aligned(4)));

_Static_assert(sizeof(struct kept) == 40, "no octet is wasted");
_Static_assert(sizeof(struct kept) + FLIGHT_PAYLOAD <= FLIGHT_FIRST, "any message fits");

static uint32_t size_of(uint32_t part)
{
	return (uint32_t)sizeof(struct kept) + ((part + 3) & ~3u);
}

static bool wrapped(const struct flight *flight)
{
	return flight->count && flight->tail <= flight->head;
}

static struct kept *kept_at(const struct flight *flight, uint32_t at)
{
	return (struct kept *)(flight->data + at);
}

/* Where the message behind the one at @at is. */
static uint32_t next(const struct flight *flight, uint32_t at)
{
	uint32_t behind = at + size_of(kept_at(flight, at)->part);

	return behind == flight->end && wrapped(flight) ? 0 : behind;
}

static void drop_oldest(struct flight *flight)
{
	flight->head = next(flight, flight->head);
	flight->count--;
	flight->dropped++;
}

/* Room for @size octets in one piece. Return: NULL when there is none. */
static struct kept *place(struct flight *flight, uint32_t size)
{
	if (!flight->count)
		flight->head = flight->tail = 0;
	if (wrapped(flight))
		return size <= flight->head - flight->tail ? kept_at(flight, flight->tail) : NULL;
	if (size <= flight->size - flight->tail)
		return kept_at(flight, flight->tail);
	if (size > flight->head)
		return NULL;
	flight->end = flight->tail;
	flight->tail = 0;
	return kept_at(flight, 0);
}

/* Octets from the oldest message on, up to where it goes on at the beginning. */
static uint32_t first_part(const struct flight *flight)
{
	return (wrapped(flight) ? flight->end : flight->tail) - flight->head;
}

/* Move all to @size octets, into which it fits. Return: false without memory; all is as it was. */
static bool resize(struct flight *flight, uint32_t size)
{
	uint32_t first = first_part(flight);
	uint8_t *data = calloc(1, size);

	if (!data)
		return false;
	if (flight->data)
		memcpy(data, flight->data + flight->head, first);
	if (flight->data && wrapped(flight))
		memcpy(data + first, flight->data, flight->tail);
	flight->tail = wrapped(flight) ? first + flight->tail : first;
	flight->head = 0;
	free(flight->data);
	flight->data = data;
	flight->size = size;
	return true;
}

/* What @max messages may take. */
static uint32_t size_for(uint32_t max)
{
	return max * FLIGHT_SHARE > FLIGHT_FIRST ? max * FLIGHT_SHARE : FLIGHT_FIRST;
}

/* Return: whether there is more room now, for @max messages in all. */
static bool grow(struct flight *flight, uint32_t max)
{
	uint32_t size =
		flight->size ? flight->size + min_u32(flight->size, FLIGHT_STEP) : FLIGHT_FIRST;

	return size <= size_for(max) && resize(flight, size);
}

static uint32_t duration(uint64_t ns)
{
	return ns >> TIME_SHIFT < UINT32_MAX ? (uint32_t)(ns >> TIME_SHIFT) : UINT32_MAX;
}

void flight_add(struct flight *flight, const struct frame *frame, const struct xsd_sockmsg *hdr,
		const void *payload, uint32_t len, uint32_t max)
{
	uint32_t part = min_u32(len, FLIGHT_PAYLOAD), size = size_of(part);
	struct kept *kept;

	if (!max) {
		flight->dropped++;
		return;
	}
	while (flight->count >= max)
		drop_oldest(flight);
	while (!(kept = place(flight, size))) {
		if (grow(flight, max))
			continue;
		if (!flight->count) {
			flight->dropped++;
			return;
		}
		drop_oldest(flight);
	}
	kept->time = frame->time;
	kept->took = duration(frame->took);
	kept->upstream = duration(frame->upstream);
	kept->number = frame->number;
	kept->hdr = *hdr;
	kept->part = (uint8_t)part;
	kept->kind = (uint8_t)frame->kind;
	kept->flags = frame->flags;
	memcpy(kept->payload, payload, part);
	flight->tail += size;
	flight->count++;
}

void flight_trim(struct flight *flight, uint32_t max)
{
	while (flight->count > max)
		drop_oldest(flight);
	if (!flight->count) {
		uint64_t dropped = flight->dropped;

		flight_fini(flight);
		flight->dropped = dropped;
		return;
	}
	if (flight->size <= size_for(max))
		return;
	while (first_part(flight) + (wrapped(flight) ? flight->tail : 0) > size_for(max))
		drop_oldest(flight);
	resize(flight, size_for(max));
}

void flight_each(const struct flight *flight, uint32_t domid, uint32_t session,
		 void (*show)(void *arg, const struct flight_frame *frame), void *arg)
{
	uint32_t at = flight->head;

	for (uint32_t i = 0; i < flight->count; i++, at = next(flight, at)) {
		const struct kept *kept = kept_at(flight, at);
		struct flight_frame out = { .frame = { .domid = domid, .session = session } };

		out.frame.size = (uint32_t)offsetof(struct flight_frame, payload) + kept->part;
		out.frame.kind = kept->kind;
		out.frame.flags = kept->flags;
		out.frame.time = kept->time;
		out.frame.took = (uint64_t)kept->took << TIME_SHIFT;
		out.frame.upstream = (uint64_t)kept->upstream << TIME_SHIFT;
		out.frame.number = kept->number;
		out.hdr = kept->hdr;
		memcpy(out.payload, kept->payload, kept->part);
		show(arg, &out);
	}
}

struct search {
	uint32_t number;
	struct flight_frame *found;
	bool is;
};

static void compare(void *arg, const struct flight_frame *frame)
{
	struct search *search = arg;

	if (frame->frame.kind != FRAME_REQUEST || frame->frame.number != search->number)
		return;
	*search->found = *frame;
	search->is = true;
}

bool flight_find(const struct flight *flight, uint32_t number, struct flight_frame *found)
{
	struct search search = { .number = number, .found = found };

	flight_each(flight, 0, 0, compare, &search);
	return search.is;
}

void flight_fini(struct flight *flight)
{
	free(flight->data);
	*flight = (struct flight){ .data = NULL };
}
