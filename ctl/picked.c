// SPDX-License-Identifier: MIT
/*
 * picked - see picked.h.
 */
#include "ctl/picked.h"

#include "protocol/message.h"
#include "protocol/table.h"
#include "trace/pick.h"

#include <errno.h>
#include <stdlib.h>

struct picked_key {
	uint32_t domid, session;
};

/* A session whose first request was there. */
struct picked_session {
	struct picked_key key;
	UT_hash_handle hh;
};

struct picked {
	const struct filter *filter;
	struct picked_session *begun; /* looked for with filter->new only */
};

struct picked *picked_new(const struct filter *filter)
{
	struct picked *picked = calloc(1, sizeof(*picked));

	if (picked)
		picked->filter = filter;
	return picked;
}

void picked_free(struct picked *picked)
{
	struct picked_session *session, *next;

	if (!picked)
		return;
	HASH_ITER(hh, picked->begun, session, next) {
		HASH_DEL(picked->begun, session);
		free(session);
	}
	free(picked);
}

static struct picked_session *find(const struct picked *picked, const struct frame *frame)
{
	struct picked_key key = { frame->domid, frame->session };
	struct picked_session *session;

	HASH_FIND(hh, picked->begun, &key, sizeof(key), session);
	return session;
}

int picked_see(struct picked *picked, const struct view *view)
{
	struct picked_session *session;

	if (!picked->filter->new || view->frame.kind != FRAME_REQUEST || view->frame.number != 1 ||
	    find(picked, &view->frame))
		return 0;
	session = calloc(1, sizeof(*session));
	if (!session)
		return -ENOMEM;
	session->key = (struct picked_key){ view->frame.domid, view->frame.session };
	HASH_ADD(hh, picked->begun, key, sizeof(session->key), session);
	if (session->hh.tbl)
		return 0;
	free(session);
	return -ENOMEM;
}

static bool wants_session(const struct picked *picked, const struct frame *frame)
{
	const struct filter *filter = picked->filter;

	if (filter->new && !find(picked, frame))
		return false;
	for (size_t i = 0; i < filter->nr_domids; i++)
		if (filter->domids[i] == frame->domid)
			return true;
	return !filter->nr_domids;
}

static bool has_type(const struct filter *filter, uint32_t type)
{
	for (size_t i = 0; i < filter->nr_ops; i++)
		if (filter->ops[i] == type)
			return true;
	return filter->unknown && !message_info(type);
}

static bool wants_type(const struct filter *filter, const struct view *view)
{
	uint32_t carried;

	if ((!filter->nr_ops && !filter->unknown) || has_type(filter, view->msg.type))
		return true;
	carried = pick_carried(view->msg.type, view->payload, view->len);
	return carried && has_type(filter, carried);
}

static bool wants_path(const struct filter *filter, const struct view *view)
{
	return !filter->path || pick_is_below(filter->path, view->frame.domid, view->msg.type,
					      view->payload, view->len);
}

bool picked_wants(const struct picked *picked, const struct exchange *exchange)
{
	const struct view *view = exchange->request ? exchange->request : exchange->answer;
	const struct filter *filter = picked->filter;

	if (view->frame.kind == FRAME_LOST)
		return true;
	if (!wants_session(picked, &view->frame))
		return false;
	switch (view->frame.kind) {
	case FRAME_REQUEST:
		return wants_type(filter, view) && wants_path(filter, view);
	case FRAME_EVENT:
		return filter->events && wants_path(filter, view);
	default:
		return !filter->nr_ops && !filter->unknown && !filter->path;
	}
}
