// SPDX-License-Identifier: MIT
#include "proxy/mirror/annals.h"

#include <errno.h>
#include <string.h>

#define MAGIC	  0x726f7272696d7878ULL /* "xxmirror" */
#define DATA_OFF  ((uint64_t)sizeof(struct annals_header))
#define SIZE	  (DATA_OFF + ANNALS_DATA_MAX)
#define KIND_FILL 0 /* of no record: the end of the ring */
#define NAME	  "xsproxy-mirror"

_Static_assert(ANNALS_BODY_MAX + sizeof(struct annals_record) <= UINT16_MAX * ANNALS_ALIGN,
	       "the size of a record can be said");

static uint64_t chunk_up(uint64_t pos)
{
	return (pos + ANNALS_CHUNK - 1) / ANNALS_CHUNK * ANNALS_CHUNK;
}

static uint64_t offset(uint64_t pos)
{
	return DATA_OFF + pos % ANNALS_DATA_MAX;
}

struct annals_record *annals_at(const struct annals *annals, uint64_t pos)
{
	return (struct annals_record *)(annals->arena.base + offset(pos));
}

int annals_create(struct annals *annals, uint64_t rings, uint32_t flavour, uint64_t most)
{
	struct annals_header *header;
	int err = arena_create(&annals->arena, NAME, SIZE);

	if (err)
		return err;
	err = arena_reserve(&annals->arena, 0, DATA_OFF);
	if (err) {
		annals_close(annals);
		return err;
	}
	header = annals_header(annals);
	header->magic = MAGIC;
	header->version = ANNALS_VERSION;
	header->flavour = flavour;
	header->rings = rings;
	annals->most = most;
	annals->next = annals->reserved = 0;
	return 0;
}

static bool is_sane(const struct annals_header *header)
{
	uint64_t head = atomic_load(&header->head), tail = atomic_load(&header->tail);

	return header->magic == MAGIC && header->version == ANNALS_VERSION && head <= tail &&
	       tail - head <= ANNALS_DATA_MAX && !(head % ANNALS_ALIGN) && !(tail % ANNALS_ALIGN);
}

int annals_open(struct annals *annals, int fd, uint64_t most)
{
	int err = arena_open(&annals->arena, fd, SIZE);

	if (err)
		return err;
	if (!is_sane(annals_header(annals))) {
		annals->arena.fd = -1; /* it stays the caller's */
		annals_close(annals);
		return -EPROTO;
	}
	annals->most = most;
	annals->next = annals_tail(annals);
	annals->reserved = chunk_up(annals->next);
	return 0;
}

void annals_close(struct annals *annals)
{
	arena_close(&annals->arena);
}

void annals_begin(struct annals *annals)
{
	annals->next = annals_tail(annals);
}

/* Whether there is memory up to @end. */
static bool reserve(struct annals *annals, uint64_t end)
{
	if (end - annals_head(annals) > annals->most)
		return false;
	for (; annals->reserved < end; annals->reserved += ANNALS_CHUNK)
		if (arena_reserve(&annals->arena, offset(annals->reserved), ANNALS_CHUNK))
			return false;
	return true;
}

/* The rest of the ring holds no record of @size. Return: how much there is of it. */
static uint64_t left_over(const struct annals *annals, uint32_t size)
{
	uint64_t left = ANNALS_DATA_MAX - annals->next % ANNALS_DATA_MAX;

	return left < size ? left : 0;
}

static struct annals_record *put(struct annals *annals, uint8_t kind, uint32_t size)
{
	struct annals_record *record = annals_at(annals, annals->next);

	record->quads = (uint16_t)(size / ANNALS_ALIGN);
	record->kind = kind;
	record->spare = 0;
	annals->next += size;
	return record;
}

struct annals_record *annals_add(struct annals *annals, uint8_t kind, uint32_t len, uint64_t *pos)
{
	uint32_t size = annals_size(len);
	uint64_t left = left_over(annals, size);
	struct annals_record *record;

	if (!reserve(annals, annals->next + left + size))
		return NULL;
	if (left)
		put(annals, KIND_FILL, (uint32_t)left);
	*pos = annals->next;
	record = put(annals, kind, size);
	memset((uint8_t *)record + size - ANNALS_ALIGN, 0, len ? ANNALS_ALIGN : 0);
	return record;
}

void annals_end(struct annals *annals)
{
	atomic_store_explicit(&annals_header(annals)->tail, annals->next, memory_order_release);
}

struct annals_record *annals_step(const struct annals *annals, uint64_t pos, uint64_t *next)
{
	struct annals_record *record = annals_at(annals, pos);
	uint64_t size = (uint64_t)record->quads * ANNALS_ALIGN;

	*next = pos;
	if (size < sizeof(*record) || size > annals_tail(annals) - pos ||
	    size > ANNALS_DATA_MAX - pos % ANNALS_DATA_MAX)
		return record;
	*next = pos + size;
	return record->kind == KIND_FILL ? NULL : record;
}

void annals_drop(struct annals *annals, uint64_t pos)
{
	uint64_t from = annals_head(annals) / ANNALS_CHUNK * ANNALS_CHUNK;

	atomic_store_explicit(&annals_header(annals)->head, pos, memory_order_release);
	for (; from + ANNALS_CHUNK <= pos; from += ANNALS_CHUNK)
		arena_discard_many(&annals->arena, offset(from), ANNALS_CHUNK);
}
