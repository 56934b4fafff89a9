// SPDX-License-Identifier: MIT
/*
 * cmd_xenstored - the command about xenstored itself: another one takes its place.
 */
#include "ctl/command.h"
#include "ctl/replace.h"
#include "ctl/successor.h"

#include <unistd.h>

static int replace(struct successor *successor)
{
	const struct options *options = successor->options;
	const struct replace_request request = {
		.command = "replace",
		.arguments = json_pack("{s:s,s:b}", "with", successor->next.path, "progress", 1),
	};

	return replace_run(options, &request, successor->report);
}

static int run(struct successor *successor)
{
	int r = successor_check_type(successor->report);
	bool go = false;

	if (!r)
		r = successor_ask(successor);
	if (!r)
		r = successor_agree(successor, "replaces xenstored", &go);
	return r || !go ? r : replace(successor);
}

int command_xenstored(const struct options *options, const struct report *report)
{
	struct successor successor = { .options = options,
				       .report = report,
				       .domains = json_array() };
	int r = run(&successor);

	json_decref(successor.domains);
	return r;
}
