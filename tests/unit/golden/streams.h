/* SPDX-License-Identifier: MIT */
/*
 * streams - migration streams written by hand from docs/protocol.md, "Migration
 * stream", and Xen's libxl-migration-stream.pandoc. Nothing here came out of our encoder: the
 * numbers in front of the lines are octet offsets, added up on paper, and the tests rely on them.
 */
#ifndef XSPROXY_TESTS_GOLDEN_STREAMS_H
#define XSPROXY_TESTS_GOLDEN_STREAMS_H

#include <stdint.h>

/* clang-format off */

/* One record of every shape. */
static const uint8_t golden_full[] = {
/*   0 */ 0x4c, 0x69, 0x62, 0x78, 0x6c, 0x46, 0x6d, 0x74, /* ident "LibxlFmt" */
/*   8 */ 0x00, 0x00, 0x00, 0x02,                         /* version 2, big-endian */
/*  12 */ 0x00, 0x00, 0x00, 0x00,                         /* options 0 */

/* record 1: node, path without padding, two permissions, value with padding */
/*  16 */ 0x07, 0x00, 0x00, 0x00,                         /* DOMAIN_XENSTORE_DATA */
/*  20 */ 0x34, 0x00, 0x00, 0x00,                         /* length 52 */
/*  24 */ 0x01, 0x00, 0x00, 0x00,                         /* NODE_DATA */
/*  28 */ 0x14, 0x00, 0x00, 0x00,                         /* path length 20 */
/*  32 */ '/', 'l', 'o', 'c', 'a', 'l', '/', 'd', 'o', 'm', 'a', 'i', 'n', '/', '7', '/',
/*  48 */ 'n', 'a', 'm', 'e',
/*  52 */ 0x02, 0x00, 0x00, 0x00,                         /* permission count 2 */
/*  56 */ 'n', 0x00, 0x07, 0x00,                          /* n7 */
/*  60 */ 'r', 0x00, 0x00, 0x00,                          /* r0 */
/*  64 */ 0x05, 0x00, 0x00, 0x00,                         /* value length 5 */
/*  68 */ 'g', 'u', 'e', 's', 't',
/*  73 */ 0x00, 0x00, 0x00,                               /* pad to 4 */
/*  76 */ 0x00, 0x00, 0x00, 0x00,                         /* pad to 8 */

/* record 2: watch, relative path without padding, token with padding */
/*  80 */ 0x07, 0x00, 0x00, 0x00,                         /* DOMAIN_XENSTORE_DATA */
/*  84 */ 0x20, 0x00, 0x00, 0x00,                         /* length 32 */
/*  88 */ 0x02, 0x00, 0x00, 0x00,                         /* WATCH_DATA */
/*  92 */ 0x10, 0x00, 0x00, 0x00,                         /* wpath length 16 */
/*  96 */ 'c', 'o', 'n', 't', 'r', 'o', 'l', '/', 's', 'h', 'u', 't', 'd', 'o', 'w', 'n',
/* 112 */ 0x02, 0x00, 0x00, 0x00,                         /* token length 2 */
/* 116 */ 'k', 0xff,
/* 118 */ 0x00, 0x00,                                     /* pad to 4 */

/* record 3: transaction */
/* 120 */ 0x07, 0x00, 0x00, 0x00,                         /* DOMAIN_XENSTORE_DATA */
/* 124 */ 0x08, 0x00, 0x00, 0x00,                         /* length 8 */
/* 128 */ 0x03, 0x00, 0x00, 0x00,                         /* TRANSACTION_DATA */
/* 132 */ 0x78, 0x56, 0x34, 0x12,                         /* tx_id 0x12345678 */

/* record 4: node, path with padding, one permission, no value */
/* 136 */ 0x07, 0x00, 0x00, 0x00,                         /* DOMAIN_XENSTORE_DATA */
/* 140 */ 0x24, 0x00, 0x00, 0x00,                         /* length 36 */
/* 144 */ 0x01, 0x00, 0x00, 0x00,                         /* NODE_DATA */
/* 148 */ 0x0f, 0x00, 0x00, 0x00,                         /* path length 15 */
/* 152 */ '/', 'l', 'o', 'c', 'a', 'l', '/', 'd', 'o', 'm', 'a', 'i', 'n', '/', '7',
/* 167 */ 0x00,                                           /* pad to 4 */
/* 168 */ 0x01, 0x00, 0x00, 0x00,                         /* permission count 1 */
/* 172 */ 'b', 0x00, 0x34, 0x12,                          /* b4660 */
/* 176 */ 0x00, 0x00, 0x00, 0x00,                         /* value length 0 */
/* 180 */ 0x00, 0x00, 0x00, 0x00,                         /* pad to 8 */

/* record 5: watch, special name with padding, no token */
/* 184 */ 0x07, 0x00, 0x00, 0x00,                         /* DOMAIN_XENSTORE_DATA */
/* 188 */ 0x1c, 0x00, 0x00, 0x00,                         /* length 28 */
/* 192 */ 0x02, 0x00, 0x00, 0x00,                         /* WATCH_DATA */
/* 196 */ 0x0e, 0x00, 0x00, 0x00,                         /* wpath length 14 */
/* 200 */ '@', 'r', 'e', 'l', 'e', 'a', 's', 'e', 'D', 'o', 'm', 'a', 'i', 'n',
/* 214 */ 0x00, 0x00,                                     /* pad to 4 */
/* 216 */ 0x00, 0x00, 0x00, 0x00,                         /* token length 0 */
/* 220 */ 0x00, 0x00, 0x00, 0x00,                         /* pad to 8 */

/* record 6 */
/* 224 */ 0x00, 0x00, 0x00, 0x00,                         /* END */
/* 228 */ 0x00, 0x00, 0x00, 0x00,                         /* length 0 */
};

/* Nothing to migrate. */
static const uint8_t golden_empty[] = {
/*   0 */ 0x4c, 0x69, 0x62, 0x78, 0x6c, 0x46, 0x6d, 0x74, /* ident "LibxlFmt" */
/*   8 */ 0x00, 0x00, 0x00, 0x02,                         /* version 2 */
/*  12 */ 0x00, 0x00, 0x00, 0x00,                         /* options 0 */
/*  16 */ 0x00, 0x00, 0x00, 0x00,                         /* END */
/*  20 */ 0x00, 0x00, 0x00, 0x00,                         /* length 0 */
};

/* Optional records of later versions around a transaction; a reader passes over them. */
static const uint8_t golden_optional[] = {
/*   0 */ 0x4c, 0x69, 0x62, 0x78, 0x6c, 0x46, 0x6d, 0x74, /* ident "LibxlFmt" */
/*   8 */ 0x00, 0x00, 0x00, 0x02,                         /* version 2 */
/*  12 */ 0x00, 0x00, 0x00, 0x00,                         /* options 0 */
/*  16 */ 0x00, 0x00, 0x00, 0x80,                         /* the first optional type */
/*  20 */ 0x03, 0x00, 0x00, 0x00,                         /* length 3 */
/*  24 */ 0xde, 0xad, 0xbe,
/*  27 */ 0x00, 0x00, 0x00, 0x00, 0x00,                   /* pad to 8 */
/*  32 */ 0x07, 0x00, 0x00, 0x00,                         /* DOMAIN_XENSTORE_DATA */
/*  36 */ 0x08, 0x00, 0x00, 0x00,                         /* length 8 */
/*  40 */ 0x03, 0x00, 0x00, 0x00,                         /* TRANSACTION_DATA */
/*  44 */ 0x01, 0x00, 0x00, 0x00,                         /* tx_id 1 */
/*  48 */ 0xff, 0xff, 0xff, 0xff,                         /* the last optional type */
/*  52 */ 0x00, 0x00, 0x00, 0x00,                         /* length 0 */
/*  56 */ 0x00, 0x00, 0x00, 0x00,                         /* END */
/*  60 */ 0x00, 0x00, 0x00, 0x00,                         /* length 0 */
};

/* clang-format on */

#endif
