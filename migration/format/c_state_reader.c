// SPDX-License-Identifier: MIT
/*
 * c_state_reader - the C daemon's state stream, read: the preamble, and record after record.
 */
#include "migration/format/c_format.h"
#include "migration/format/c_known.h"
#include "migration/format/c_state_decode.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define refuse(source, offset, ...) record_refuse((source)->fault, offset, __VA_ARGS__)

static int c_start(struct state_source *source)
{
	struct c_preamble preamble;
	uint32_t version;
	int r;

	c_known_clear(&source->memory);
	if (spool_left(source->spool) < sizeof(preamble))
		return state_refuse_end(source, "inside the preamble");
	r = spool_get(source->spool, &preamble, sizeof(preamble));
	if (r)
		return r;
	version = be32toh(preamble.version);
	if (version != 1 && version != 2)
		return refuse(source, offsetof(struct c_preamble, version),
			      "version %" PRIu32 ", neither 1 nor 2", version);
	if (preamble.flags)
		return refuse(source, offsetof(struct c_preamble, flags),
			      le32toh(preamble.flags) == C_FLAG_BIG_ENDIAN
				      ? "the stream is big-endian"
				      : "unknown flags");
	source->format = version == 1 ? STATE_C : STATE_C_2;
	return 0;
}

static int get_header(struct state_source *source, struct c_header *header)
{
	int r;

	source->start = spool_pos(source->spool);
	source->record++;
	if (!spool_left(source->spool))
		return state_refuse_end(source, "without END");
	if (spool_left(source->spool) < sizeof(*header))
		return state_refuse_end(source, "inside a record's header");
	r = spool_get(source->spool, header, sizeof(*header));
	header->type = le32toh(header->type);
	header->length = le32toh(header->length);
	return r;
}

static int check_header(struct state_source *source, const struct c_header *header)
{
	if (header->length % C_ALIGNMENT)
		return refuse(source, source->start + offsetof(struct c_header, length),
			      "a record of %" PRIu32 " octets, which is no multiple of %d",
			      header->length, C_ALIGNMENT);
	if (header->length > spool_left(source->spool))
		return state_refuse_end(source, "inside a record's body");
	return 0;
}

static int c_end(struct state_source *source, const struct c_header *header)
{
	if (header->length)
		return refuse(source, source->start + offsetof(struct c_header, length),
			      "END with a length of %" PRIu32, header->length);
	if (spool_left(source->spool) || spool_cut(source->spool))
		return refuse(source, spool_pos(source->spool), "octets follow END");
	return 0;
}

static int get_body(struct state_source *source, size_t from, size_t to)
{
	return spool_get(source->spool, (char *)source->body.data + from, to - from);
}

/* Whether @octets are a string, and its NUL. */
static bool is_string(const char *octets, size_t len)
{
	return len && memchr(octets, 0, len) == octets + len - 1;
}

static bool all_zero(const char *octets, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (octets[i])
			return false;
	return true;
}

/* Whether the strings lie where the depth should. @size: as many octets as that took to write. */
static bool lacks_depth(const char *body, size_t size)
{
	const char *path = body + C_WATCH_EXT_NO_DEPTH;
	struct c_watch raw;
	size_t path_len, token_len;

	memcpy(&raw, body, sizeof(raw));
	path_len = le16toh(raw.path_len);
	token_len = le16toh(raw.token_len);
	return is_string(path, path_len) && is_string(path + path_len, token_len) &&
	       all_zero(path + path_len + token_len,
			size - C_WATCH_EXT_NO_DEPTH - path_len - token_len);
}

/*
 * A watch with a depth. The C daemon of 4.22 writes the fields of one without, and the strings
 * behind them, but the length as if the depth were there: half of such records are 8 octets
 * shorter than they say. It cannot read that itself. No record is of both forms, for where strings
 * have their NUL the other form has an octet of the path or of the token.
 */
static int next_extended(struct state_source *source, const struct c_header *header,
			 struct state_item *item)
{
	struct c_watch raw;
	size_t size;
	int r;

	if (header->length < sizeof(raw))
		return c_state_decode(source, header->type, header->length, item);
	r = get_body(source, 0, sizeof(raw));
	if (r)
		return r;
	memcpy(&raw, source->body.data, sizeof(raw));
	size = c_aligned(sizeof(raw) + le16toh(raw.path_len) + le16toh(raw.token_len));
	if (size > header->length || header->length - size > C_ALIGNMENT)
		size = sizeof(raw); /* neither form */
	r = get_body(source, sizeof(raw), size);
	if (r)
		return r;
	if (size > sizeof(raw) && lacks_depth(source->body.data, size)) {
		r = c_state_decode(source, C_WATCH, size, item);
		item->watch.depth_lost = true;
		return r;
	}
	r = get_body(source, size, header->length);
	return r ? r : c_state_decode(source, header->type, header->length, item);
}

static int c_next(struct state_source *source, struct state_item *item)
{
	struct c_header header = { 0 };
	int r = get_header(source, &header);

	if (r)
		return r;
	if (header.type == C_END)
		return c_end(source, &header);
	r = check_header(source, &header);
	if (!r)
		r = buffer_reserve(&source->body, header.length + !header.length);
	if (!r && header.type == C_WATCH_EXTENDED)
		r = next_extended(source, &header, item);
	else if (!r) {
		r = get_body(source, 0, header.length);
		r = r ? r : c_state_decode(source, header.type, header.length, item);
	}
	return r ? r : 1;
}

static void c_stop(struct state_source *source)
{
	c_known_clear(&source->memory);
}

const struct state_reading c_state_reading = { C_IDENT, c_start, c_next, c_stop };
