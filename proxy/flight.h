/* SPDX-License-Identifier: MIT */
/*
 * flight - the flight recorder: the last messages of a session, for when it ends in an error.
 *
 * A ring of frames (trace/frame.h) of bounded size, each with the first octets of its payload. Kept
 * by tap.c. Memory is taken as it fills; without memory it forgets what is oldest a little sooner.
 */
#ifndef XSPROXY_PROXY_FLIGHT_H
#define XSPROXY_PROXY_FLIGHT_H

#include <stdint.h>

#include "trace/frame.h"

#define FLIGHT_PAYLOAD 96   /* octets of a payload that are kept */
#define FLIGHT_OCTETS  8192 /* of one session's frames */

struct flight {
	uint8_t *data;
	uint32_t size;	     /* of data; 0 or a power of two */
	uint32_t head, tail; /* indexes of the oldest frame and behind the newest; run freely */
	uint32_t count;
	uint64_t dropped; /* frames that are not there any more */
};

/**
 * flight_add() - keep a message.
 * @frame: as for a trace, but with @frame->time in ns of CLOCK_MONOTONIC
 * @payload: @len octets of its payload
 * @max: messages to keep; 0 keeps none
 */
void flight_add(struct flight *flight, const struct frame *frame, const struct xsd_sockmsg *hdr,
		const void *payload, uint32_t len, uint32_t max);

/**
 * flight_each() - show every frame, oldest first, as one piece of memory of frame->size octets.
 */
void flight_each(const struct flight *flight, void (*show)(void *arg, const struct frame *frame),
		 void *arg);

/** flight_fini() - forget all. */
void flight_fini(struct flight *flight);

#endif
