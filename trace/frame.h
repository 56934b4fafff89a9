/* SPDX-License-Identifier: MIT */
/*
 * frame - one message that passed a session, as the control socket's `trace` streams it, `flight`
 * returns it and a capture file keeps it (docs/protocol.md, "Frames").
 *
 * Written by proxy/observe/tap.c, read by xsproxyctl. Header only; host byte order, as xs_wire.h
 * has it.
 */
#ifndef XSPROXY_TRACE_FRAME_H
#define XSPROXY_TRACE_FRAME_H

#include <errno.h>
#include <stdint.h>
#include <xen/io/xs_wire.h>

enum frame_kind {
	FRAME_REQUEST = 1, /* from the guest or client */
	FRAME_REPLY,	   /* to it */
	FRAME_EVENT,	   /* to it */
	FRAME_LOST, /* no message: `number` frames were dropped here, their reader is too slow */
};

/* struct frame.flags */
#define FRAME_OURS   1u /* xsproxyd answers it; upstream never sees it */
#define FRAME_CLIENT 2u /* of a toolstack client's socket, not of a ring */

struct frame {
	uint32_t size; /* of all: this header, the message's header and what is there of its payload
			*/
	uint16_t kind; /* enum frame_kind */
	uint16_t flags; /* FRAME_* */
	uint32_t domid;
	uint32_t session;
	uint64_t time;	   /* ns of CLOCK_REALTIME */
	uint64_t took;	   /* FRAME_REPLY: ns since the request was whole */
	uint64_t upstream; /* FRAME_REPLY: how many of them upstream had it */
	uint32_t number; /* a reply has its request's; 1, 2, ... of the session's requests; 0: event
			  */
	uint32_t reserved; /* 0 */
	/* struct xsd_sockmsg with the ids of the front; its len may be more than what follows here
	 */
};

_Static_assert(sizeof(struct frame) == 48, "the frame's layout is documented");

#define FRAME_MAX (sizeof(struct frame) + sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX)

#endif
