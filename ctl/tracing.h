/* SPDX-License-Identifier: MIT */
/*
 * tracing - has xsproxyd stream frames (docs/protocol.md, "Frames") and writes out what a command
 * makes of them.
 *
 * Used by ctl/cmd_trace and ctl/cmd_capture. Must never wait with output while nothing more is to
 * be read, nor write each line by itself while more is.
 */
#ifndef XSPROXY_CTL_TRACING_H
#define XSPROXY_CTL_TRACING_H

#include "ctl/control.h"
#include "migration/interrupt.h"
#include "trace/outbuf.h"
#include "trace/view.h"

/* Where frames go */
struct tracing_sink {
	/* Take a frame. Return: 0; 1, that is enough; or a negative errno that ends it all. */
	int (*take)(void *arg, const struct view *view);
	/* There are no more. */
	void (*end)(void *arg);
	void *arg;
	struct outbuf out; /* what both add for @fd */
	int fd;
	const char *name;     /* of what @fd is */
	int unwritten;	      /* what writing failed with; take() may set it, too */
	uint64_t duration_ms; /* after which it ends as by a signal; 0: it does not */
};

/**
 * tracing_start() - ask for frames, and say which of the domains are not there.
 * @snap: if the options say nothing
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int tracing_start(struct control *control, const struct options *options, uint32_t snap,
		  const struct report *report);

/**
 * tracing_run() - pass frames to @sink and write out what it makes of them, until a signal comes,
 * its time is over, it has enough, or nobody reads it any more, all of which is fine.
 * @interrupt: caught already
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int tracing_run(struct control *control, const struct interrupt *interrupt,
		struct tracing_sink *sink, const struct report *report);

#endif
