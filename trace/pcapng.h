/* SPDX-License-Identifier: MIT */
/*
 * pcapng - frames as a capture file for Wireshark and its kin.
 *
 * One section in the host's byte order, one interface of link type 147 (USER0) and nanoseconds; a
 * packet is a frame as frame.h has it, with the direction beside it: requests go in, replies and
 * events go out. Frames that were lost are a packet of their own (FRAME_LOST) and counted in an
 * interface statistics block.
 *
 * Called by ctl/cmd_capture. Must never add half a block.
 */
#ifndef XSPROXY_TRACE_PCAPNG_H
#define XSPROXY_TRACE_PCAPNG_H

#include "trace/outbuf.h"
#include "trace/view.h"

struct pcapng {
	uint64_t start;	 /* ns of CLOCK_REALTIME */
	uint64_t frames; /* added, without those that are FRAME_LOST */
	uint64_t lost;
};

/**
 * pcapng_begin() - the blocks that a file begins with.
 * @program: what wrote it
 * @snap: octets of a payload
 */
void pcapng_begin(struct pcapng *pcapng, struct outbuf *out, const char *program, uint32_t snap,
		  uint64_t now);

/** pcapng_frame() - a block for @view. */
void pcapng_frame(struct pcapng *pcapng, struct outbuf *out, const struct view *view);

/** pcapng_statistics() - the statistics so far. A file ends with them, but is sound without. */
void pcapng_statistics(const struct pcapng *pcapng, struct outbuf *out, uint64_t now);

#endif
