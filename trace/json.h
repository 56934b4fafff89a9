/* SPDX-License-Identifier: MIT */
/*
 * json - an exchange (flow.h) as one line with a JSON object; docs/man/xsproxyctl.8 has its keys.
 *
 * Strings are as `xsproxyctl show --json` has them (text/escape.h).
 *
 * Called by ctl/.
 */
#ifndef XSPROXY_TRACE_JSON_H
#define XSPROXY_TRACE_JSON_H

#include "text/buffer.h"
#include "trace/flow.h"
#include "trace/outbuf.h"

/* Who sent it, as it is; each may be NULL. */
struct json_caller {
	const char *name;    /* of the domain */
	const char *program; /* of a toolstack's connection */
};

/**
 * json_exchange() - add a line with its newline.
 * @scratch: used and kept for the next call
 * @caller: NULL: not known
 *
 * Return: 0 or -ENOMEM.
 */
int json_exchange(struct buffer *scratch, struct outbuf *out, const struct exchange *exchange,
		  const struct json_caller *caller);

#endif
