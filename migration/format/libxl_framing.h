/* SPDX-License-Identifier: MIT */
/*
 * libxl_framing - how a libxl migration stream is framed (libxl-migration-stream.pandoc, revision
 * 2). The stream's header is big-endian; records are little-endian, as the header's options say.
 *
 * For libxl_writer.c, libxl_reader.c and libxl_image.c alone. Must never know what is in a record.
 */
#ifndef XSPROXY_MIGRATION_FORMAT_LIBXL_FRAMING_H
#define XSPROXY_MIGRATION_FORMAT_LIBXL_FRAMING_H

#include <stdint.h>

#define LIBXL_STREAM_IDENT	       0x4c6962786c466d74ULL /* "LibxlFmt" */
#define LIBXL_STREAM_VERSION	       2
#define LIBXL_STREAM_OPTION_BIG_ENDIAN 0x1
#define LIBXL_STREAM_OPTION_LEGACY     0x2 /* libxl has made it of a stream of Xen 4.5 or before */

#define LIBXL_STREAM_END	       0x00000000
#define LIBXL_STREAM_LIBXC_CONTEXT     0x00000001
#define LIBXL_STREAM_EMULATOR_XENSTORE 0x00000002
#define LIBXL_STREAM_EMULATOR_CONTEXT  0x00000003
#define LIBXL_STREAM_CHECKPOINT_END    0x00000004
#define LIBXL_STREAM_CHECKPOINT_STATE  0x00000005
#define LIBXL_STREAM_XENSTORE_DATA     0x00000007
#define LIBXL_STREAM_OPTIONAL	       0x80000000 /* and above: may be skipped */
#define LIBXL_STREAM_ALIGNMENT	       8

struct libxl_header {
	uint64_t ident;
	uint32_t version;
	uint32_t options;
};

/* Before the body; zeroes follow it up to a multiple of LIBXL_STREAM_ALIGNMENT. */
struct libxl_record_header {
	uint32_t type;
	uint32_t length; /* octets of the body, without the zeroes */
};

_Static_assert(sizeof(struct libxl_header) == 16, "the header has no holes");
_Static_assert(sizeof(struct libxl_record_header) == 8, "a record's header has no holes");

/** libxl_padded() - the octets that @length octets of a body take with their padding. */
static inline uint64_t libxl_padded(uint64_t length)
{
	return (length + LIBXL_STREAM_ALIGNMENT - 1) / LIBXL_STREAM_ALIGNMENT *
	       LIBXL_STREAM_ALIGNMENT;
}

#endif
