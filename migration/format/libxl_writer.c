// SPDX-License-Identifier: MIT
/*
 * libxl_writer - the writing half of libxl_stream.h.
 */
#include "migration/format/libxl_stream.h"

#include "migration/format/libxl_framing.h"
#include "migration/format/libxl_record.h"
#include "text/buffer.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct libxl_writer {
	FILE *file;
	int error; /* the first one, for ever */
	uint64_t records;
	uint64_t offset;
	struct buffer body;
};

static int writer_put(struct libxl_writer *writer, const void *data, size_t len)
{
	if (fwrite(data, 1, len, writer->file) != len)
		return -errno;
	writer->offset += len;
	return 0;
}

static int writer_put_header(struct libxl_writer *writer)
{
	struct libxl_header header = { .ident = htobe64(LIBXL_STREAM_IDENT),
				       .version = htobe32(LIBXL_STREAM_VERSION) };

	return writer_put(writer, &header, sizeof(header));
}

static int writer_put_record_header(struct libxl_writer *writer, uint32_t type, uint32_t length)
{
	struct libxl_record_header header = { .type = htole32(type), .length = htole32(length) };

	return writer_put(writer, &header, sizeof(header));
}

static int writer_put_record(struct libxl_writer *writer, const struct record *rec,
			     struct record_fault *fault)
{
	size_t size = libxl_record_size(rec);
	int r;

	if (size == SIZE_MAX)
		return -EMSGSIZE;
	r = buffer_reserve(&writer->body, libxl_padded(size));
	if (r)
		return r;
	r = libxl_record_encode(rec, writer->body.data, size, fault);
	if (r == -EBADMSG && fault) {
		fault->record = writer->records + 1;
		fault->offset += writer->offset + sizeof(struct libxl_record_header);
	}
	if (r)
		return r;
	memset((uint8_t *)writer->body.data + size, 0, libxl_padded(size) - size);
	r = writer_put_record_header(writer, LIBXL_STREAM_XENSTORE_DATA, size);
	if (!r)
		r = writer_put(writer, writer->body.data, libxl_padded(size));
	if (!r)
		writer->records++;
	return r;
}

int libxl_writer_append(struct libxl_writer *writer, const struct record *rec,
			struct record_fault *fault)
{
	if (!writer->error)
		writer->error = writer_put_record(writer, rec, fault);
	return writer->error;
}

int libxl_writer_finish(struct libxl_writer *writer)
{
	if (!writer->error)
		writer->error = writer_put_record_header(writer, LIBXL_STREAM_END, 0);
	if (!writer->error && fflush(writer->file))
		writer->error = -errno;
	return writer->error;
}

void libxl_writer_free(struct libxl_writer *writer)
{
	if (!writer)
		return;
	free(writer->body.data);
	free(writer);
}

static void libxl_writer_freep(struct libxl_writer **writer)
{
	libxl_writer_free(*writer);
}

int libxl_writer_continue(struct libxl_writer **out, FILE *file)
{
	struct libxl_writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return -ENOMEM;
	writer->file = file;
	*out = writer;
	return 0;
}

int libxl_writer_new(struct libxl_writer **out, FILE *file)
{
	__attribute__((cleanup(libxl_writer_freep))) struct libxl_writer *writer = NULL;
	int r = libxl_writer_continue(&writer, file);

	if (!r)
		r = writer_put_header(writer);
	if (r)
		return r;
	*out = writer;
	writer = NULL;
	return 0;
}
