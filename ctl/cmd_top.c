// SPDX-License-Identifier: MIT
/*
 * cmd_top - which domains ask most: a table each interval, on the terminal or one below the other.
 */
#include "ctl/command.h"
#include "ctl/control.h"
#include "ctl/load.h"
#include "ctl/print.h"
#include "ctl/table.h"
#include "ctl/top.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

struct batch {
	const struct options *options;
	const struct report *report;
	struct control *control;
	struct names *names; /* NULL: none are known */
	struct load before, now, rates;
};

static int ask(void *arg, const char *command, json_t *arguments, json_t **out)
{
	struct batch *batch = arg;

	return control_run(batch->control, command, arguments, out, batch->report);
}

static int take(struct batch *batch, struct load *load)
{
	int r = load_take(load, ask, batch);

	return r == -ENOMEM ? report_fail(batch->report, r, "%s", report_reason(r)) : r;
}

static void print_table(const struct batch *batch)
{
	const struct load *rates = &batch->rates;
	char line[TABLE_LINE];
	time_t now = time(NULL);

	strftime(line, sizeof(line), "%Y-%m-%d %H:%M:%S", localtime(&now));
	printf("%s, %zu domains\n", line, rates->nr);
	table_head(line, TABLE_ALL, batch->options->sort);
	puts(line);
	table_row(line, TABLE_ALL, &rates->all, "all");
	puts(line);
	table_row(line, TABLE_ALL, &rates->clients, "tools");
	puts(line);
	for (size_t i = 0; i < rates->nr; i++) {
		table_row(line, TABLE_ALL, &rates->rows[i], NULL);
		puts(line);
	}
}

static void pause_for(uint32_t ms)
{
	struct timespec left = { ms / 1000, (long)(ms % 1000) * 1000000 };

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

/* What happened since the last sample, which the new one replaces. */
static int print_next(struct batch *batch)
{
	struct load old = batch->before;
	int r;

	pause_for(batch->options->interval_ms);
	r = take(batch, &batch->now);
	if (!r)
		r = load_rate(&batch->rates, &batch->before, &batch->now);
	if (r)
		return r;
	load_call(&batch->rates, batch->names);
	load_pick(&batch->rates, batch->options);
	load_sort(&batch->rates, batch->options->sort);
	print_table(batch);
	batch->before = batch->now;
	batch->now = old;
	return print_end(0, batch->report);
}

static int run_batch(const struct options *options, const struct report *report)
{
	struct batch batch = { .options = options, .report = report };
	int r = control_open(&batch.control, options, report);

	if (!r)
		r = names_ask(&batch.names, options, NAMES_ALL, true, report);
	if (!r)
		r = take(&batch, &batch.before);
	for (uint32_t i = 0; !r && (!options->count || i < options->count); i++) {
		if (i)
			putchar('\n');
		r = print_next(&batch);
	}
	load_free(&batch.before);
	load_free(&batch.now);
	load_free(&batch.rates);
	names_free(batch.names);
	control_free(batch.control);
	return r;
}

int command_top(const struct options *options, const struct report *report)
{
	if (options->batch)
		return run_batch(options, report);
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return report_fail(report, -ENOTTY, "this needs a terminal; or use --batch");
	return top_run(options, report);
}
