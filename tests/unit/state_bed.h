/* SPDX-License-Identifier: MIT */
/*
 * state_bed - states in memory: read, shown, written again.
 */
#ifndef XSPROXY_TESTS_STATE_BED_H
#define XSPROXY_TESTS_STATE_BED_H

#include "tests/unit/golden/records.h"
#include "tests/unit/golden/states.h"

#include <errno.h>

#include "migration/format/state_stream.h"
#include "migration/show_state.h"

#define GOLDEN_OX_LEN (sizeof(golden_ox) - 1)

static inline int state_open(struct state_reader **reader, const void *octets, size_t len,
			     struct record_fault *fault)
{
	int fd = input_fd(octets, len);
	int r = state_reader_open(reader, fd, LIBXL_STREAM_MAX_DEFAULT, fault);

	close(fd);
	return r;
}

/* What is shown of a state, line by line; free() it. */
static inline char *state_shown(const void *octets, size_t len, bool json)
{
	static char *text; /* or gcc 12 thinks that it dangles */
	static size_t text_len;
	struct state_reader *reader;
	FILE *file = open_memstream(&text, &text_len);

	assert_non_null(file);
	assert_int_equal(state_open(&reader, octets, len, NULL), 0);
	assert_int_equal(show_state(reader, file, json), 0);
	state_reader_free(reader);
	fclose(file);
	return text;
}

/* All items of one written as another; free() it. */
static inline char *state_copied(const void *octets, size_t len, enum state_format to,
				 size_t *copy_len)
{
	struct state_reader *reader;
	struct state_writer *writer;
	struct state_item item;
	char *copy = NULL;
	FILE *file = open_memstream(&copy, copy_len);
	int r;

	assert_non_null(file);
	assert_int_equal(state_open(&reader, octets, len, NULL), 0);
	assert_int_equal(state_writer_new(&writer, file, to), 0);
	while ((r = state_reader_next(reader, &item)) > 0)
		assert_int_equal(state_writer_append(writer, &item, NULL), 0);
	assert_int_equal(r, 0);
	assert_int_equal(state_reader_next(reader, &item), 0); /* the end stays the end */
	assert_int_equal(state_writer_finish(writer), 0);
	state_writer_free(writer);
	state_reader_free(reader);
	fclose(file);
	return copy;
}

/* What is wrong with a stream after a change of it, and where. */
struct state_refusal {
	size_t at;	   /* where octets are replaced, or appended */
	const char *patch; /* what by */
	size_t patch_len;
	size_t len; /* octets of the stream afterwards; 0: all */
	uint64_t record;
	uint64_t offset;
	const char *reason;
};

#define PATCH(at, octets) at, octets, sizeof(octets) - 1, 0
#define CUT(len)	  0, "", 0, len

static inline void assert_refused(const struct state_refusal *refusal, const void *good,
				  size_t good_len)
{
	size_t patched = refusal->at + refusal->patch_len;
	size_t len = patched > good_len ? patched : good_len;
	struct record_fault fault = { 0 };
	struct state_reader *reader;
	char *octets = malloc(len);

	assert_non_null(octets);
	memcpy(octets, good, good_len);
	memcpy(octets + refusal->at, refusal->patch, refusal->patch_len);
	if (refusal->len)
		len = refusal->len;
	assert_int_equal(state_open(&reader, octets, len, &fault), -EBADMSG);
	assert_fault(&fault, refusal->record, refusal->offset, refusal->reason);
	free(octets);
}

#endif
