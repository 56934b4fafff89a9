// SPDX-License-Identifier: MIT
#include "trace/flow.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/table.h"

struct flow_key {
	uint32_t domid, session;
};

#define WAITING_OCTETS_MAX (32u << 20) /* of requests that wait for a reply */

struct waiting {
	struct waiting *next;
	struct view view;
	char payload[];
};

struct flow_session {
	struct flow_key key;
	struct waiting *first, **end; /* the pointer at which the next one goes */
	UT_hash_handle hh;
};

struct flow {
	flow_emit_fn emit;
	void *arg;
	struct flow_session *sessions; /* those with a request that waits */
	size_t octets;
};

struct flow *flow_new(flow_emit_fn emit, void *arg)
{
	struct flow *flow = calloc(1, sizeof(*flow));

	if (flow) {
		flow->emit = emit;
		flow->arg = arg;
	}
	return flow;
}

static void emit(struct flow *flow, const struct view *request, const struct view *answer)
{
	flow->emit(flow->arg, &(struct exchange){ request, answer });
}

static size_t size_of(const struct waiting *waiting)
{
	return sizeof(*waiting) + waiting->view.len;
}

/* Take the request at @at off; the session goes with its last one. */
static struct waiting *take_off(struct flow *flow, struct flow_session *session,
				struct waiting **at)
{
	struct waiting *waiting = *at;

	flow->octets -= size_of(waiting);
	*at = waiting->next;
	if (session->end == &waiting->next)
		session->end = at;
	if (!session->first) {
		HASH_DEL(flow->sessions, session);
		free(session);
	}
	return waiting;
}

/*
 * Give out the request at @at with @answer, which may be NULL. Return: whether the session is still
 * there, as others wait in it.
 */
static bool end_at(struct flow *flow, struct flow_session *session, struct waiting **at,
		   const struct view *answer)
{
	bool others = session->first->next;
	struct waiting *waiting = take_off(flow, session, at);

	emit(flow, &waiting->view, answer);
	free(waiting);
	return others;
}

static struct flow_session *find(struct flow *flow, const struct frame *frame)
{
	struct flow_key key = { frame->domid, frame->session };
	struct flow_session *session;

	HASH_FIND(hh, flow->sessions, &key, sizeof(key), session);
	return session;
}

static struct flow_session *get_session(struct flow *flow, const struct frame *frame)
{
	struct flow_session *session = find(flow, frame);

	if (session)
		return session;
	session = calloc(1, sizeof(*session));
	if (!session)
		return NULL;
	session->key = (struct flow_key){ frame->domid, frame->session };
	session->end = &session->first;
	HASH_ADD(hh, flow->sessions, key, sizeof(session->key), session);
	if (!session->hh.tbl) {
		free(session);
		return NULL;
	}
	return session;
}

static struct waiting *copy(const struct view *view)
{
	struct waiting *waiting = malloc(sizeof(*waiting) + view->len);

	if (waiting) {
		*waiting = (struct waiting){ .view = *view };
		memcpy(waiting->payload, view->payload, view->len);
		waiting->view.payload = waiting->payload;
	}
	return waiting;
}

static int take_request(struct flow *flow, const struct view *view)
{
	struct waiting *waiting = copy(view);
	struct flow_session *session = waiting ? get_session(flow, &view->frame) : NULL;

	if (!session) {
		free(waiting);
		return -ENOMEM;
	}
	*session->end = waiting;
	session->end = &waiting->next;
	flow->octets += size_of(waiting);
	/* The hash table keeps the order in which sessions came. */
	while (flow->octets > WAITING_OCTETS_MAX)
		end_at(flow, flow->sessions, &flow->sessions->first, NULL);
	return 0;
}

/* Whether @view says nothing about the order of others. */
static bool is_ours(const struct view *view)
{
	return view->frame.flags & FRAME_OURS;
}

static void take_reply(struct flow *flow, const struct view *view)
{
	struct flow_session *session = find(flow, &view->frame);
	struct waiting **at = session ? &session->first : NULL;

	while (at && *at) {
		/* numbers begin again after 2^32 */
		int32_t ahead = (int32_t)(view->frame.number - (*at)->view.frame.number);

		if (ahead < 0)
			break;
		if (!ahead) {
			end_at(flow, session, at, view);
			return;
		}
		if (is_ours(view) || is_ours(&(*at)->view))
			at = &(*at)->next;
		else if (!end_at(flow, session, at, NULL))
			break;
	}
	emit(flow, NULL, view);
}

int flow_take(struct flow *flow, const struct view *view)
{
	switch (view->frame.kind) {
	case FRAME_REQUEST:
		return take_request(flow, view);
	case FRAME_REPLY:
		take_reply(flow, view);
		return 0;
	default:
		emit(flow, NULL, view);
		return 0;
	}
}

void flow_end(struct flow *flow)
{
	while (flow->sessions)
		end_at(flow, flow->sessions, &flow->sessions->first, NULL);
}

void flow_free(struct flow *flow)
{
	if (!flow)
		return;
	while (flow->sessions)
		free(take_off(flow, flow->sessions, &flow->sessions->first));
	free(flow);
}

bool exchange_is_wanted(const struct exchange *exchange, const struct wanted *wanted, uint64_t now)
{
	const struct view *request = exchange->request, *answer = exchange->answer;
	uint64_t took;

	if (answer && answer->frame.kind != FRAME_REPLY)
		return true;
	if (wanted->errors && !(answer && view_is_error(answer)))
		return false;
	if (answer)
		took = answer->frame.took;
	else
		took = now > request->frame.time ? now - request->frame.time : 0;
	return took >= wanted->slower;
}
