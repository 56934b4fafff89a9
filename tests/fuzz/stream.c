// SPDX-License-Identifier: MIT
/*
 * A migration stream from a file: it is refused as a whole, with a place in it, or every pass over
 * it gives the same records, and writing these makes a stream that reads the same.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "migration/format/libxl_stream.h"
#include "tests/fuzz/fuzz.h"

#define MAX_STREAM 65536

static int input_fd = -1;

/* The spool's, one at a time: in memory, and the same again, since files cost most of the time. */
FILE *tmpfile(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("spool", MFD_CLOEXEC);
	CHECK(!ftruncate(fd, 0) && !lseek(fd, 0, SEEK_SET));
	return fdopen(dup(fd), "w+");
}

static struct libxl_reader *open_reader(const uint8_t *data, size_t size, int *err)
{
	struct record_fault fault = { .offset = UINT64_MAX };
	struct libxl_reader *reader = NULL;

	if (input_fd < 0)
		input_fd = memfd_create("stream", MFD_CLOEXEC);
	CHECK(!ftruncate(input_fd, 0));
	CHECK(pwrite(input_fd, data, size, 0) == (ssize_t)size);
	CHECK(!lseek(input_fd, 0, SEEK_SET));
	*err = libxl_reader_open(&reader, input_fd, MAX_STREAM, &fault);
	CHECK(!*err || *err == -EBADMSG);
	CHECK(!*err == !!reader);
	if (*err)
		CHECK(fault.offset <= size && fault.reason[0]);
	return reader;
}

/* One pass, whose records go to @writer if there is one. Return: how many there were. */
static uint32_t pass(struct libxl_reader *reader, struct libxl_writer *writer)
{
	struct record_fault fault;
	struct record rec;
	uint32_t n = 0;
	int r;

	while ((r = libxl_reader_next(reader, &rec)) > 0) {
		n++;
		if (writer)
			CHECK(!libxl_writer_append(writer, &rec, &fault));
	}
	CHECK(!r);
	CHECK(!libxl_reader_next(reader, &rec)); /* the end stays the end */
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct libxl_reader *reader;
	struct libxl_writer *writer;
	char *octets = NULL;
	size_t len = 0;
	uint32_t n;
	FILE *file;
	int err;

	reader = open_reader(data, size, &err);
	if (err)
		return 0;
	n = pass(reader, NULL);
	CHECK(!libxl_reader_rewind(reader));
	file = open_memstream(&octets, &len);
	CHECK(!libxl_writer_new(&writer, file));
	CHECK(pass(reader, writer) == n);
	CHECK(!libxl_writer_finish(writer));
	libxl_writer_free(writer);
	libxl_reader_free(reader);
	fclose(file);

	/* Optional records of others are the only thing that does not come back. */
	CHECK(len <= size);
	reader = open_reader((uint8_t *)octets, len, &err);
	CHECK(!err);
	CHECK(pass(reader, NULL) == n);
	libxl_reader_free(reader);
	free(octets);
	return 0;
}
