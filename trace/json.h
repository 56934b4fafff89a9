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

/**
 * json_exchange() - add a line with its newline.
 * @scratch: used and kept for the next call
 *
 * Return: 0 or -ENOMEM.
 */
int json_exchange(struct buffer *scratch, struct outbuf *out, const struct exchange *exchange);

#endif
