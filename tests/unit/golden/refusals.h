/* SPDX-License-Identifier: MIT */
/*
 * refusals - golden_full with one thing wrong each, and what a reader has to say about it. The
 * offsets are those in streams.h.
 */
#ifndef XSPROXY_TESTS_GOLDEN_REFUSALS_H
#define XSPROXY_TESTS_GOLDEN_REFUSALS_H

#include <stddef.h>
#include <stdint.h>

struct refusal {
	size_t at;	   /* where octets are replaced, or appended */
	const char *patch; /* what by */
	size_t patch_len;
	size_t len; /* octets of the stream afterwards; 0: all */
	uint64_t record;
	uint64_t offset;
	const char *reason;
};

/* clang-format off */
#define PATCH(at, octets) at, octets, sizeof(octets) - 1, 0
#define CUT(len)          0, "", 0, len

static const struct refusal refusals[] = {
	/* the header */
	{ PATCH(0, "X"), 0, 0, "not a libxl stream: ident 0x586962786c466d74" },
	{ PATCH(0, "tmFlxbiL"), 0, 0, "not a libxl stream: ident 0x746d466c7862694c" },
	{ PATCH(11, "\1"), 0, 8, "version 1, not 2" },
	{ PATCH(8, "\2\0\0\0"), 0, 8, "version 33554432, not 2" },
	{ PATCH(15, "\1"), 0, 12, "the stream is big-endian" },
	{ PATCH(15, "\3"), 0, 12, "the stream is big-endian" },
	{ PATCH(15, "\2"), 0, 12, "unknown options 0x00000002" },
	{ PATCH(12, "\x80"), 0, 12, "unknown options 0x80000000" },
	{ CUT(1), 0, 1, "the stream ends inside the header" },
	{ CUT(15), 0, 15, "the stream ends inside the header" },

	/* record types */
	{ PATCH(120, "\1"), 3, 120, "record type 1 (LIBXC_CONTEXT) is not for Xenstore streams" },
	{ PATCH(120, "\2"), 3, 120, "record type 2 (EMULATOR_XENSTORE_DATA) is not for Xenstore streams" },
	{ PATCH(120, "\3"), 3, 120, "record type 3 (EMULATOR_CONTEXT) is not for Xenstore streams" },
	{ PATCH(120, "\4"), 3, 120, "record type 4 (CHECKPOINT_END) is not for Xenstore streams" },
	{ PATCH(120, "\5"), 3, 120, "record type 5 (CHECKPOINT_STATE) is not for Xenstore streams" },
	{ PATCH(120, "\6"), 3, 120, "unknown record type 0x00000006" },
	{ PATCH(120, "\10"), 3, 120, "unknown record type 0x00000008" },
	{ PATCH(120, "\xff\xff\xff\x7f"), 3, 120, "unknown record type 0x7fffffff" },
	{ PATCH(120, "\0\0\0\7"), 3, 120, "unknown record type 0x07000000" },

	/* END, and where the stream ends */
	{ PATCH(228, "\10"), 6, 228, "END with a length of 8" },
	{ PATCH(120, "\0"), 3, 124, "END with a length of 8" },
	{ PATCH(120, "\0\0\0\0\0"), 3, 128, "octets follow END" },
	{ PATCH(232, "\0"), 6, 232, "octets follow END" },
	{ PATCH(232, "\0\0\0\0\0\0\0\0"), 6, 232, "octets follow END" },
	{ CUT(16), 1, 16, "the stream ends without END" },
	{ CUT(224), 6, 224, "the stream ends without END" },
	{ CUT(231), 6, 231, "the stream ends inside a record's header" },
	{ CUT(21), 1, 21, "the stream ends inside a record's header" },
	{ CUT(24), 1, 24, "the stream ends inside a record's body" },
	{ CUT(75), 1, 75, "the stream ends inside a record's body" },
	{ CUT(76), 1, 76, "the stream ends inside a record's padding" },
	{ CUT(79), 1, 79, "the stream ends inside a record's padding" },
	{ PATCH(20, "\xff\xff\xff\xff"), 1, 232, "the stream ends inside a record's body" },
	{ PATCH(124, "\x69"), 3, 232, "the stream ends inside a record's body" },
	{ PATCH(120, "\0\0\0\x80\xff\xff\xff\xff"), 3, 232, "the stream ends inside a record's body" },

	/* sub-types and lengths of bodies */
	{ PATCH(24, "\0"), 1, 24, "unknown sub-type 0" },
	{ PATCH(24, "\4"), 1, 24, "unknown sub-type 4" },
	{ PATCH(91, "\1"), 2, 88, "unknown sub-type 16777218" },
	{ PATCH(124, "\0"), 3, 128, "the record ends inside the sub-type" },
	{ PATCH(124, "\3"), 3, 128, "the record ends inside the sub-type" },
	{ PATCH(124, "\4"), 3, 132, "the record ends inside the tx_id" },
	{ PATCH(124, "\7"), 3, 132, "the record ends inside the tx_id" },
	{ PATCH(20, "\x31"), 1, 73, "the record ends inside the padding of the value" },
	{ PATCH(20, "\x38"), 1, 76, "4 octets are left over after the fields" },
	{ PATCH(64, "\4"), 1, 72, "4 octets are left over after the fields" },
	{ PATCH(88, "\3"), 2, 96, "24 octets are left over after the fields" },

	/* a node's path */
	{ PATCH(28, "\xff\xff\xff\xff"), 1, 28, "path: length 4294967295, but 44 octets are left in the record" },
	{ PATCH(28, "\x2d"), 1, 28, "path: length 45, but 44 octets are left in the record" },
	{ PATCH(28, "\0"), 1, 32, "the path is empty" },
	{ PATCH(32, "l"), 1, 32, "the path is not absolute" },
	{ PATCH(32, "@"), 1, 32, "the path is not absolute" },
	{ PATCH(33, "/"), 1, 33, "'//' in the path" },
	{ PATCH(51, "/"), 1, 51, "the path ends with '/'" },
	{ PATCH(40, " "), 1, 40, "octet 0x20 in the path" },
	{ PATCH(40, "\xff"), 1, 40, "octet 0xff in the path" },
	{ PATCH(40, "."), 1, 40, "octet 0x2e in the path" },
	{ PATCH(40, "\0"), 1, 40, "NUL in the path" },
	{ PATCH(51, "\0"), 1, 51, "NUL in the path" },
	{ PATCH(167, "x"), 4, 167, "non-zero padding after the path" },

	/* permissions */
	{ PATCH(52, "\0"), 1, 56, "the node has no permissions" },
	{ PATCH(52, "\6"), 1, 52, "permissions: length 6, but 20 octets are left in the record" },
	{ PATCH(52, "\1\0\0\x40"), 1, 52, "permissions: length 1073741825, but 20 octets are left in the record" },
	{ PATCH(56, "x"), 1, 56, "permission letter 0x78" },
	{ PATCH(60, "R"), 1, 60, "permission letter 0x52" },
	{ PATCH(60, "\0"), 1, 60, "permission letter 0x00" },
	{ PATCH(57, "\1"), 1, 57, "non-zero padding in a permission" },
	{ PATCH(61, "r"), 1, 61, "non-zero padding in a permission" },

	/* a node's value */
	{ PATCH(64, "\x9"), 1, 64, "value: length 9, but 8 octets are left in the record" },
	{ PATCH(179, "\x80"), 4, 176, "value: length 2147483648, but 0 octets are left in the record" },
	{ PATCH(73, "\1"), 1, 73, "non-zero padding after the value" },
	{ PATCH(75, "\1"), 1, 75, "non-zero padding after the value" },
	{ PATCH(76, "\1"), 1, 76, "non-zero padding after a record" },
	{ PATCH(79, "\1"), 1, 79, "non-zero padding after a record" },
	{ PATCH(183, "\x80"), 4, 183, "non-zero padding after a record" },

	/* watches */
	{ PATCH(92, "\x19"), 2, 92, "path: length 25, but 24 octets are left in the record" },
	{ PATCH(92, "\0"), 2, 96, "the path is empty" },
	{ PATCH(100, "\0"), 2, 100, "NUL in the path" },
	{ PATCH(111, "\0"), 2, 111, "NUL in the path" },
	{ PATCH(96, " "), 2, 96, "octet 0x20 in the path" },
	{ PATCH(104, "/"), 2, 104, "'//' in the path" },
	{ PATCH(111, "/"), 2, 111, "the path ends with '/'" },
	{ PATCH(112, "\5"), 2, 112, "token: length 5, but 4 octets are left in the record" },
	{ PATCH(116, "\0"), 2, 116, "NUL in the token" },
	{ PATCH(117, "\0"), 2, 117, "NUL in the token" },
	{ PATCH(118, "\1"), 2, 118, "non-zero padding after the token" },
	{ PATCH(119, "\1"), 2, 119, "non-zero padding after the token" },
	{ PATCH(205, "\0"), 5, 205, "NUL in the path" },
	{ PATCH(214, "\1"), 5, 214, "non-zero padding after the path" },
	{ PATCH(216, "\1"), 5, 216, "token: length 1, but 0 octets are left in the record" },
	{ PATCH(221, "\1"), 5, 221, "non-zero padding after a record" },

	/* transactions */
	{ PATCH(132, "\0\0\0\0"), 3, 132, "tx_id is 0" },
};

#undef PATCH
#undef CUT
/* clang-format on */

#endif
