/* SPDX-License-Identifier: MIT */
/*
 * trace_bed - frames for the tests of trace/, made in memory of just their size, so that a
 * sanitizer sees who reads beyond them.
 */
#ifndef XSPROXY_TESTS_UNIT_TRACE_BED_H
#define XSPROXY_TESTS_UNIT_TRACE_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs the above */

#include "protocol/message.h"
#include "trace/flow.h"
#include "trace/outbuf.h"
#include "trace/view.h"

#define BED_TIME 1795376017119070665u /* 19:33:37.119070 UTC */

/* A string constant as a payload, with or without the NUL at its end. */
#define TEXT(s)	  (s), sizeof(s) - 1
#define STRING(s) (s), sizeof(s)

/* The octets of a frame; free() them. */
static inline char *bed_frame(const struct frame *frame, const struct xsd_sockmsg *msg,
			      const char *payload, size_t len)
{
	struct frame head = *frame;
	size_t at = sizeof(head);
	char *octets;

	head.size = (uint32_t)(sizeof(head) + (msg ? sizeof(*msg) + len : 0));
	octets = malloc(head.size);
	assert_non_null(octets);
	memcpy(octets, &head, sizeof(head));
	if (msg) {
		memcpy(octets + at, msg, sizeof(*msg));
		memcpy(octets + at + sizeof(*msg), payload, len);
	}
	return octets;
}

/* A frame of domain 7's session 2 as it is read. bed_free() it. */
static inline struct view bed_view(enum frame_kind kind, uint32_t number, uint32_t type,
				   const char *payload, size_t len)
{
	struct frame frame = {
		.kind = (uint16_t)kind, .domid = 7, .session = 2, .time = BED_TIME, .number = number
	};
	struct xsd_sockmsg msg = { .type = type, .req_id = number, .len = (uint32_t)len };
	char *octets;
	struct view view;

	if (kind == FRAME_REPLY) {
		frame.took = 52999;
		frame.upstream = 41000;
	}
	octets = bed_frame(&frame, kind == FRAME_LOST ? NULL : &msg, payload, len);
	assert_int_equal(view_parse(&view, octets, FRAME_MAX), ((struct frame *)octets)->size);
	/* FRAME_LOST has no payload that would tell where it is. */
	if (kind == FRAME_LOST)
		view.payload = octets + sizeof(frame) + sizeof(msg);
	return view;
}

static inline struct view bed_request(uint32_t number, uint32_t type, const char *payload,
				      size_t len)
{
	return bed_view(FRAME_REQUEST, number, type, payload, len);
}

static inline struct view bed_reply(uint32_t number, uint32_t type, const char *payload, size_t len)
{
	return bed_view(FRAME_REPLY, number, type, payload, len);
}

static inline void bed_free(struct view *view)
{
	free((char *)view->payload - sizeof(struct frame) - sizeof(struct xsd_sockmsg));
}

/* What is in @out, as a string until the next call. */
static inline const char *bed_text(struct outbuf *out)
{
	assert_false(out->failed);
	outbuf_char(out, '\0');
	out->len--;
	return out->data;
}

#endif
