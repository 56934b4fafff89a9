// SPDX-License-Identifier: MIT
/*
 * exchange_update - an exchange that a toolstack has asked for by CONTROL live-update
 * (toolstack/update.h).
 */
#include <stddef.h>

#include "proxy/daemon.h"
#include "proxy/exchange/exchange_parts.h"
#include "proxy/toolstack/update.h"

static void stage_cb(void *arg, const char *doing)
{
	(void)arg;
	(void)doing;
}

static void done_cb(void *arg, const struct exchange_result *result)
{
	update_done(arg, result->outcome == EXCHANGE_DONE ? NULL : result->why);
}

static const char *begin(struct daemon *daemon, const char *with, struct op *op)
{
	static const struct exchange_waiter waiter = { stage_cb, done_cb };
	struct exchange *exchange = daemon->exchange;

	if (exchange_doing(exchange) || exchange->leave)
		return "BUSY";
	return exchange_begin(exchange, with, false, &waiter, op);
}

static void forget(struct daemon *daemon, const struct op *op)
{
	exchange_forget(daemon->exchange, op);
}

const struct update_hooks exchange_update_hooks = { begin, forget };
