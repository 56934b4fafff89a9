/* SPDX-License-Identifier: MIT */
/*
 * seen - which keys a spooled stream has had, to find duplicates exactly and in little memory.
 *
 * A stream of 64 MiB can hold four million records, so a uthash table (some 100 octets a record) is
 * no choice. A slot here has 8 octets: 32 bits of table_hash() (a stream cannot be built to
 * collide) and where the key lies in the spool, in units of 8 octets. Equal hashes are settled
 * by reading the earlier key back, so no stream is refused by chance. Slots are at most 7/8 full
 * and double, so the table takes less than 28 octets a record, that is less than twice the octets
 * of the shortest records.
 *
 * Called by libxl_reader.c alone. Must never keep a key in memory.
 */
#ifndef XSPROXY_MIGRATION_FORMAT_SEEN_H
#define XSPROXY_MIGRATION_FORMAT_SEEN_H

#include <stddef.h>
#include <stdint.h>

/* Offsets have to fit 32 bits in units of 8 octets. */
#define SEEN_OFFSET_MAX ((uint64_t)UINT32_MAX * 8)

struct seen;

/**
 * seen_new() - an empty set.
 * @out: gets it; seen_free() it
 * @fd: the spool that keys are read back from, by pread(); stays the caller's and outlives the set
 *
 * Return: 0 or -ENOMEM.
 */
int seen_new(struct seen **out, int fd);

/** seen_free() - free @seen, which may be NULL. */
void seen_free(struct seen *seen);

/**
 * seen_add() - add the key that lies at @offset in the spool.
 * @key: its @len octets in memory; keys must be prefix-free (libxl_record_key_size())
 * @offset: a multiple of 8, not 0, at most SEEN_OFFSET_MAX
 * @earlier: gets the offset of an equal key that was added before, 0 if there is none
 *
 * Return: 0 (also for a duplicate, which is not added), -ENOMEM, or what pread() failed with.
 */
int seen_add(struct seen *seen, const void *key, size_t len, uint64_t offset, uint64_t *earlier);

#endif
