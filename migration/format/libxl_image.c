// SPDX-License-Identifier: MIT
/*
 * libxl_image - see libxl_image.h. At each place of an image a function takes the header that is
 * next and says what body it has, and which place follows that.
 */
#include "migration/format/libxl_image.h"

#include "migration/format/libxl_framing.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_SIZE	    131072

#define XL_BYTEORDER	    0x01020304
#define XL_MANDATORY_JSON   0x1 /* how the configuration is written */
#define XL_MANDATORY_STREAM 0x2 /* what follows is libxl's stream, not libxc's of Xen 4.5 */

#define LIBXC_MARKER	    0xffffffffffffffffULL
#define LIBXC_ID	    0x58454e46 /* "XENF" */
#define LIBXC_VERSION_LEAST 2
#define LIBXC_VERSION_MOST  3

#define LIBXC_END	    0x00000000
#define LIBXC_CHECKPOINT    0x0000000e
#define LIBXC_DIRTY_PFNS    0x0000000f /* COLO's */

/* In the byte order of who wrote it */
struct xl_header {
	char magic[32];
	uint32_t byteorder;
	uint32_t mandatory;
	uint32_t optional;
	uint32_t optional_length;
};

/* The image's header is big-endian, the domain's as the options say. */
struct libxc_header {
	uint64_t marker;
	uint32_t id;
	uint32_t version;
	uint16_t options;
	uint8_t reserved[6];
	uint8_t domain[16]; /* type, page size, version of Xen */
};

_Static_assert(sizeof(struct xl_header) == 48, "xl's header has no holes");
_Static_assert(sizeof(struct libxc_header) == 40, "libxc's headers have no holes");

enum place {
	PLACE_XL,
	PLACE_LIBXL,
	PLACE_RECORD,
	PLACE_LIBXC,
	PLACE_LIBXC_RECORD,
	PLACE_ENDED,
};

struct libxl_image {
	libxl_image_read_fn read;
	void *arg;
	enum place place;
	const char *what;	    /* the body that passes */
	enum libxl_image_kind kind; /* its */
	uint64_t left;		    /* octets of it that are yet to come */
	size_t pad;		    /* and behind it */
	bool has_memory;	    /* LIBXC_CONTEXT has come */
	uint64_t record;
	uint64_t offset; /* of what is next */
	struct record_fault fault;
	bool drained; /* the source */
	size_t at, end;
	uint8_t buffer[BUFFER_SIZE];
};

#define refuse(image, ...) (record_refuse(&(image)->fault, __VA_ARGS__), -EBADMSG)

/* --- octets */

static size_t have(const struct libxl_image *image)
{
	return image->end - image->at;
}

/* Return: 0, also where the image ends before there are @want octets; or what reading failed with.
 */
static int fill(struct libxl_image *image, size_t want)
{
	if (have(image) >= want)
		return 0;
	memmove(image->buffer, image->buffer + image->at, have(image));
	image->end -= image->at;
	image->at = 0;
	while (image->end < want && !image->drained) {
		ssize_t got = image->read(image->arg, image->buffer + image->end,
					  BUFFER_SIZE - image->end);

		if (got < 0)
			return (int)got;
		image->drained = !got;
		image->end += (size_t)got;
	}
	return 0;
}

static int refuse_end(struct libxl_image *image, const char *where, const char *what)
{
	return refuse(image, image->offset + have(image), "the image ends %s %s", where, what);
}

static int give(struct libxl_image *image, enum libxl_image_kind kind, size_t len,
		struct libxl_image_piece *piece)
{
	*piece = (struct libxl_image_piece){ kind, image->buffer + image->at, len };
	image->at += len;
	image->offset += len;
	return 1;
}

static int get_header(struct libxl_image *image, void *header, size_t size, const char *what)
{
	int r = fill(image, size);

	if (r)
		return r;
	if (have(image) < size)
		return refuse_end(image, "inside", what);
	memcpy(header, image->buffer + image->at, size);
	return 0;
}

/* What follows a header that was given. */
static void expect(struct libxl_image *image, const char *what, uint64_t length, size_t pad)
{
	image->what = what;
	image->left = length;
	image->pad = pad;
}

static int next_body(struct libxl_image *image, struct libxl_image_piece *piece)
{
	size_t len;
	int r = fill(image, 1);

	if (r)
		return r;
	if (!have(image))
		return refuse_end(image, "inside", image->what);
	len = image->left < have(image) ? (size_t)image->left : have(image);
	image->left -= len;
	return give(image, image->kind, len, piece);
}

static int next_padding(struct libxl_image *image, struct libxl_image_piece *piece)
{
	size_t pad = image->pad;
	int r = fill(image, pad);

	if (r)
		return r;
	if (have(image) < pad)
		return refuse_end(image, "inside the padding behind", image->what);
	for (size_t i = 0; i < pad; i++)
		if (image->buffer[image->at + i])
			return refuse(image, image->offset + i, "non-zero padding behind %s",
				      image->what);
	image->pad = 0;
	return give(image, image->kind, pad, piece);
}

/* --- xl */

static int check_xl(struct libxl_image *image, const struct xl_header *header)
{
	static const char magic[] = "Xen saved domain, xl format\n \0 \r";
	uint32_t byteorder = le32toh(header->byteorder), mandatory = le32toh(header->mandatory);

	if (memcmp(header->magic, magic, sizeof(header->magic)))
		return refuse(image, 0, "xl save did not write it: it has not xl's header");
	if (byteorder == __builtin_bswap32(XL_BYTEORDER))
		return refuse(image, offsetof(struct xl_header, byteorder),
			      "the image is big-endian");
	if (byteorder != XL_BYTEORDER)
		return refuse(image, offsetof(struct xl_header, byteorder),
			      "byte order 0x%08" PRIx32, byteorder);
	if (mandatory & ~(uint32_t)(XL_MANDATORY_JSON | XL_MANDATORY_STREAM))
		return refuse(image, offsetof(struct xl_header, mandatory),
			      "unknown mandatory flags 0x%08" PRIx32, mandatory);
	if (!(mandatory & XL_MANDATORY_STREAM))
		return refuse(image, offsetof(struct xl_header, mandatory),
			      "a legacy image, of Xen 4.5 or before");
	return 0;
}

static int next_xl(struct libxl_image *image, struct libxl_image_piece *piece)
{
	struct xl_header header = { 0 };
	int r = get_header(image, &header, sizeof(header), "xl's header");

	if (!r)
		r = check_xl(image, &header);
	if (r)
		return r;
	image->place = PLACE_LIBXL;
	image->kind = LIBXL_IMAGE_OTHER;
	expect(image, "xl's optional data", le32toh(header.optional_length), 0);
	return give(image, LIBXL_IMAGE_OTHER, sizeof(header), piece);
}

/* --- libxl */

static int check_libxl(struct libxl_image *image, const struct libxl_header *header)
{
	uint64_t options_at = image->offset + offsetof(struct libxl_header, options);
	uint32_t options = be32toh(header->options);

	if (be64toh(header->ident) != LIBXL_STREAM_IDENT)
		return refuse(image, image->offset,
			      "no libxl stream behind xl's header: ident 0x%016" PRIx64,
			      be64toh(header->ident));
	if (be32toh(header->version) != LIBXL_STREAM_VERSION)
		return refuse(image, image->offset + offsetof(struct libxl_header, version),
			      "version %" PRIu32 " of libxl's stream, not %d",
			      be32toh(header->version), LIBXL_STREAM_VERSION);
	if (options & LIBXL_STREAM_OPTION_BIG_ENDIAN)
		return refuse(image, options_at, "libxl's stream is big-endian");
	if (options & LIBXL_STREAM_OPTION_LEGACY)
		return refuse(image, options_at, "libxl's stream was made of a legacy one");
	if (options)
		return refuse(image, options_at,
			      "unknown options 0x%08" PRIx32 " of libxl's stream", options);
	return 0;
}

static int next_libxl(struct libxl_image *image, struct libxl_image_piece *piece)
{
	struct libxl_header header = { 0 };
	int r = get_header(image, &header, sizeof(header), "libxl's header");

	if (!r)
		r = check_libxl(image, &header);
	if (r)
		return r;
	image->place = PLACE_RECORD;
	return give(image, LIBXL_IMAGE_OTHER, sizeof(header), piece);
}

/* Of libxl or libxc, which frame them alike. */
static int get_record(struct libxl_image *image, struct libxl_record_header *header,
		      const char *whose)
{
	int r = fill(image, sizeof(*header));

	if (r)
		return r;
	if (!have(image))
		return refuse_end(image, "without END of", whose);
	r = get_header(image, header, sizeof(*header), "a record's header");
	header->type = le32toh(header->type);
	header->length = le32toh(header->length);
	return r;
}

static size_t padding(uint32_t length)
{
	return (size_t)(libxl_padded(length) - length);
}

static int refuse_length(struct libxl_image *image, const char *name, uint32_t length)
{
	return refuse(image, image->offset + offsetof(struct libxl_record_header, length),
		      "%s with a length of %" PRIu32, name, length);
}

static int next_end(struct libxl_image *image, struct libxl_image_piece *piece)
{
	const size_t size = sizeof(struct libxl_record_header);
	int r = fill(image, size + 1);

	if (r)
		return r;
	if (!image->has_memory)
		return refuse(image, image->offset, "END, and there was no LIBXC_CONTEXT");
	if (have(image) > size)
		return refuse(image, image->offset + size, "octets follow END");
	image->place = PLACE_ENDED;
	return give(image, LIBXL_IMAGE_END, size, piece);
}

static int next_context(struct libxl_image *image, struct libxl_image_piece *piece)
{
	if (image->has_memory)
		return refuse(image, image->offset, "a second LIBXC_CONTEXT");
	image->has_memory = true;
	image->place = PLACE_LIBXC;
	return give(image, LIBXL_IMAGE_OTHER, sizeof(struct libxl_record_header), piece);
}

struct record_rule {
	const char *name;
	uint32_t least, most; /* of its length */
};

/* Whether a record may be here. */
static int check_record(struct libxl_image *image, const struct libxl_record_header *header)
{
	static const struct record_rule rules[] = {
		[LIBXL_STREAM_END] = { "END", 0, 0 },
		[LIBXL_STREAM_LIBXC_CONTEXT] = { "LIBXC_CONTEXT", 0, 0 },
		[LIBXL_STREAM_EMULATOR_XENSTORE] = { "EMULATOR_XENSTORE_DATA", 8, UINT32_MAX },
		[LIBXL_STREAM_EMULATOR_CONTEXT] = { "EMULATOR_CONTEXT", 8, UINT32_MAX },
		[LIBXL_STREAM_XENSTORE_DATA] = { "DOMAIN_XENSTORE_DATA", 4, UINT32_MAX },
	};
	const uint32_t type = header->type;

	if (type & LIBXL_STREAM_OPTIONAL)
		return 0;
	if (type == LIBXL_STREAM_CHECKPOINT_END || type == LIBXL_STREAM_CHECKPOINT_STATE)
		return refuse(image, image->offset,
			      "record type %" PRIu32 ": checkpoints, of Remus or COLO", type);
	if (type >= sizeof(rules) / sizeof(rules[0]) || !rules[type].name)
		return refuse(image, image->offset, "unknown record type 0x%08" PRIx32, type);
	if (header->length < rules[type].least || header->length > rules[type].most)
		return refuse_length(image, rules[type].name, header->length);
	return 0;
}

static int next_record(struct libxl_image *image, struct libxl_image_piece *piece)
{
	struct libxl_record_header header = { 0 };
	int r;

	image->record++;
	r = get_record(image, &header, "libxl's stream");
	if (!r)
		r = check_record(image, &header);
	if (r)
		return r;
	if (header.type == LIBXL_STREAM_END)
		return next_end(image, piece);
	if (header.type == LIBXL_STREAM_LIBXC_CONTEXT)
		return next_context(image, piece);
	image->kind = header.type == LIBXL_STREAM_XENSTORE_DATA ? LIBXL_IMAGE_XENSTORE
								: LIBXL_IMAGE_OTHER;
	expect(image, "a libxl record", header.length, padding(header.length));
	return give(image, image->kind, sizeof(header), piece);
}

/* --- libxc */

static int check_libxc(struct libxl_image *image, const struct libxc_header *header)
{
	uint64_t options_at = image->offset + offsetof(struct libxc_header, options);
	uint32_t version = be32toh(header->version);
	uint16_t options = be16toh(header->options);

	if (be64toh(header->marker) != LIBXC_MARKER)
		return refuse(image, image->offset, "no libxc stream: marker 0x%016" PRIx64,
			      be64toh(header->marker));
	if (be32toh(header->id) != LIBXC_ID)
		return refuse(image, image->offset + offsetof(struct libxc_header, id),
			      "no libxc stream: id 0x%08" PRIx32, be32toh(header->id));
	if (version < LIBXC_VERSION_LEAST || version > LIBXC_VERSION_MOST)
		return refuse(image, image->offset + offsetof(struct libxc_header, version),
			      "version %" PRIu32 " of libxc's stream, neither %d nor %d", version,
			      LIBXC_VERSION_LEAST, LIBXC_VERSION_MOST);
	if (options & 1)
		return refuse(image, options_at, "libxc's stream is big-endian");
	if (options)
		return refuse(image, options_at, "unknown options 0x%04x of libxc's stream",
			      (unsigned int)options);
	return 0;
}

static int next_libxc(struct libxl_image *image, struct libxl_image_piece *piece)
{
	struct libxc_header header = { 0 };
	int r = get_header(image, &header, sizeof(header), "libxc's headers");

	if (!r)
		r = check_libxc(image, &header);
	if (r)
		return r;
	image->place = PLACE_LIBXC_RECORD;
	image->kind = LIBXL_IMAGE_OTHER;
	return give(image, LIBXL_IMAGE_OTHER, sizeof(header), piece);
}

static int next_libxc_record(struct libxl_image *image, struct libxl_image_piece *piece)
{
	struct libxl_record_header header = { 0 };
	int r = get_record(image, &header, "libxc's stream");

	if (r)
		return r;
	if (header.type == LIBXC_CHECKPOINT || header.type == LIBXC_DIRTY_PFNS)
		return refuse(image, image->offset,
			      "libxc's record type %" PRIu32 ": checkpoints, of Remus or COLO",
			      header.type);
	if (header.type == LIBXC_END && header.length)
		return refuse_length(image, "libxc's END", header.length);
	if (header.type == LIBXC_END)
		image->place = PLACE_RECORD;
	expect(image, "a libxc record", header.length, padding(header.length));
	return give(image, LIBXL_IMAGE_OTHER, sizeof(header), piece);
}

/* --- all of it */

static int next_piece(struct libxl_image *image, struct libxl_image_piece *piece)
{
	if (image->left)
		return next_body(image, piece);
	if (image->pad)
		return next_padding(image, piece);
	switch (image->place) {
	case PLACE_XL:
		return next_xl(image, piece);
	case PLACE_LIBXL:
		return next_libxl(image, piece);
	case PLACE_RECORD:
		return next_record(image, piece);
	case PLACE_LIBXC:
		return next_libxc(image, piece);
	case PLACE_LIBXC_RECORD:
		return next_libxc_record(image, piece);
	case PLACE_ENDED:
		break;
	}
	return 0;
}

int libxl_image_next(struct libxl_image *image, struct libxl_image_piece *piece,
		     struct record_fault *fault)
{
	int r = next_piece(image, piece);

	if (r == -EBADMSG) {
		*fault = image->fault;
		fault->record = image->record;
	}
	return r;
}

void libxl_image_free(struct libxl_image *image)
{
	free(image);
}

int libxl_image_new(struct libxl_image **out, libxl_image_read_fn read, void *arg)
{
	struct libxl_image *image = calloc(1, sizeof(*image));

	if (!image)
		return -ENOMEM;
	image->read = read;
	image->arg = arg;
	*out = image;
	return 0;
}
