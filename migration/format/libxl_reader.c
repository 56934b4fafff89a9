// SPDX-License-Identifier: MIT
/*
 * libxl_reader - the reading half of libxl_stream.h: the framing, one record, the check of the
 * whole. The check and the caller's passes run the same code; only the check looks for duplicates.
 */
#include "migration/format/libxl_stream.h"

#include "migration/format/libxl_framing.h"
#include "migration/format/libxl_record.h"
#include "migration/format/seen.h"
#include "migration/format/spool.h"
#include "text/buffer.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

_Static_assert(LIBXL_STREAM_MAX <= SEEN_OFFSET_MAX, "all offsets can be kept");

struct libxl_reader {
	struct spool *spool;
	uint64_t record; /* number of the current record */
	uint64_t start;	 /* where it begins */
	bool ended;
	struct seen *seen;  /* what the check found */
	struct buffer body; /* of the current record */
	struct record_fault fault;
};

/* --- reader: framing. A refusal's offset counts from the start of the stream. */

#define refuse(reader, ...) (record_refuse(&(reader)->fault, __VA_ARGS__), -EBADMSG)

/* The stream ends too early: by itself, or because no more of it was taken. */
static int refuse_end(struct libxl_reader *reader, const char *where)
{
	uint64_t end = spool_pos(reader->spool) + spool_left(reader->spool);

	if (spool_cut(reader->spool))
		return refuse(reader, end, "the stream is longer than %" PRIu64 " octets", end);
	return refuse(reader, end, "the stream ends %s", where);
}

static int reader_get_header(struct libxl_reader *reader)
{
	struct libxl_header header;
	uint32_t options;
	int r;

	if (spool_left(reader->spool) < sizeof(header))
		return refuse_end(reader, "inside the header");
	r = spool_get(reader->spool, &header, sizeof(header));
	if (r)
		return r;
	options = be32toh(header.options);
	if (be64toh(header.ident) != LIBXL_STREAM_IDENT)
		return refuse(reader, 0, "not a libxl stream: ident 0x%016" PRIx64,
			      be64toh(header.ident));
	if (be32toh(header.version) != LIBXL_STREAM_VERSION)
		return refuse(reader, offsetof(struct libxl_header, version),
			      "version %" PRIu32 ", not %d", be32toh(header.version),
			      LIBXL_STREAM_VERSION);
	if (options & LIBXL_STREAM_OPTION_BIG_ENDIAN)
		return refuse(reader, offsetof(struct libxl_header, options),
			      "the stream is big-endian");
	if (options)
		return refuse(reader, offsetof(struct libxl_header, options),
			      "unknown options 0x%08" PRIx32, options);
	return 0;
}

/* The start of the next record. */
static int reader_get_record_header(struct libxl_reader *reader, struct libxl_record_header *header)
{
	int r;

	reader->start = spool_pos(reader->spool);
	reader->record++;
	if (!spool_left(reader->spool))
		return refuse_end(reader, "without END");
	if (spool_left(reader->spool) < sizeof(*header))
		return refuse_end(reader, "inside a record's header");
	r = spool_get(reader->spool, header, sizeof(*header));
	if (r)
		return r;
	header->type = le32toh(header->type);
	header->length = le32toh(header->length);
	return 0;
}

/* Before anything is allocated for a body, or skipped: is it there, with its padding? */
static int check_room(struct libxl_reader *reader, const struct libxl_record_header *header)
{
	uint64_t left = spool_left(reader->spool);

	if (header->length > left)
		return refuse_end(reader, "inside a record's body");
	if (libxl_padded(header->length) > left)
		return refuse_end(reader, "inside a record's padding");
	return 0;
}

static int check_padding(struct libxl_reader *reader, const uint8_t *pad, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (pad[i])
			return refuse(reader, spool_pos(reader->spool) - len + i,
				      "non-zero padding after a record");
	return 0;
}

static int reader_end(struct libxl_reader *reader, const struct libxl_record_header *header)
{
	if (header->length)
		return refuse(reader, reader->start + offsetof(struct libxl_record_header, length),
			      "END with a length of %" PRIu32, header->length);
	if (spool_left(reader->spool) || spool_cut(reader->spool))
		return refuse(reader, spool_pos(reader->spool), "octets follow END");
	return 0;
}

static int reader_skip(struct libxl_reader *reader, const struct libxl_record_header *header)
{
	uint8_t pad[LIBXL_STREAM_ALIGNMENT];
	size_t pad_len = libxl_padded(header->length) - header->length;
	int r = check_room(reader, header);

	if (!r)
		r = spool_skip(reader->spool, header->length);
	if (!r)
		r = spool_get(reader->spool, pad, pad_len);
	if (r)
		return r;
	return check_padding(reader, pad, pad_len);
}

static int refuse_type(struct libxl_reader *reader, uint32_t type)
{
	static const char *const libxl[] = {
		[1] = "LIBXC_CONTEXT",	[2] = "EMULATOR_XENSTORE_DATA", [3] = "EMULATOR_CONTEXT",
		[4] = "CHECKPOINT_END", [5] = "CHECKPOINT_STATE",
	};

	if (type < sizeof(libxl) / sizeof(*libxl))
		return refuse(reader, reader->start,
			      "record type %" PRIu32 " (%s) is not for Xenstore streams", type,
			      libxl[type]);
	return refuse(reader, reader->start, "unknown record type 0x%08" PRIx32, type);
}

/* --- reader: records */

static int reader_get_body(struct libxl_reader *reader, const struct libxl_record_header *header,
			   struct record *rec)
{
	uint64_t body = spool_pos(reader->spool);
	size_t size = libxl_padded(header->length);
	int r = check_room(reader, header);

	if (!r)
		r = buffer_reserve(&reader->body, size);
	if (!r)
		r = spool_get(reader->spool, reader->body.data, size);
	if (r)
		return r;
	r = libxl_record_decode(rec, reader->body.data, header->length, &reader->fault);
	if (r) {
		reader->fault.offset += body;
		return r;
	}
	return check_padding(reader, (const uint8_t *)reader->body.data + header->length,
			     size - header->length);
}

/* libxl_reader_next(), with refusals in reader->fault. */
static int reader_next(struct libxl_reader *reader, struct record *rec)
{
	for (;;) {
		struct libxl_record_header header = { 0 };
		int r = reader_get_record_header(reader, &header);

		if (r)
			return r;
		if (header.type == LIBXL_STREAM_END)
			return reader_end(reader, &header);
		if (header.type == LIBXL_STREAM_XENSTORE_DATA) {
			r = reader_get_body(reader, &header, rec);
			return r ? r : 1;
		}
		if (!(header.type & LIBXL_STREAM_OPTIONAL))
			return refuse_type(reader, header.type);
		r = reader_skip(reader, &header);
		if (r)
			return r;
	}
}

static int refuse_duplicate(struct libxl_reader *reader, enum record_kind kind, uint64_t earlier)
{
	static const char *const what[] = {
		[RECORD_NODE] = "this node",
		[RECORD_WATCH] = "this watch",
		[RECORD_TRANSACTION] = "this transaction",
	};

	return refuse(reader, reader->start, "%s was given before, at octet %" PRIu64, what[kind],
		      earlier - sizeof(struct libxl_record_header));
}

/* The first pass. */
static int reader_check(struct libxl_reader *reader)
{
	struct record rec = { 0 };
	int r = seen_new(&reader->seen, spool_fd(reader->spool));

	if (!r)
		r = libxl_reader_rewind(reader);
	if (r)
		return r;
	while ((r = reader_next(reader, &rec)) > 0) {
		uint64_t body = reader->start + sizeof(struct libxl_record_header);
		uint64_t earlier;

		r = seen_add(reader->seen, reader->body.data, libxl_record_key_size(&rec), body,
			     &earlier);
		if (r)
			return r;
		if (earlier)
			return refuse_duplicate(reader, rec.kind, earlier);
	}
	return r;
}

int libxl_reader_rewind(struct libxl_reader *reader)
{
	int r = spool_rewind(reader->spool);

	reader->record = 0;
	reader->start = 0;
	reader->ended = false;
	return r ? r : reader_get_header(reader);
}

int libxl_reader_next(struct libxl_reader *reader, struct record *rec)
{
	int r = reader->ended ? 0 : reader_next(reader, rec);

	reader->ended = !r;
	return r;
}

void libxl_reader_locate(const struct libxl_reader *reader, struct record_fault *fault)
{
	fault->record = reader->record;
	fault->offset = reader->start;
}

void libxl_reader_free(struct libxl_reader *reader)
{
	if (!reader)
		return;
	seen_free(reader->seen);
	spool_free(reader->spool);
	free(reader->body.data);
	free(reader);
}

static void libxl_reader_freep(struct libxl_reader **reader)
{
	libxl_reader_free(*reader);
}

int libxl_reader_adopt(struct libxl_reader **out, struct spool *spool, struct record_fault *fault)
{
	__attribute__((cleanup(libxl_reader_freep))) struct libxl_reader *reader =
		calloc(1, sizeof(*reader));
	int r;

	if (!reader) {
		spool_free(spool);
		return -ENOMEM;
	}
	reader->spool = spool;
	r = reader_check(reader);
	if (r == -EBADMSG && fault) {
		*fault = reader->fault;
		fault->record = reader->record;
	}
	if (!r)
		r = libxl_reader_rewind(reader);
	if (r)
		return r;
	*out = reader;
	reader = NULL;
	return 0;
}

int libxl_reader_open(struct libxl_reader **out, int fd, uint64_t max_stream,
		      struct record_fault *fault)
{
	struct spool *spool;
	int r;

	if (max_stream > LIBXL_STREAM_MAX)
		return -EINVAL;
	r = spool_new(&spool, fd, max_stream);
	return r ? r : libxl_reader_adopt(out, spool, fault);
}
