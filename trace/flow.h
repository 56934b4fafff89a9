/* SPDX-License-Identifier: MIT */
/*
 * flow - ties replies to their requests, out of frames in the order in which they came.
 *
 * xenstored answers a session's requests in their order. So its reply to a later one tells that an
 * earlier one's will not come any more: it was lost, or the guest reconnected. What xsproxyd itself
 * answers comes at any time.
 *
 * Called by ctl/. Must never keep more than a bounded number of octets: the oldest request is given
 * out without a reply instead.
 */
#ifndef XSPROXY_TRACE_FLOW_H
#define XSPROXY_TRACE_FLOW_H

#include "trace/view.h"

/* A request and what came of it. One of the two may be NULL, never both. */
struct exchange {
	const struct view *request; /* NULL: was not seen, or @answer is no reply */
	const struct view *answer;  /* reply, event or FRAME_LOST; NULL: none was seen */
};

struct flow;

/* @emit: told each exchange, in the order in which they end */
typedef void (*flow_emit_fn)(void *arg, const struct exchange *exchange);

/**
 * flow_new() - ties replies to their requests.
 *
 * Return: NULL when memory ran out.
 */
struct flow *flow_new(flow_emit_fn emit, void *arg);

/** flow_free() - NULL is fine. Forgets the requests that wait for a reply. */
void flow_free(struct flow *flow);

/** flow_take() - take the next frame. Return: 0 or -ENOMEM. */
int flow_take(struct flow *flow, const struct view *view);

/** flow_end() - no more frames come: give out the requests that wait for a reply. */
void flow_end(struct flow *flow);

/* What has to be true of an exchange */
struct wanted {
	bool errors;	 /* the reply is an error */
	uint64_t slower; /* ns that it took at least */
};

/**
 * exchange_is_wanted() - whether an exchange is wanted. Events and losses always are.
 * @now: ns of CLOCK_REALTIME; until then a request without a reply has waited
 */
bool exchange_is_wanted(const struct exchange *exchange, const struct wanted *wanted, uint64_t now);

#endif
