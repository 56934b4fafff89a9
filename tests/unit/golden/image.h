/* SPDX-License-Identifier: MIT */
/*
 * image - an image as `xl save` writes it, with every kind of record that a reader knows, as
 * octets. Offsets stand before what they are of; xl's optional data has 5 octets, so nothing behind
 * it is aligned.
 */
#ifndef XSPROXY_TESTS_GOLDEN_IMAGE_H
#define XSPROXY_TESTS_GOLDEN_IMAGE_H

/* clang-format off */
static const char golden_image[] =
	/* 0 */ "Xen saved domain, xl format\n \0 \r"
	/* 32 */ "\4\3\2\1" "\3\0\0\0" "\0\0\0\0" "\5\0\0\0"
	/* 48 */ "\1\0\0\0{"
	/* 53 */ "LibxlFmt" "\0\0\0\2" "\0\0\0\0"
	/* 69 */ "\1\0\0\0" "\0\0\0\0"
	/* 77 */ "\xff\xff\xff\xff\xff\xff\xff\xff" "XENF" "\0\0\0\3" "\0\0" "\0\0" "\0\0\0\0"
	/* 101 */ "\3\0\0\0" "\14\0" "\0\0" "\4\0\0\0" "\21\0\0\0"
	/* 117 */ "\20\0\0\0" "\0\0\0\0"
	/* 125 */ "\1\0\0\0" "\15\0\0\0" "page data 13." "\0\0\0"
	/* 149 */ "\1\0\0\x80" "\1\0\0\0" "o" "\0\0\0\0\0\0\0"
	/* 165 */ "\0\0\0\0" "\0\0\0\0"
	/* 173 */ "\2\0\0\0" "\14\0\0\0" "\2\0\0\0" "\0\0\0\0" "k\0v\0" "\0\0\0\0"
	/* 197 */ "\7\0\0\0" "\10\0\0\0" "\3\0\0\0" "\x78\x56\x34\x12"
	/* 213 */ "\3\0\0\0" "\11\0\0\0" "\2\0\0\0" "\0\0\0\0" "x" "\0\0\0\0\0\0\0"
	/* 237 */ "\x34\x12\0\x80" "\0\0\0\0"
	/* 245 */ "\7\0\0\0" "\5\0\0\0" "\2\0\0\0?" "\0\0\0"
	/* 261 */ "\0\0\0\0" "\0\0\0\0";
/* clang-format on */

#define GOLDEN_IMAGE_SIZE (sizeof(golden_image) - 1)

/* Where Xenstore's records are, and END. */
#define GOLDEN_IMAGE_FIRST     197
#define GOLDEN_IMAGE_FIRST_END 213
#define GOLDEN_IMAGE_SECOND    245
#define GOLDEN_IMAGE_END       261

struct image_refusal {
	size_t at; /* where octets are replaced, or appended */
	const char *patch;
	size_t patch_len;
	uint64_t record;
	uint64_t offset;
	const char *reason;
};

/* clang-format off */
#define PATCH(at, octets) at, octets, sizeof(octets) - 1

static const struct image_refusal image_refusals[] = {
	/* xl's header */
	{ PATCH(0, "x"), 0, 0, "xl save did not write it: it has not xl's header" },
	{ PATCH(31, "\n"), 0, 0, "xl save did not write it: it has not xl's header" },
	{ PATCH(32, "\1\2\3\4"), 0, 32, "the image is big-endian" },
	{ PATCH(32, "\0"), 0, 32, "byte order 0x01020300" },
	{ PATCH(36, "\1"), 0, 36, "a legacy image, of Xen 4.5 or before" },
	{ PATCH(36, "\0"), 0, 36, "a legacy image, of Xen 4.5 or before" },
	{ PATCH(36, "\7"), 0, 36, "unknown mandatory flags 0x00000007" },
	{ PATCH(39, "\x80"), 0, 36, "unknown mandatory flags 0x80000003" },
	{ PATCH(44, "\377\377\377\377"), 0, 269, "the image ends inside xl's optional data" },

	/* libxl's header */
	{ PATCH(44, "\4"), 0, 52, "no libxl stream behind xl's header: ident 0x7b4c6962786c466d" },
	{ PATCH(53, "XENF"), 0, 53, "no libxl stream behind xl's header: ident 0x58454e466c466d74" },
	{ PATCH(64, "\1"), 0, 61, "version 1 of libxl's stream, not 2" },
	{ PATCH(68, "\1"), 0, 65, "libxl's stream is big-endian" },
	{ PATCH(68, "\2"), 0, 65, "libxl's stream was made of a legacy one" },
	{ PATCH(68, "\4"), 0, 65, "unknown options 0x00000004 of libxl's stream" },

	/* libxl's records */
	{ PATCH(69, "\0\0\0\0"), 1, 69, "END, and there was no LIBXC_CONTEXT" },
	{ PATCH(73, "\10"), 1, 73, "LIBXC_CONTEXT with a length of 8" },
	{ PATCH(173, "\1\0\0\0\0"), 2, 173, "a second LIBXC_CONTEXT" },
	{ PATCH(173, "\4"), 2, 173, "record type 4: checkpoints, of Remus or COLO" },
	{ PATCH(173, "\5"), 2, 173, "record type 5: checkpoints, of Remus or COLO" },
	{ PATCH(173, "\6"), 2, 173, "unknown record type 0x00000006" },
	{ PATCH(173, "\10"), 2, 173, "unknown record type 0x00000008" },
	{ PATCH(173, "\377\377\377\177"), 2, 173, "unknown record type 0x7fffffff" },
	{ PATCH(177, "\7"), 2, 177, "EMULATOR_XENSTORE_DATA with a length of 7" },
	{ PATCH(201, "\3"), 3, 201, "DOMAIN_XENSTORE_DATA with a length of 3" },
	{ PATCH(217, "\0"), 4, 217, "EMULATOR_CONTEXT with a length of 0" },
	{ PATCH(217, "\377\377\377\377"), 4, 269, "the image ends inside a libxl record" },
	{ PATCH(177, "\11"), 2, 191, "non-zero padding behind a libxl record" },
	{ PATCH(196, "\1"), 2, 196, "non-zero padding behind a libxl record" },
	{ PATCH(260, "\1"), 6, 260, "non-zero padding behind a libxl record" },
	{ PATCH(265, "\1"), 7, 265, "END with a length of 1" },
	{ PATCH(269, "\0"), 7, 269, "octets follow END" },
	{ PATCH(245, "\0\0\0\0\0"), 6, 253, "octets follow END" },

	/* libxc's */
	{ PATCH(77, "\0"), 1, 77, "no libxc stream: marker 0x00ffffffffffffff" },
	{ PATCH(85, "x"), 1, 85, "no libxc stream: id 0x78454e46" },
	{ PATCH(92, "\1"), 1, 89, "version 1 of libxc's stream, neither 2 nor 3" },
	{ PATCH(92, "\4"), 1, 89, "version 4 of libxc's stream, neither 2 nor 3" },
	{ PATCH(94, "\1"), 1, 93, "libxc's stream is big-endian" },
	{ PATCH(93, "\1"), 1, 93, "unknown options 0x0100 of libxc's stream" },
	{ PATCH(125, "\16"), 1, 125, "libxc's record type 14: checkpoints, of Remus or COLO" },
	{ PATCH(125, "\17"), 1, 125, "libxc's record type 15: checkpoints, of Remus or COLO" },
	{ PATCH(129, "\377\377\377\377"), 1, 269, "the image ends inside a libxc record" },
	{ PATCH(148, "\1"), 1, 148, "non-zero padding behind a libxc record" },
	{ PATCH(169, "\20"), 1, 169, "libxc's END with a length of 16" },
};
/* clang-format on */

#endif
