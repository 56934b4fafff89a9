/* SPDX-License-Identifier: MIT */
/*
 * c_format - how the C daemon's state stream lies in octets (Xen's
 * docs/designs/xenstore-migration.md, and the header that its daemons go by). The
 * preamble's version is big-endian, all else little-endian, as its flags say.
 *
 * For c_state_reader.c and c_state_writer.c alone. Must never know what an item is.
 */
#ifndef XSPROXY_MIGRATION_FORMAT_C_FORMAT_H
#define XSPROXY_MIGRATION_FORMAT_C_FORMAT_H

#include <stdint.h>

#define C_IDENT		    "xenstore"
#define C_FLAG_BIG_ENDIAN   0x1
#define C_ALIGNMENT	    8 /* of a record; its length counts what fills it up */

#define C_CONNECTION_RING   0
#define C_CONNECTION_SOCKET 1
#define C_FIELD_UNIQUE_ID   0x1

#define C_ACCESS_KNOWN	    0x3
#define C_DEPTH_UNLIMITED   0xffff

/* Where the path of a WATCH_EXTENDED begins; c_state_reader.c says why there are three. */
#define C_WATCH_EXT_DATA     10 /* what daemons read, and we write */
#define C_WATCH_EXT_DOCUMENT 12 /* what the document says */
#define C_WATCH_EXT_NO_DEPTH 8	/* what daemons of 4.22 write */

enum c_type {
	C_END = 0,
	C_GLOBAL = 1,
	C_CONNECTION = 2,
	C_WATCH = 3,
	C_TRANSACTION = 4,
	C_NODE = 5,
	C_QUOTAS = 6,
	C_DOMAIN = 7,
	C_WATCH_EXTENDED = 8,
};

struct c_preamble {
	char ident[8];
	uint32_t version; /* big-endian */
	uint32_t flags;
};

struct c_header {
	uint32_t type;
	uint32_t length; /* octets of the body */
};

struct c_global {
	uint32_t socket; /* descriptors are signed */
	uint32_t evtchn;
};

struct c_connection {
	uint32_t id;
	uint16_t type;
	uint16_t fields;
	union {
		struct {
			uint16_t domid;
			uint16_t target;
			uint32_t port;
		} ring;
		uint32_t fd;
	} spec;
	uint16_t in_len;
	uint16_t rest_len;
	uint32_t out_len;
};

struct c_watch {
	uint32_t id;
	uint16_t path_len; /* of both: with a NUL */
	uint16_t token_len;
};

struct c_transaction {
	uint32_t id;
	uint32_t tx_id;
};

struct c_node {
	uint32_t id;
	uint32_t tx_id;
	uint16_t path_len; /* with a NUL */
	uint16_t value_len;
	uint16_t access;
	uint16_t nr_perms;
};

struct c_quotas {
	uint16_t nr_domain;
	uint16_t nr_global;
};

struct c_domain {
	uint16_t domid;
	uint16_t nr_quotas;
	uint32_t features;
};

_Static_assert(sizeof(struct c_preamble) == 16, "no holes");
_Static_assert(sizeof(struct c_connection) == 24, "no holes");
_Static_assert(sizeof(struct c_watch) == 8, "no holes");
_Static_assert(sizeof(struct c_node) == 16, "no holes");
_Static_assert(sizeof(struct c_domain) == 8, "no holes");

/** c_aligned() - @octets with what fills them up. */
static inline uint64_t c_aligned(uint64_t octets)
{
	return (octets + C_ALIGNMENT - 1) / C_ALIGNMENT * C_ALIGNMENT;
}

#endif
