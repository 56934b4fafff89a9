/* SPDX-License-Identifier: MIT */
/*
 * view - a frame (frame.h) as it is read: checked, and its parts where they can be got at.
 *
 * Called by trace/ and ctl/. Must never believe a length that it has not checked.
 */
#ifndef XSPROXY_TRACE_VIEW_H
#define XSPROXY_TRACE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "trace/frame.h"

struct view {
	struct frame frame;
	struct xsd_sockmsg msg; /* all zero in FRAME_LOST */
	const char *payload;	/* in the memory that was read from */
	uint32_t len;		/* octets at payload; msg.len may be more */
};

/**
 * view_parse() - look at the first frame in @len octets.
 *
 * Return: its size; 0 when it is not there in full yet; or -EBADMSG when this is no frame.
 */
ssize_t view_parse(struct view *view, const void *octets, size_t len);

/** view_is_error() - whether it is a reply that says an error. */
static inline bool view_is_error(const struct view *view)
{
	return view->frame.kind == FRAME_REPLY && view->msg.type == XS_ERROR;
}

/** view_cut() - how many octets of the payload the frame has not kept. */
static inline uint32_t view_cut(const struct view *view)
{
	return view->msg.len - view->len;
}

#endif
