// SPDX-License-Identifier: MIT
/*
 * control_mirror - the command "mirror": how the mirror of the store is, and, with "check", whether
 * it is true.
 */
#include "proxy/control/control.h"
#include "proxy/control/control_command.h"
#include "proxy/control/control_json.h"
#include "proxy/daemon.h"
#include "proxy/mend/mend.h"
#include "proxy/mirror/follow.h"

static void differs_cb(void *arg, const char *what)
{
	if (control_args(arg)->progress)
		control_note(arg, json_pack("{s:o}", "differs", control_json_text(what)));
}

static void done_cb(void *arg, uint32_t nodes, uint32_t differences, const char *why)
{
	if (why)
		control_error(arg, "Unchecked", "%s", why);
	else
		control_return(arg, json_pack("{s:I,s:I}", "compared", (json_int_t)nodes,
					      "differed", (json_int_t)differences));
}

static json_t *status_of(const struct daemon *daemon)
{
	const struct follow_counts *counts = follow_counts(daemon->follow);
	struct mend_status status;

	mend_status(daemon->mend, &status);
	return json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "state", status.state,
			 "nodes", (json_int_t)status.nodes, "octets", (json_int_t)status.octets,
			 "unsure", (json_int_t)status.unsure, "compared",
			 (json_int_t)status.compared, "differed", (json_int_t)status.differed,
			 "changes", (json_int_t)counts->changes, "waits", (json_int_t)counts->waits,
			 "reread", (json_int_t)counts->unsure, "beyond",
			 (json_int_t)counts->beyond);
}

void control_mirror(struct control *control, const struct control_args *args)
{
	static const struct mend_waiter waiter = { differs_cb, done_cb };

	if (args->check)
		mend_look(control_daemon(control)->mend, &waiter, control);
	else
		control_return(control, status_of(control_daemon(control)));
}
