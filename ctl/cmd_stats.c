// SPDX-License-Identifier: MIT
/*
 * cmd_stats - what a domain's session, or all of them together, have done; and all numbers as
 * Prometheus gets them.
 */
#include "ctl/command.h"
#include "ctl/control.h"
#include "ctl/print.h"
#include "ctl/statistics.h"

int command_stats(const struct options *options, const struct report *report)
{
	json_t *stats = NULL;
	int r = control_ask(options, "stats",
			    options->has_domid ? json_pack("{s:i}", "domid", options->domid)
					       : json_object(),
			    &stats, report);

	if (r)
		return r;
	if (options->json) {
		r = print_json(stats);
	} else {
		if (options->has_domid)
			printf("domain     %u\n", options->domid);
		else
			puts("all sessions since xsproxyd was started");
		r = statistics_print(stdout, stats);
	}
	json_decref(stats);
	return print_end(r, report);
}

int command_metrics(const struct options *options, const struct report *report)
{
	json_t *answer = NULL;
	int r = control_ask(options, "metrics", json_object(), &answer, report);

	if (r)
		return r;
	fputs(print_text(answer, "text"), stdout);
	json_decref(answer);
	return print_end(0, report);
}
