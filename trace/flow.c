// SPDX-License-Identifier: MIT
#include "trace/flow.h"

#include <stdlib.h>
#include <string.h>

struct flow_key {
	uint32_t domid, session;
};

static inline unsigned int key_hash(const struct flow_key *key)
{
	return key->session * 0x9e3779b1u ^ key->domid * 0x85ebca6bu;
}

/* The keys have always the same form, so uthash need not look at octets. */
#define HASH_FUNCTION(key, len, hash) ((hash) = key_hash(key))

/* uthash tells by this macro that it got no memory; the item is not in the table then. */
#define HASH_NONFATAL_OOM	  1
#define uthash_nonfatal_oom(item) ((item)->lost = true)
#include <uthash.h>

#define WAITING_OCTETS_MAX (32u << 20) /* of requests that wait for a reply */

struct waiting {
	struct waiting *next;
	struct view view;
	char payload[];
};

struct flow_session {
	struct flow_key key;
	struct waiting *first, *last;
	bool lost;
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

/* Take the oldest request off; the session goes with its last one. */
static struct waiting *take_first(struct flow *flow, struct flow_session *session)
{
	struct waiting *first = session->first;

	flow->octets -= size_of(first);
	session->first = first->next;
	if (!session->first) {
		HASH_DEL(flow->sessions, session);
		free(session);
	}
	return first;
}

/* Give out a session's oldest request with @answer, which may be NULL. */
static void end_first(struct flow *flow, struct flow_session *session, const struct view *answer)
{
	struct waiting *first = take_first(flow, session);

	emit(flow, &first->view, answer);
	free(first);
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
	HASH_ADD(hh, flow->sessions, key, sizeof(session->key), session);
	if (session->lost) {
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
	if (session->first)
		session->last->next = waiting;
	else
		session->first = waiting;
	session->last = waiting;
	flow->octets += size_of(waiting);
	/* The hash table keeps the order in which sessions came. */
	while (flow->octets > WAITING_OCTETS_MAX)
		end_first(flow, flow->sessions, NULL);
	return 0;
}

static void take_reply(struct flow *flow, const struct view *view)
{
	struct flow_session *session;
	int32_t ahead = -1; /* numbers begin again after 2^32 */

	while ((session = find(flow, &view->frame))) {
		ahead = (int32_t)(view->frame.number - session->first->view.frame.number);
		if (ahead <= 0)
			break;
		end_first(flow, session, NULL);
	}
	if (session && !ahead)
		end_first(flow, session, view);
	else
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
		end_first(flow, flow->sessions, NULL);
}

void flow_free(struct flow *flow)
{
	if (!flow)
		return;
	while (flow->sessions)
		free(take_first(flow, flow->sessions));
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
