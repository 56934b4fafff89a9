// SPDX-License-Identifier: MIT
/*
 * cmd_mirror - the command about xsproxyd's mirror of the store: how it is, and whether it is true.
 *
 * What differs is a result, so it goes to standard output, a line each.
 */
#include "ctl/command.h"
#include "ctl/control.h"
#include "ctl/print.h"
#include "ctl/units.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* --- how it is */

static const struct {
	const char *state, *text;
	bool there; /* there is something to be said of it */
} states[] = {
	{ "off", "off ([mirror] enabled)", false },
	{ "waits", "none; it takes a xenstored, and dom0's ring", false },
	{ "reads", "the store is being read; of no use until all was", true },
	{ "whole", "whole", true },
	{ "broken", "of no more use; see xsproxyd's log", true },
};

#define NR_STATES (sizeof(states) / sizeof(states[0]))

static void print_counts(const json_t *mirror)
{
	char octets[UNITS_MAX];

	printf("nodes       %" PRId64 ", in %s of memory\n", print_number(mirror, "nodes"),
	       units_octets(octets, (double)print_number(mirror, "octets")));
	printf("unsure      %" PRId64 ", which are to be read again\n",
	       print_number(mirror, "unsure"));
	printf("compared    %" PRId64 ", different: %" PRId64 " (mended)\n",
	       print_number(mirror, "compared"), print_number(mirror, "differed"));
	printf("changes     %" PRId64 "; requests that waited for others: %" PRId64 "\n",
	       print_number(mirror, "changes"), print_number(mirror, "waits"));
	printf("read again  %" PRId64 "; changes beyond [mirror] transaction: %" PRId64 "\n",
	       print_number(mirror, "reread"), print_number(mirror, "beyond"));
}

static void print_mirror(const json_t *mirror)
{
	const char *text = print_text(mirror, "state");
	bool there = true;

	for (size_t i = 0; i < NR_STATES; i++) {
		if (strcmp(states[i].state, text) != 0)
			continue;
		text = states[i].text;
		there = states[i].there;
		break;
	}
	printf("mirror      %s\n", text);
	if (there)
		print_counts(mirror);
}

static int show(const struct options *options, const struct report *report)
{
	json_t *mirror = NULL;
	int r = control_ask(options, "mirror", json_object(), &mirror, report);

	if (r)
		return r;
	if (options->json)
		r = print_json(mirror);
	else
		print_mirror(mirror);
	json_decref(mirror);
	return print_end(r, report);
}

/* --- whether it is true */

/* Print each difference until there is something else. Return: as control_receive(). */
static int take_differences(struct control *control, const struct options *options, int64_t *told,
			    json_t **answer)
{
	int r = control_receive(control, answer);

	while (!r && json_object_get(*answer, "differs")) {
		if (options->json)
			r = print_json(*answer);
		else
			puts(print_text(*answer, "differs"));
		++*told;
		json_decref(*answer);
		*answer = NULL;
		if (!r)
			r = control_receive(control, answer);
	}
	return r;
}

/* Return: as command_fn. */
static int print_result(const json_t *result, const struct options *options, int64_t told,
			const struct report *report)
{
	int64_t differed = print_number(result, "differed");
	int r = 0;

	if (options->json) {
		r = print_json(result);
	} else {
		/* xsproxyd waits for nobody who does not read. */
		if (differed > told)
			printf("%" PRId64 " more, which are not listed\n", differed - told);
		printf("nodes compared: %" PRId64 ", different: %" PRId64 " (mended)\n",
		       print_number(result, "compared"), differed);
	}
	r = print_end(r, report);
	return !r && differed ? -EREMOTEIO : r;
}

static int finish(struct control *control, const struct options *options,
		  const struct report *report)
{
	json_t *answer = NULL;
	const json_t *result;
	const char *desc;
	int64_t told = 0;
	int r = take_differences(control, options, &told, &answer);

	if (r == -ENOMEM)
		return report_fail(report, r, "%s", report_reason(r));
	if (r)
		return report_fail(report, r, "xsproxyd does not answer: %s; see its log",
				   report_reason(r));
	result = json_object_get(answer, "return");
	desc = json_string_value(json_object_get(json_object_get(answer, "error"), "desc"));
	if (result)
		r = print_result(result, options, told, report);
	else
		r = report_fail(report, -EREMOTEIO, "%s", desc ? desc : "xsproxyd makes no sense");
	json_decref(answer);
	return r;
}

static int look(const struct options *options, const struct report *report)
{
	struct control *control = NULL;
	int r = control_open(&control, options, report);

	if (!r)
		r = control_start(control, "mirror",
				  json_pack("{s:b,s:b}", "check", 1, "progress", 1), report);
	if (!r)
		r = finish(control, options, report);
	control_free(control);
	return r;
}

int command_mirror(const struct options *options, const struct report *report)
{
	return options->check ? look(options, report) : show(options, report);
}
