/* SPDX-License-Identifier: MIT */
/*
 * trace - those who watch the traffic: what each wants to see, and frames on their way to it.
 *
 * A trace begins with the control socket's command (control_tap.c) and is fed by tap.c. It never
 * waits: frames gather in a buffer of fixed size that goes out every few milliseconds; what comes
 * while its reader is too slow is dropped and counted, and the reader is told.
 */
#ifndef XSPROXY_PROXY_OBSERVE_TRACE_H
#define XSPROXY_PROXY_OBSERVE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace/frame.h"

#define TRACES_MAX  16
#define TRACE_PATHS 4096 /* octets of a path to look for, its NUL included */

struct event_base;
struct trace;
struct traces;

/* What a trace wants; all of it must hold. */
struct trace_filter {
	uint32_t *domids; /* or NULL: any; from malloc() */
	size_t nr_domids;
	uint64_t ops;	 /* a bit for each stats_op() */
	uint32_t *types; /* wanted besides @ops, or NULL; from malloc() */
	size_t nr_types;
	char *path;		/* absolute or @..., or NULL: any; from malloc() */
	bool events;		/* watch events, too */
	uint32_t first_session; /* no session of a lower number */
	uint32_t snap;		/* octets of a payload that it wants at most */
};

/*
 * Where frames go. Return: whether all was taken; if not, none was, and it is asked again later.
 */
typedef bool (*trace_write)(void *arg, const void *octets, size_t len);

/** trace_filter_clear() - free what is in it. */
void trace_filter_clear(struct trace_filter *filter);

/** traces_new() - Return: 0 or -ENOMEM. */
int traces_new(struct traces **out, struct event_base *base);

/** traces_free() - every trace must have ended. NULL is fine; returns NULL. */
struct traces *traces_free(struct traces *traces);

/**
 * trace_begin() - one more who watches.
 * @filter: its pointers are taken over, also on error
 *
 * Return: 0, -EBUSY when there are TRACES_MAX already, or -ENOMEM.
 */
int trace_begin(struct trace **out, struct traces *traces, struct trace_filter *filter,
		trace_write write, void *arg);

/** trace_end() - sends what waits, if that can be taken. NULL is fine; returns NULL. */
struct trace *trace_end(struct trace *trace);

/** traces_lost() - frames that were dropped for readers that were too slow. NULL: 0 */
uint64_t traces_lost(const struct traces *traces);

/** traces_epoch() - changes whenever traces_of() might. Never 0. */
uint32_t traces_epoch(const struct traces *traces);

/** traces_of() - the traces that want to see anything of a session, one bit each. */
uint32_t traces_of(const struct traces *traces, uint32_t domid, uint32_t session);

/**
 * traces_message() - show a message to those traces of @mask that want it.
 * @frame: but for its size; time in ns of CLOCK_MONOTONIC
 * @payload: @len octets of it are there
 *
 * A reply's mask is what its request's call returned: it is shown whatever it says.
 *
 * Return: the traces that wanted it.
 */
uint32_t traces_message(struct traces *traces, uint32_t mask, const struct frame *frame,
			const struct xsd_sockmsg *hdr, const void *payload, uint32_t len);

#endif
