/* SPDX-License-Identifier: MIT */
/*
 * records - what golden_full says, as struct record, and tools that tests of migration/ share:
 * comparing records, making random ones, and handing octets to a reader.
 */
#ifndef XSPROXY_TESTS_GOLDEN_RECORDS_H
#define XSPROXY_TESTS_GOLDEN_RECORDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h> /* needs the above */

#include "migration/format/libxl_stream.h"

#define ARRAY_LEN(array) (sizeof(array) / sizeof(*(array)))

static const struct record_perm golden_perms_1[] = {
	{ .letter = 'n', .domid = { 7, 0 } },
	{ .letter = 'r', .domid = { 0, 0 } },
};

static const struct record_perm golden_perms_4[] = {
	{ .letter = 'b', .domid = { 0x34, 0x12 } },
};

/* The records of golden_full in order, and where their bodies are. */
static const struct golden_record {
	size_t body;
	size_t len;
	size_t key; /* octets of the body that identify the record */
	struct record rec;
} golden_records[] = {
	{ 24,
	  52,
	  28,
	  { .kind = RECORD_NODE,
	    .node = { "/local/domain/7/name", 20, golden_perms_1, 2, "guest", 5 } } },
	{ 88, 32, 32, { .kind = RECORD_WATCH, .watch = { "control/shutdown", 16, "k\xff", 2 } } },
	{ 128, 8, 8, { .kind = RECORD_TRANSACTION, .transaction = { 0x12345678 } } },
	{ 144,
	  36,
	  24,
	  { .kind = RECORD_NODE, .node = { "/local/domain/7", 15, golden_perms_4, 1, NULL, 0 } } },
	{ 192, 28, 28, { .kind = RECORD_WATCH, .watch = { "@releaseDomain", 14, NULL, 0 } } },
};

static inline void assert_octets_equal(const void *got, size_t got_len, const void *want,
				       size_t want_len)
{
	assert_int_equal(got_len, want_len);
	if (want_len)
		assert_memory_equal(got, want, want_len);
}

static inline void assert_record_equal(const struct record *got, const struct record *want)
{
	assert_int_equal(got->kind, want->kind);
	switch (want->kind) {
	case RECORD_NODE:
		assert_octets_equal(got->node.path, got->node.path_len, want->node.path,
				    want->node.path_len);
		assert_octets_equal(
			got->node.perms, got->node.nr_perms * sizeof(struct record_perm),
			want->node.perms, want->node.nr_perms * sizeof(struct record_perm));
		assert_octets_equal(got->node.value, got->node.value_len, want->node.value,
				    want->node.value_len);
		break;
	case RECORD_WATCH:
		assert_octets_equal(got->watch.path, got->watch.path_len, want->watch.path,
				    want->watch.path_len);
		assert_octets_equal(got->watch.token, got->watch.token_len, want->watch.token,
				    want->watch.token_len);
		break;
	case RECORD_TRANSACTION:
		assert_int_equal(got->transaction.tx_id, want->transaction.tx_id);
		break;
	}
}

static inline void assert_fault(const struct record_fault *fault, uint64_t record, uint64_t offset,
				const char *reason)
{
	assert_string_equal(fault->reason, reason);
	assert_int_equal(fault->record, record);
	assert_int_equal(fault->offset, offset);
}

/* A descriptor that reads @octets from the start. */
static inline int input_fd(const void *octets, size_t len)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, octets, len), len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static inline int open_octets(struct libxl_reader **reader, const void *octets, size_t len,
			      uint64_t max, struct record_fault *fault)
{
	int fd = input_fd(octets, len);
	int r = libxl_reader_open(reader, fd, max, fault);

	close(fd);
	return r;
}

/* What a writer wrote into memory. */
struct written {
	FILE *file;
	char *octets;
	size_t len;
	struct libxl_writer *writer;
};

static inline void written_start(struct written *written)
{
	memset(written, 0, sizeof(*written));
	written->file = open_memstream(&written->octets, &written->len);
	assert_non_null(written->file);
	assert_int_equal(libxl_writer_new(&written->writer, written->file), 0);
}

static inline void written_add(struct written *written, const struct record *rec)
{
	assert_int_equal(libxl_writer_append(written->writer, rec, NULL), 0);
}

static inline void written_finish(struct written *written)
{
	assert_int_equal(libxl_writer_finish(written->writer), 0);
	libxl_writer_free(written->writer);
	fclose(written->file);
}

/* --- random records: all memory is in the struct, so it has to stay where it is */

#define RANDOM_OCTETS 200
#define RANDOM_PERMS  8

struct random_record {
	char first[RANDOM_OCTETS];
	char second[RANDOM_OCTETS];
	struct record_perm perms[RANDOM_PERMS];
	struct record rec;
};

static inline unsigned int random_below(unsigned int *seed, unsigned int limit)
{
	return (unsigned int)rand_r(seed) % limit;
}

/* A path of 8 to RANDOM_OCTETS - 1 octets: long enough that chance makes no duplicates. */
static inline size_t random_path(unsigned int *seed, char *out, bool absolute)
{
	static const char chars[] = "ABCXYZabcxyz0189-_@/";
	size_t len = 8 + random_below(seed, RANDOM_OCTETS - 8);

	for (size_t i = 0; i < len; i++) {
		out[i] = chars[random_below(seed, sizeof(chars) - 1)];
		if (out[i] == '/' && (!i || i == len - 1 || out[i - 1] == '/'))
			out[i] = 'x';
	}
	if (absolute) {
		out[0] = '/';
		if (out[1] == '/')
			out[1] = 'x';
	}
	return len;
}

static inline size_t random_octets(unsigned int *seed, char *out, int lowest)
{
	size_t len = random_below(seed, RANDOM_OCTETS);

	for (size_t i = 0; i < len; i++)
		out[i] = (char)(lowest + (int)random_below(seed, 256 - (unsigned int)lowest));
	return len;
}

static inline void random_record(unsigned int *seed, struct random_record *out)
{
	size_t first;

	out->rec.kind = 1 + random_below(seed, 3);
	first = random_path(seed, out->first,
			    out->rec.kind == RECORD_NODE || random_below(seed, 2));
	if (out->rec.kind == RECORD_NODE) {
		size_t nr_perms = 1 + random_below(seed, RANDOM_PERMS);

		for (size_t i = 0; i < nr_perms; i++)
			out->perms[i] = record_perm_make("wrbn"[random_below(seed, 4)],
							 (uint16_t)random_below(seed, 0x10000));
		out->rec.node = (struct record_node){
			out->first, first,	 out->perms,
			nr_perms,   out->second, random_octets(seed, out->second, 0),
		};
	} else if (out->rec.kind == RECORD_WATCH) {
		out->rec.watch = (struct record_watch){ out->first, first, out->second,
							random_octets(seed, out->second, 1) };
	} else {
		out->rec.transaction.tx_id = 1 + (uint32_t)rand_r(seed);
	}
}

#endif
