// SPDX-License-Identifier: MIT
/*
 * seen - see seen.h. Open addressing with linear probing; a slot's place is the top bits of its
 * hash, so that the table can grow without reading keys again.
 */
#include "migration/format/seen.h"

#include "protocol/table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEEN_BITS_MIN 10
#define SEEN_BITS_MAX 32
#define COMPARE_CHUNK 1024

struct slot {
	uint32_t hash;
	uint32_t place; /* offset / 8; 0: free */
};

struct seen {
	int fd;
	unsigned int bits; /* there are 1 << bits slots */
	size_t used;
	struct slot *slots;
};

static size_t slot_home(uint32_t hash, unsigned int bits)
{
	return hash >> (SEEN_BITS_MAX - bits);
}

static void slot_put(struct slot *slots, unsigned int bits, struct slot slot)
{
	size_t mask = ((size_t)1 << bits) - 1;
	size_t i = slot_home(slot.hash, bits);

	while (slots[i].place)
		i = (i + 1) & mask;
	slots[i] = slot;
}

static int seen_grow(struct seen *seen)
{
	unsigned int bits = seen->bits + 1;
	struct slot *slots;

	if (bits > SEEN_BITS_MAX)
		return -ENOMEM;
	slots = calloc((size_t)1 << bits, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < (size_t)1 << seen->bits; i++)
		if (seen->slots[i].place)
			slot_put(slots, bits, seen->slots[i]);
	free(seen->slots);
	seen->slots = slots;
	seen->bits = bits;
	return 0;
}

/* Whether the @len octets of @key also lie at @offset; negative errno when they cannot be read. */
static int spool_matches(int fd, uint64_t offset, const uint8_t *key, size_t len)
{
	uint8_t chunk[COMPARE_CHUNK];

	while (len) {
		size_t want = len < sizeof(chunk) ? len : sizeof(chunk);
		ssize_t got = pread(fd, chunk, want, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got || memcmp(chunk, key, (size_t)got))
			return false;
		key += got;
		offset += (uint64_t)got;
		len -= (size_t)got;
	}
	return true;
}

static uint32_t key_hash(const void *key, size_t len)
{
	return (uint32_t)(table_hash(key, len) >> 32);
}

/* The offset that an equal key was added with, 0 if there is none. */
static int seen_find(const struct seen *seen, const void *key, size_t len, uint64_t *offset)
{
	uint32_t hash = key_hash(key, len);
	size_t mask = ((size_t)1 << seen->bits) - 1;

	*offset = 0;
	for (size_t i = slot_home(hash, seen->bits); seen->slots[i].place; i = (i + 1) & mask) {
		uint64_t other = (uint64_t)seen->slots[i].place * 8;
		int r;

		if (seen->slots[i].hash != hash)
			continue;
		r = spool_matches(seen->fd, other, key, len);
		if (r < 0)
			return r;
		if (r) {
			*offset = other;
			return 0;
		}
	}
	return 0;
}

int seen_add(struct seen *seen, const void *key, size_t len, uint64_t offset, uint64_t *earlier)
{
	struct slot slot = { .hash = key_hash(key, len), .place = (uint32_t)(offset / 8) };
	int r = seen_find(seen, key, len, earlier);

	if (r || *earlier)
		return r;
	if (seen->used + 1 > ((size_t)7 << seen->bits) / 8) {
		r = seen_grow(seen);
		if (r)
			return r;
	}
	slot_put(seen->slots, seen->bits, slot);
	seen->used++;
	return 0;
}

void seen_free(struct seen *seen)
{
	if (!seen)
		return;
	free(seen->slots);
	free(seen);
}

static void seen_freep(struct seen **seen)
{
	seen_free(*seen);
}

int seen_new(struct seen **out, int fd)
{
	__attribute__((cleanup(seen_freep))) struct seen *seen = calloc(1, sizeof(*seen));

	if (!seen)
		return -ENOMEM;
	seen->fd = fd;
	seen->bits = SEEN_BITS_MIN;
	seen->slots = calloc((size_t)1 << seen->bits, sizeof(*seen->slots));
	if (!seen->slots)
		return -ENOMEM;
	*out = seen;
	seen = NULL;
	return 0;
}
