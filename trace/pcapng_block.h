/* SPDX-License-Identifier: MIT */
/*
 * pcapng_block - what the blocks of a pcapng file look like, as far as a capture has them.
 *
 * Between a block's length in front and that at its end are what the structs say, and options. All
 * is in the order of octets of the machine that wrote the section.
 *
 * Shared by trace/pcapng and trace/pcapng_read, and nobody else's business. Header only.
 */
#ifndef XSPROXY_TRACE_PCAPNG_BLOCK_H
#define XSPROXY_TRACE_PCAPNG_BLOCK_H

#include <stdint.h>

#define LINKTYPE_USER0	 147
#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define PCAPNG_VERSION	 1

#define BLOCK_MIN	 12u		  /* a type and both lengths */
#define BLOCK_END	 sizeof(uint32_t) /* the second one */

enum block {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_OLD = 2,	  /* a packet, as nobody writes it any more */
	BLOCK_SIMPLE = 3, /* a packet without time and interface */
	BLOCK_STATISTICS = 5,
	BLOCK_PACKET = 6,
};

struct pcapng_section {
	uint32_t type, size;
	uint32_t magic;
	uint16_t major, minor;
	uint64_t length; /* of the section; all ones: unknown */
};

struct pcapng_interface {
	uint32_t type, size;
	uint16_t linktype, reserved;
	uint32_t snap;
};

struct pcapng_packet {
	uint32_t type, size;
	uint32_t interface;
	uint32_t time_high, time_low;
	uint32_t captured, original; /* octets; the packet's follow, and up to three zeros */
};

_Static_assert(sizeof(struct pcapng_section) == 24, "as the format has it");
_Static_assert(sizeof(struct pcapng_packet) == 28, "as the format has it");

#endif
