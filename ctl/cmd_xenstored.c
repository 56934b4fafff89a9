// SPDX-License-Identifier: MIT
/*
 * cmd_xenstored - the command about xenstored itself: another one takes its place.
 */
#include "ctl/command.h"
#include "ctl/dump.h"
#include "ctl/replace.h"
#include "ctl/successor.h"

#include <unistd.h>

static int replace(struct successor *successor)
{
	const struct options *options = successor->options;
	struct dump dump = { .options = options, .report = successor->report };
	const struct replace_request request = {
		.command = "replace",
		.arguments = json_pack("{s:s,s:b,s:b}", "with", successor->next.path, "reads", 1,
				       "progress", 1),
		.stage = dump_at_stage,
		.arg = &dump,
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
