/* SPDX-License-Identifier: MIT */
/*
 * flight - the flight recorder: the last messages of a session, for when it ends in an error.
 *
 * A ring of bounded size, each message with the first octets of its payload only. Kept by tap.c,
 * and must never hold up a message. Memory is taken as it fills; without memory it forgets what is
 * oldest a little sooner.
 */
#ifndef XSPROXY_PROXY_OBSERVE_FLIGHT_H
#define XSPROXY_PROXY_OBSERVE_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "trace/frame.h"

#define FLIGHT_PAYLOAD 64 /* octets of a payload that are kept */
#define FLIGHT_SHARE   48 /* octets of memory a message, on average, at most */

struct flight {
	uint8_t *data;
	uint32_t size; /* of data */
	uint32_t head; /* where the oldest message is */
	uint32_t tail; /* behind the newest one; not above head: it went on at the beginning */
	uint32_t end;  /* then: behind the last one before that */
	uint32_t count;
	uint64_t dropped; /* messages that are not there any more, or never were */
};

/* A message as it is shown: a frame in one piece of memory. */
struct flight_frame {
	struct frame frame;
	struct xsd_sockmsg hdr;
	uint8_t payload[FLIGHT_PAYLOAD]; /* hdr.len of it, if there are so many */
};

/**
 * flight_add() - keep a message.
 * @frame: as for a trace, but with its time in ns of CLOCK_MONOTONIC; its domain and session are
 * not kept
 * @payload: @len octets of its payload
 * @max: messages to keep, fewer where they are long (FLIGHT_SHARE); 0 keeps none
 */
void flight_add(struct flight *flight, const struct frame *frame, const struct xsd_sockmsg *hdr,
		const void *payload, uint32_t len, uint32_t max);

/**
 * flight_trim() - there is another maximum: forget what is beyond it, and give back its memory.
 * @max: as for flight_add()
 */
void flight_trim(struct flight *flight, uint32_t max);

/**
 * flight_each() - show every message, oldest first.
 * @domid, @session: of the frames
 */
void flight_each(const struct flight *flight, uint32_t domid, uint32_t session,
		 void (*show)(void *arg, const struct flight_frame *frame), void *arg);

/**
 * flight_find() - a request, by its number in frames; with its domain and session 0.
 *
 * Return: whether it is there.
 */
bool flight_find(const struct flight *flight, uint32_t number, struct flight_frame *found);

/** flight_fini() - forget all. */
void flight_fini(struct flight *flight);

#endif
