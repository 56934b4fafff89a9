/* SPDX-License-Identifier: MIT */
/*
 * text - an exchange (flow.h) as one line for people.
 *
 *     14:03:04.123456 d7 s12 > t3 WRITE "data/x" "1" = OK  52 us, 41 upstream
 *
 * s12 is the session of a ring, c12 would be that of a toolstack client's socket; > goes to
 * xenstored, < comes from there. Who is known by a name is d7(web).
 *
 * Called by ctl/. Must never let an octet of a guest's reach a terminal unescaped (outbuf.h).
 */
#ifndef XSPROXY_TRACE_TEXT_H
#define XSPROXY_TRACE_TEXT_H

#include <time.h>

#include "trace/flow.h"
#include "trace/outbuf.h"

/* How lines look; all zero is plain ASCII. */
struct text {
	bool colour;
	bool utf8;	/* what reads it takes UTF-8 */
	time_t second;	/* that @clock shows */
	char clock[16]; /* 14:03:04 */
	/* Who sent it, escaped; or NULL. NULL: nobody is known. */
	const char *(*name)(void *arg, const struct frame *frame);
	void *arg; /* of @name */
};

/** text_exchange() - add a line with its newline. */
void text_exchange(struct text *text, struct outbuf *out, const struct exchange *exchange);

#endif
