// SPDX-License-Identifier: MIT
/*
 * control_exchange - the command "replace": another xenstored takes the place of the running one.
 */
#include <errno.h>

#include "proxy/control/control.h"
#include "proxy/control/control_command.h"
#include "proxy/daemon.h"
#include "proxy/exchange/exchange.h"

static void done_cb(void *arg, const struct exchange_result *result)
{
	if (*result->why)
		control_error(arg, result->before ? "Restored" : "Unchanged", "%s%s", result->why,
			      result->before ? "; the one before was started again" : "");
	else
		control_return(arg, json_pack("{s:I}", "pause_ms", (json_int_t)result->pause_ms));
}

void control_replace(struct control *control, const struct control_args *args)
{
	struct daemon *daemon = control_daemon(control);
	char why[256];
	int err;

	err = exchange_begin(daemon->exchange, args->with ? args->with : "", done_cb, control, why,
			     sizeof(why));
	if (err)
		control_error(control, "Unchanged", "%s", why);
}
