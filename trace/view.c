// SPDX-License-Identifier: MIT
#include "trace/view.h"

#include <string.h>

static bool is_sound(const struct frame *frame)
{
	if (frame->kind == FRAME_LOST)
		return frame->size == sizeof(*frame);
	return frame->kind >= FRAME_REQUEST && frame->kind <= FRAME_EVENT &&
	       frame->size >= sizeof(*frame) + sizeof(struct xsd_sockmsg) &&
	       frame->size <= FRAME_MAX;
}

ssize_t view_parse(struct view *view, const void *octets, size_t len)
{
	const char *p = octets;

	*view = (struct view){ 0 };
	if (len < sizeof(view->frame))
		return 0;
	memcpy(&view->frame, p, sizeof(view->frame));
	if (!is_sound(&view->frame))
		return -EBADMSG;
	if (len < view->frame.size)
		return 0;
	if (view->frame.kind != FRAME_LOST) {
		memcpy(&view->msg, p + sizeof(view->frame), sizeof(view->msg));
		view->payload = p + sizeof(view->frame) + sizeof(view->msg);
		view->len = view->frame.size - sizeof(view->frame) - sizeof(view->msg);
		if (view->len > view->msg.len)
			return -EBADMSG;
	}
	return view->frame.size;
}
