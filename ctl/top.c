// SPDX-License-Identifier: MIT
/*
 * top - see top.h.
 *
 * Whatever it waits for, the next sample or an answer, keys are taken and shown at once; signals
 * come only while it waits.
 */
#include "ctl/top.h"

#include "ctl/control.h"
#include "ctl/statistics.h"
#include "migration/interrupt.h"
#include "protocol/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_FD		(-1)
#define NO_DOMAIN	(-1)
#define CONNECT_SECONDS 1    /* meanwhile no key is taken */
#define IMPATIENT	2000 /* ms after which a missing answer is worth a word */
#define NS_OF_A_MS	1000000ULL
#define NS_OF_A_SEC	1000000000ULL

struct top {
	const struct options *options;
	struct report report; /* into view.said */
	struct interrupt interrupt;
	struct control *control;
	struct names *names; /* NULL: none are known */
	struct load before, now;
	struct top_view view;
	bool quit;
	bool look;    /* into the chosen domain */
	bool trouble; /* view.said is about xsproxyd: its next answer ends it, else the next key */
};

/* --- keys, and what else is waited for */

static void look_away(struct top *top)
{
	free(top->view.details);
	top->view.details = NULL;
	top->view.first = 0;
	top->look = false;
}

static void look_into(struct top *top)
{
	if (top->look || !top_screen_choose(&top->view))
		return;
	top->view.first = 0;
	top->look = true;
}

static void take_keys(struct top *top)
{
	enum top_key key;

	while (!top->quit && top_screen_key(&top->view, &key)) {
		if (!top->trouble)
			top->view.said[0] = '\0';
		if (key == TOP_QUIT)
			top->quit = true;
		else if (key == TOP_LOOK)
			look_into(top);
		else if (key == TOP_BACK)
			look_away(top);
	}
}

/*
 * Wait for a key, for @fd to be readable, or until @deadline in ns.
 *
 * Return: whether @fd is readable.
 */
static bool wait_for(struct top *top, int fd, uint64_t deadline)
{
	struct pollfd fds[] = { { STDIN_FILENO, POLLIN, 0 }, { fd, POLLIN, 0 } };
	uint64_t now = clock_monotonic(), left = deadline > now ? deadline - now : 0;
	struct timespec timeout = { (time_t)(left / NS_OF_A_SEC), (long)(left % NS_OF_A_SEC) };

	if (ppoll(fds, 2, &timeout, &top->interrupt.waiting) < 0)
		fds[0].revents = fds[1].revents = 0; /* a signal: perhaps a new size */
	if (fds[0].revents & (POLLHUP | POLLERR) || interrupt_check(&top->interrupt))
		top->quit = true;
	take_keys(top);
	top_screen_draw(&top->view);
	return fds[1].revents;
}

/* --- xsproxyd */

static void disconnect(struct top *top, int r)
{
	control_free(top->control);
	top->control = NULL;
	/* Whoever answers next may count anew. */
	load_free(&top->before);
	top->trouble = r != -EREMOTEIO;
	if (top->trouble)
		snprintf(top->view.said, TOP_SAID, "xsproxyd is away: %s; trying again",
			 report_reason(r));
}

static int wait_for_answer(struct top *top)
{
	uint64_t deadline = clock_monotonic() + IMPATIENT * NS_OF_A_MS;

	while (!wait_for(top, control_fd(top->control), deadline)) {
		if (top->quit)
			return -ECANCELED;
		if (clock_monotonic() < deadline)
			continue;
		top->trouble = true;
		strcpy(top->view.said, "waiting for xsproxyd to answer");
		top_screen_draw(&top->view);
		deadline = UINT64_MAX;
	}
	return 0;
}

/* A load_ask_fn. */
static int ask(void *arg, const char *command, json_t *arguments, json_t **out)
{
	struct top *top = arg;
	int r;

	rewind(top->report.out);
	r = control_start(top->control, command, arguments, &top->report);
	if (!r)
		r = wait_for_answer(top);
	if (r)
		return r;
	if (top->trouble)
		top->view.said[0] = '\0';
	top->trouble = false;
	return control_finish(top->control, out, &top->report);
}

static int take_sample(struct top *top)
{
	int r = 0;

	rewind(top->report.out);
	if (!top->control)
		r = control_open_within(&top->control, top->options, CONNECT_SECONDS, &top->report);
	if (!r)
		r = load_take(&top->now, ask, top);
	if (!r)
		r = load_rate(&top->view.rates, &top->before, &top->now);
	return r;
}

/* Return: 0, also when there is no answer, or -ENOMEM. */
static int sample(struct top *top)
{
	int r = take_sample(top);
	struct load old = top->before;

	if (r == -ENOMEM)
		return r;
	if (r) {
		disconnect(top, r);
		return 0;
	}
	top->view.sampled = true;
	load_call(&top->view.rates, top->names);
	load_pick(&top->view.rates, top->options);
	load_sort(&top->view.rates, top->view.sort);
	top->before = top->now;
	top->now = old;
	return 0;
}

/* Return: lines, or NULL when memory ran out. */
static char *details_of(const json_t *stats)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);
	int r;

	if (!file)
		return NULL;
	r = statistics_print(file, stats);
	if (fclose(file) || r) {
		free(text);
		return NULL;
	}
	return text;
}

static int fetch_details(struct top *top)
{
	json_t *stats = NULL;
	int r = ask(top, "stats", json_pack("{s:I}", "domid", (json_int_t)top->view.chosen),
		    &stats);

	if (r == -EREMOTEIO) {
		/* The domain has gone. What was seen last stays, if anything was. */
		top->look = top->view.details;
		return 0;
	}
	if (r) {
		disconnect(top, r);
		return 0;
	}
	if (top->look) {
		free(top->view.details);
		top->view.details = details_of(stats);
		r = top->view.details ? 0 : -ENOMEM;
	}
	json_decref(stats);
	return r;
}

/* --- the whole */

static int watch(struct top *top)
{
	uint64_t next = 0;
	int r = 0;

	while (!r && !top->quit) {
		bool due = clock_monotonic() >= next;

		if (due) {
			r = sample(top);
			next = clock_monotonic() + top->options->interval_ms * NS_OF_A_MS;
		}
		if (!r && top->control && top->look && (due || !top->view.details))
			r = fetch_details(top);
		if (!r && !top->quit)
			wait_for(top, NO_FD, next);
	}
	return r;
}

static int run_on_screen(struct top *top, const struct report *report)
{
	sigset_t resized;
	int r = interrupt_catch(&top->interrupt);

	if (r)
		return report_fail(report, r, "%s", report_reason(r));
	r = top_screen_open(report);
	if (r)
		return r;
	sigemptyset(&resized);
	sigaddset(&resized, SIGWINCH);
	sigprocmask(SIG_BLOCK, &resized, NULL);
	r = watch(top);
	top_screen_close();
	return r ? report_fail(report, r, "%s", report_reason(r)) : 0;
}

int top_run(const struct options *options, const struct report *report)
{
	struct top top = {
		.options = options,
		.view = { .sort = options->sort, .chosen = NO_DOMAIN },
	};
	int r = control_may(options, report);

	if (r)
		return r;
	r = names_new(&top.names, options, NAMES_ALL, true, report);
	if (r)
		return r;
	top.report = (struct report){ fmemopen(top.view.said, TOP_SAID - 1, "w"), "top" };
	if (top.report.out) {
		setbuf(top.report.out, NULL);
		r = run_on_screen(&top, report);
		fclose(top.report.out);
	} else {
		r = report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
	}
	control_free(top.control);
	names_free(top.names);
	load_free(&top.before);
	load_free(&top.now);
	load_free(&top.view.rates);
	free(top.view.details);
	return r;
}
