// SPDX-License-Identifier: MIT
#include "proxy/observe/trace.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/clock.h"
#include "proxy/observe/stats.h"
#include "proxy/util.h"
#include "trace/pick.h"

#define BUFFER_OCTETS 262144u
#define FLUSH_OCTETS  65536u /* send at once when so many wait */
#define FLUSH_MS      20

struct trace {
	struct traces *traces;
	uint32_t bit;
	struct trace_filter filter;
	trace_write write;
	void *arg;
	struct event *timer;
	bool armed;
	uint32_t lost; /* frames; the reader has not been told yet */
	uint32_t fill;
	uint8_t *buffer;
};

struct traces {
	struct event_base *base;
	struct trace *trace[TRACES_MAX];
	uint32_t epoch;
	uint64_t lost;	   /* frames, of all traces that there ever were */
	uint64_t realtime; /* what CLOCK_REALTIME is ahead of CLOCK_MONOTONIC, ns */
};

void trace_filter_clear(struct trace_filter *filter)
{
	free(filter->domids);
	free(filter->types);
	free(filter->path);
	*filter = (struct trace_filter){ 0 };
}

int traces_new(struct traces **out, struct event_base *base)
{
	struct traces *traces = calloc(1, sizeof(*traces));

	if (!traces)
		return -ENOMEM;
	traces->base = base;
	traces->epoch = 1;
	*out = traces;
	return 0;
}

struct traces *traces_free(struct traces *traces)
{
	free(traces);
	return NULL;
}

/* --- out */

static void put(struct trace *trace, const void *octets, uint32_t len)
{
	memcpy(trace->buffer + trace->fill, octets, len);
	trace->fill += len;
}

static bool has_room(const struct trace *trace, uint32_t len)
{
	return BUFFER_OCTETS - trace->fill >= len;
}

/* Tell the reader what it has missed. Return: whether it knows. */
static bool put_lost(struct trace *trace, uint64_t time)
{
	struct frame lost = {
		.size = sizeof(lost), .kind = FRAME_LOST, .time = time, .number = trace->lost
	};

	if (!trace->lost)
		return true;
	if (!has_room(trace, sizeof(lost)))
		return false;
	put(trace, &lost, sizeof(lost));
	trace->lost = 0;
	return true;
}

/* Have it flushed a little later. */
static void flush_later(struct trace *trace)
{
	struct timeval delay = timeval_ms(FLUSH_MS);

	if (!trace->armed)
		trace->armed = !evtimer_add(trace->timer, &delay);
}

static void flush(struct trace *trace)
{
	if (trace->fill && trace->write(trace->arg, trace->buffer, trace->fill))
		trace->fill = 0;
	/* Clocks are set now and then. */
	trace->traces->realtime = clock_realtime_offset();
	/* There may be no frame for long that would take it along. */
	if (!trace->fill)
		put_lost(trace, clock_ns(CLOCK_REALTIME));
	if (trace->fill)
		flush_later(trace);
}

static void flush_cb(evutil_socket_t fd, short what, void *arg)
{
	struct trace *trace = arg;

	(void)fd;
	(void)what;
	trace->armed = false;
	flush(trace);
}

static void put_frame(struct trace *trace, const struct frame *frame, const struct xsd_sockmsg *hdr,
		      const void *payload, uint32_t len)
{
	uint32_t keep = min_u32(len, trace->filter.snap);
	struct frame out = *frame;

	out.size = (uint32_t)(sizeof(out) + sizeof(*hdr)) + keep;
	out.time += trace->traces->realtime;
	/* Room for what comes after is not of use when the reader must first be told. */
	if (!has_room(trace, out.size + sizeof(out)) || !put_lost(trace, out.time)) {
		trace->lost += trace->lost != UINT32_MAX;
		trace->traces->lost++;
		return;
	}
	put(trace, &out, sizeof(out));
	put(trace, hdr, sizeof(*hdr));
	put(trace, payload, keep);
	if (trace->fill >= FLUSH_OCTETS)
		flush(trace);
	else
		flush_later(trace);
}

/* --- filters */

_Static_assert(STATS_OPS <= 64, "each operation has a bit in a filter");

static bool has_type(const struct trace_filter *filter, uint32_t type)
{
	for (size_t i = 0; i < filter->nr_types; i++)
		if (filter->types[i] == type)
			return true;
	return filter->ops & 1ULL << stats_op(type);
}

/* Also a request of ours that CONTROL carries as text. */
static bool wants_type(const struct trace_filter *filter, uint32_t type, const void *payload,
		       uint32_t len)
{
	uint32_t named;

	if (has_type(filter, type))
		return true;
	named = pick_carried(type, payload, len);
	return named && has_type(filter, named);
}

static bool wants(const struct trace_filter *filter, const struct frame *frame,
		  const struct xsd_sockmsg *hdr, const void *payload, uint32_t len)
{
	if (frame->kind == FRAME_REPLY)
		return true;
	if (frame->kind == FRAME_EVENT ? !filter->events
				       : !wants_type(filter, hdr->type, payload, len))
		return false;
	return !filter->path || pick_is_below(filter->path, frame->domid, hdr->type, payload, len);
}

uint32_t traces_message(struct traces *traces, uint32_t mask, const struct frame *frame,
			const struct xsd_sockmsg *hdr, const void *payload, uint32_t len)
{
	uint32_t wanted = 0;

	for (; mask; mask &= mask - 1) {
		struct trace *trace = traces->trace[__builtin_ctz(mask)];

		/* It may have ended since the request. */
		if (!trace || !wants(&trace->filter, frame, hdr, payload, len))
			continue;
		put_frame(trace, frame, hdr, payload, len);
		wanted |= 1u << trace->bit;
	}
	return wanted;
}

static bool wants_session(const struct trace_filter *filter, uint32_t domid, uint32_t session)
{
	if (session < filter->first_session)
		return false;
	for (size_t i = 0; i < filter->nr_domids; i++)
		if (filter->domids[i] == domid)
			return true;
	return !filter->domids;
}

uint32_t traces_of(const struct traces *traces, uint32_t domid, uint32_t session)
{
	uint32_t mask = 0;

	for (uint32_t i = 0; i < TRACES_MAX; i++)
		if (traces->trace[i] && wants_session(&traces->trace[i]->filter, domid, session))
			mask |= 1u << i;
	return mask;
}

uint64_t traces_lost(const struct traces *traces)
{
	return traces ? traces->lost : 0;
}

uint32_t traces_epoch(const struct traces *traces)
{
	return traces->epoch;
}

/* --- begin and end */

static void next_epoch(struct traces *traces)
{
	traces->epoch++;
	traces->epoch += !traces->epoch;
}

static void trace_free(struct trace *trace)
{
	if (trace->timer)
		event_free(trace->timer);
	free(trace->buffer);
	trace_filter_clear(&trace->filter);
	free(trace);
}

struct trace *trace_end(struct trace *trace)
{
	if (!trace)
		return NULL;
	trace->traces->trace[trace->bit] = NULL;
	next_epoch(trace->traces);
	/* Twice, as what was lost is told behind what is sent. */
	flush(trace);
	flush(trace);
	trace_free(trace);
	return NULL;
}

int trace_begin(struct trace **out, struct traces *traces, struct trace_filter *filter,
		trace_write write, void *arg)
{
	struct trace *trace = calloc(1, sizeof(*trace));
	uint32_t bit = 0;

	if (!trace) {
		trace_filter_clear(filter);
		return -ENOMEM;
	}
	while (bit < TRACES_MAX - 1 && traces->trace[bit])
		bit++;
	trace->traces = traces;
	trace->bit = bit;
	trace->filter = *filter;
	trace->write = write;
	trace->arg = arg;
	trace->buffer = malloc(BUFFER_OCTETS);
	trace->timer = evtimer_new(traces->base, flush_cb, trace);
	if (traces->trace[bit] || !trace->buffer || !trace->timer) {
		trace_free(trace);
		return traces->trace[bit] ? -EBUSY : -ENOMEM;
	}
	traces->realtime = clock_realtime_offset();
	traces->trace[bit] = trace;
	next_epoch(traces);
	*out = trace;
	return 0;
}
