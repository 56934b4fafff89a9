// SPDX-License-Identifier: MIT
/*
 * control_exchange - the commands "replace", another xenstored takes the place of the running one,
 * "enter", we are put before a native one, and "leave", a native one takes our place; and what
 * `status` says of it.
 */
#include <errno.h>

#include "proxy/control/control.h"
#include "proxy/control/control_command.h"
#include "proxy/control/control_json.h"
#include "proxy/daemon.h"
#include "proxy/exchange/entry.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/leave.h"

static const char *const outcomes[] = {
	[EXCHANGE_DONE] = "done",
	[EXCHANGE_UNCHANGED] = "unchanged",
	[EXCHANGE_RESTORED] = "restored",
	[EXCHANGE_LOST] = "lost",
};

static const char *const classes[] = {
	[EXCHANGE_UNCHANGED] = "Unchanged",
	[EXCHANGE_RESTORED] = "Restored",
	[EXCHANGE_LOST] = "Lost",
};

/* What follows the reason. */
static const char *const ends[] = {
	[EXCHANGE_UNCHANGED] = "; all goes on as before",
	[EXCHANGE_RESTORED] = "; the one before was started again",
	[EXCHANGE_LOST] = "",
};

static void stage_cb(void *arg, const char *doing)
{
	if (control_args(arg)->progress)
		control_note(arg, json_pack("{s:s}", "stage", doing));
}

static void done_cb(void *arg, const struct exchange_result *result)
{
	if (result->outcome == EXCHANGE_DONE)
		control_return(arg, json_pack("{s:I}", "pause_ms", (json_int_t)result->pause_ms));
	else
		control_error(arg, classes[result->outcome], "%s%s", result->why,
			      ends[result->outcome]);
}

static const struct exchange_waiter waiter = { stage_cb, done_cb };

/* @hinders: a line, or NULL: it has begun, or could */
static void answer_begun(struct control *control, const struct control_args *args,
			 const char *hinders)
{
	if (hinders)
		control_error(control, classes[EXCHANGE_UNCHANGED], "%s", hinders);
	else if (args->check)
		control_return(control, json_object());
}

/* It is a stage that says when. */
static bool hears_and_reads(const struct control_args *args)
{
	return args->reads && args->progress;
}

void control_replace(struct control *control, const struct control_args *args)
{
	struct exchange *exchange = control_daemon(control)->exchange;
	const char *with = args->with ? args->with : "", *hinders;

	hinders = args->check
			  ? exchange_hindrance(exchange, with, args->reads)
			  : exchange_begin(exchange, with, hears_and_reads(args), &waiter, control);
	answer_begun(control, args, hinders);
}

void control_enter(struct control *control, const struct control_args *args)
{
	struct exchange *exchange = control_daemon(control)->exchange;
	const struct entry_options options = { .native = args->native ? args->native : "",
					       .with = args->with ? args->with : "",
					       .watches = args->watches };

	answer_begun(control, args,
		     args->check ? entry_hindrance(exchange, &options)
				 : entry_begin(exchange, &options, &waiter, control));
}

void control_leave(struct control *control, const struct control_args *args)
{
	struct exchange *exchange = control_daemon(control)->exchange;
	const struct leave_options options = { .native = args->with ? args->with : "",
					       .force = args->force,
					       .reads = hears_and_reads(args),
					       .whole = args->whole };

	answer_begun(control, args,
		     args->check ? leave_hindrance(exchange, options.native, args->reads)
				 : leave_begin(exchange, &options, &waiter, control));
}

/* {"stage","seconds"} or null */
json_t *control_exchange(const struct daemon *daemon)
{
	const char *doing = exchange_doing(daemon->exchange);

	if (!doing)
		return json_null();
	return json_pack("{s:s,s:I}", "stage", doing, "seconds",
			 (json_int_t)(exchange_ms(daemon->exchange) / 1000));
}

/* {"outcome","why","pause_ms","ended"} or null */
json_t *control_last_exchange(const struct daemon *daemon)
{
	struct exchange_result result;

	if (!exchange_last(daemon->exchange, &result) || result.outcome > EXCHANGE_LOST ||
	    !outcomes[result.outcome])
		return json_null();
	return json_pack("{s:s,s:o,s:I,s:I}", "outcome", outcomes[result.outcome], "why",
			 *result.why ? control_json_text(result.why) : json_null(), "pause_ms",
			 (json_int_t)result.pause_ms, "ended", (json_int_t)result.ended);
}
