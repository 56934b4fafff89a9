/* SPDX-License-Identifier: MIT */
/*
 * pcapng_read - frames out of a capture file: what pcapng.h has written, also where Wireshark and
 * its kin have cut, merged or annotated it since.
 *
 * Sections of the host's byte order with interfaces of link type 147 (USER0); what else a file has
 * between packets is passed over. Whoever wrote it, it is checked.
 *
 * Called by ctl/readback. Must never believe a length that it has not checked.
 */
#ifndef XSPROXY_TRACE_PCAPNG_READ_H
#define XSPROXY_TRACE_PCAPNG_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "trace/view.h"

#define PCAPNG_BLOCK_MAX (256u << 10) /* of a block that is not passed over */

/* All zero at a file's begin. */
struct pcapng_reader {
	bool section;	     /* its first block has been there */
	uint32_t interfaces; /* of this section */
	uint32_t skip;	     /* octets to come of what is passed over */
	const char *wrong;   /* what is, once it is -EBADMSG */
};

/**
 * pcapng_read() - take what a file goes on with.
 * @octets: @len of them; PCAPNG_BLOCK_MAX are always enough
 * @view: gets the frame of a packet, as view_parse() does; its frame.size is 0 if there is none
 *
 * Return: how many octets were taken; 0 when more are needed; or -EBADMSG.
 */
ssize_t pcapng_read(struct pcapng_reader *reader, const void *octets, size_t len,
		    struct view *view);

#endif
