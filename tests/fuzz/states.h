/* SPDX-License-Identifier: MIT */
/*
 * states - what holds of a daemon's state in any format: it is refused as a whole, with a place in
 * it, or every pass over it gives the same; written again in its own format it reads the same, and
 * writing that gives the very same octets; and whatever a conversion to another format lets through
 * is something that this format takes.
 *
 * Files are in memory, and the same again, since they cost most of the time.
 */
#ifndef XSPROXY_TESTS_FUZZ_STATES_H
#define XSPROXY_TESTS_FUZZ_STATES_H

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "migration/conversion.h"
#include "migration/show_state.h"
#include "tests/fuzz/fuzz.h"

#define MAX_STREAM 262144

/* The spool's, one at a time. */
FILE *tmpfile(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("spool", MFD_CLOEXEC);
	CHECK(!ftruncate(fd, 0) && !lseek(fd, 0, SEEK_SET));
	return fdopen(dup(fd), "w+");
}

static FILE *nowhere;

static inline struct state_reader *states_open(const void *data, size_t size, int *err)
{
	static int fd = -1;
	struct record_fault fault = { .offset = UINT64_MAX };
	struct state_reader *reader = NULL;

	if (fd < 0)
		fd = memfd_create("state", MFD_CLOEXEC);
	CHECK(!ftruncate(fd, 0));
	CHECK(pwrite(fd, data, size, 0) == (ssize_t)size);
	CHECK(!lseek(fd, 0, SEEK_SET));
	*err = state_reader_open(&reader, fd, MAX_STREAM, &fault);
	CHECK(!*err || *err == -EBADMSG);
	CHECK(!*err == !!reader);
	if (*err)
		CHECK(fault.offset <= size && fault.reason[0] &&
		      memchr(fault.reason, 0, sizeof(fault.reason)));
	return reader;
}

/* All that is known to @to; free() it. @conversion: NULL: it is the same format. */
static inline char *states_write(struct state_reader *reader, enum state_format to,
				 struct conversion *conversion, size_t *len)
{
	struct state_writer *writer;
	struct record_fault fault;
	struct state_item item;
	char *octets = NULL;
	FILE *file = open_memstream(&octets, len);
	int r;

	CHECK(file && !state_writer_new(&writer, file, to));
	CHECK(!state_reader_rewind(reader));
	while ((r = state_reader_next(reader, &item)) > 0) {
		if (conversion && !conversion_item(conversion, &item))
			continue;
		if (!conversion && item.kind == STATE_UNKNOWN)
			continue;
		CHECK(!state_writer_append(writer, &item, &fault));
	}
	CHECK(!r && !state_reader_next(reader, &item)); /* the end stays the end */
	CHECK(!state_writer_finish(writer));
	state_writer_free(writer);
	fclose(file);
	return octets;
}

/* To @to, as a whole or of one domain: it can be written, and read. */
static inline void states_convert(struct state_reader *reader, enum state_format to, bool one)
{
	struct conversion_options options = { .to = to, .one = one, .domid = 7 };
	struct report report = { nowhere, "fuzz" };
	struct conversion *conversion;
	struct omissions *omissions;
	struct state_reader *again;
	char *octets;
	size_t len;
	int err;

	CHECK(!omissions_new(&omissions, &report, NULL));
	CHECK(!conversion_new(&conversion, &options, omissions));
	octets = states_write(reader, to, conversion, &len);
	again = states_open(octets, len, &err);
	CHECK(!err || len > MAX_STREAM);
	state_reader_free(again);
	conversion_free(conversion);
	omissions_free(omissions);
	free(octets);
}

/* The same for libxl's, whose records are not all there is of an item. */
static inline void states_convert_libxl(struct state_reader *reader)
{
	struct conversion_options options = { .to = STATE_LIBXL, .one = true, .domid = 7 };
	struct report report = { nowhere, "fuzz" };
	struct conversion *conversion;
	struct omissions *omissions;
	struct libxl_writer *writer;
	struct state_item item;

	CHECK(!omissions_new(&omissions, &report, NULL));
	CHECK(!conversion_new(&conversion, &options, omissions));
	CHECK(!libxl_writer_new(&writer, nowhere));
	CHECK(!state_reader_rewind(reader));
	while (state_reader_next(reader, &item) > 0) {
		struct record rec = { .kind = RECORD_NODE };

		if (!conversion_item(conversion, &item) || item.kind != STATE_NODE)
			continue;
		rec.node = item.node.node;
		CHECK(!libxl_writer_append(writer, &rec, NULL));
	}
	libxl_writer_free(writer);
	conversion_free(conversion);
	omissions_free(omissions);
}

/* Written as @same and read again it is the same. */
static inline void states_again(struct state_reader *reader, enum state_format same)
{
	size_t len, twice_len;
	char *octets = states_write(reader, same, NULL, &len), *twice;
	struct state_reader *again;
	int err;

	again = states_open(octets, len, &err);
	CHECK(!err || len > MAX_STREAM);
	if (!err) {
		twice = states_write(again, same, NULL, &twice_len);
		CHECK(twice_len == len && !memcmp(octets, twice, len));
		free(twice);
	}
	state_reader_free(again);
	free(octets);
}

/*
 * @same: the format that holds all that one like it does
 * @can: tells whether it holds all that @reader has; NULL: it does
 */
static inline void states_test(const void *data, size_t size, enum state_format same,
			       bool (*can)(struct state_reader *reader))
{
	struct state_reader *reader;
	int err;

	if (!nowhere)
		nowhere = fopen("/dev/null", "we");
	reader = states_open(data, size, &err);
	if (err)
		return;
	for (int json = 0; json < 2; json++)
		CHECK(!show_state(reader, nowhere, json));
	if (!can || can(reader))
		states_again(reader, same);
	for (enum state_format to = STATE_C; to <= STATE_OX_DEPTH; to++)
		states_convert(reader, to, size % 2);
	states_convert_libxl(reader);
	state_reader_free(reader);
}

#endif
