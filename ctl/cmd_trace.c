// SPDX-License-Identifier: MIT
/*
 * cmd_trace - the commands that show messages as lines: trace, as they pass or as a capture has
 * them, and flight, the last ones that xsproxyd has kept.
 */
#include "ctl/callers.h"
#include "ctl/command.h"
#include "ctl/picked.h"
#include "ctl/print.h"
#include "ctl/readback.h"
#include "ctl/tracing.h"
#include "protocol/clock.h"
#include "trace/json.h"
#include "trace/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Octets of a payload that a line shows */
#define SNAP_TEXT 512u

/* Frames on their way into lines. */
struct lines {
	struct flow *flow;
	struct wanted wanted;
	bool json;
	struct text text;
	struct buffer scratch;
	struct outbuf *out;
	struct callers *callers; /* NULL: none are known */
	char name[REPORT_OCTETS_MAX];
	struct picked *picked; /* NULL: xsproxyd has picked */
	uint32_t snap;	       /* with @picked: octets of a payload that are shown */
	uint64_t last;	       /* with @picked: the latest of the frames' times */
};

/* What is shown of @view, which may be NULL. */
static const struct view *cut(const struct lines *lines, const struct view *view, struct view *out)
{
	if (!view || !lines->picked || view->len <= lines->snap)
		return view;
	*out = *view;
	out->len = lines->snap;
	return out;
}

static const struct frame *frame_of(const struct exchange *exchange)
{
	return &(exchange->request ? exchange->request : exchange->answer)->frame;
}

/* Of a toolstack's connection the program, which says more than "Domain-0". */
static const char *name_of(void *arg, const struct frame *frame)
{
	struct lines *lines = arg;
	const char *name = frame->flags & FRAME_CLIENT
				   ? callers_program(lines->callers, frame)
				   : callers_domain(lines->callers, frame->domid);

	return name ? report_octets(lines->name, name, strlen(name)) : NULL;
}

static int add_json(struct lines *lines, const struct exchange *exchange)
{
	const struct frame *frame = frame_of(exchange);
	const struct json_caller caller = { callers_domain(lines->callers, frame->domid),
					    callers_program(lines->callers, frame) };

	return json_exchange(&lines->scratch, lines->out, exchange, &caller);
}

static void on_exchange(void *arg, const struct exchange *exchange)
{
	struct lines *lines = arg;
	uint64_t now = lines->picked ? lines->last : clock_ns(CLOCK_REALTIME);
	struct view request, answer;
	struct exchange shown = { cut(lines, exchange->request, &request),
				  cut(lines, exchange->answer, &answer) };

	if (!exchange_is_wanted(exchange, &lines->wanted, exchange->answer ? 0 : now) ||
	    (lines->picked && !picked_wants(lines->picked, exchange)))
		return;
	if (!lines->json)
		text_exchange(&lines->text, lines->out, &shown);
	else if (add_json(lines, &shown))
		lines->out->failed = true;
}

static int lines_init(struct lines *lines, const struct options *options, struct outbuf *out,
		      const struct report *report)
{
	*lines = (struct lines){ .wanted = options->filter.wanted,
				 .json = options->json,
				 .out = out };
	print_look(&lines->text);
	lines->text.name = name_of;
	lines->text.arg = lines;
	lines->flow = flow_new(on_exchange, lines);
	return lines->flow ? 0 : report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
}

static void lines_fini(struct lines *lines)
{
	flow_free(lines->flow);
	picked_free(lines->picked);
	callers_free(lines->callers);
	free(lines->scratch.data);
	outbuf_free(lines->out);
}

/* --- trace */

static int take(void *arg, const struct view *view)
{
	struct lines *lines = arg;

	return callers_is_own(lines->callers, &view->frame) ? 0 : flow_take(lines->flow, view);
}

static void end(void *arg)
{
	struct lines *lines = arg;

	flow_end(lines->flow);
}

static uint32_t snap_default(const struct options *options)
{
	return options->json ? XENSTORE_PAYLOAD_MAX : SNAP_TEXT;
}

static int trace(struct control *control, struct tracing_sink *sink, const struct options *options,
		 const struct report *report)
{
	struct interrupt interrupt;
	int r = interrupt_catch(&interrupt);

	if (r)
		return report_fail(report, r, "%s", report_reason(r));
	r = tracing_start(control, options, snap_default(options), report);
	if (r)
		return r;
	fprintf(report->out, "%s: tracing, until it is interrupted\n", report->who);
	return tracing_run(control, &interrupt, sink, report);
}

static int take_read(void *arg, const struct view *view)
{
	struct lines *lines = arg;
	int r = picked_see(lines->picked, view);

	if (view->frame.time > lines->last)
		lines->last = view->frame.time;
	return r ? r : flow_take(lines->flow, view);
}

static int read_back(struct lines *lines, struct tracing_sink *sink, const struct options *options,
		     const struct report *report)
{
	const struct filter *filter = &options->filter;

	lines->snap = filter->snap ? filter->snap : snap_default(options);
	lines->picked = picked_new(filter);
	if (!lines->picked)
		return report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
	sink->take = take_read;
	return readback_run(options->file, sink, report);
}

int command_trace(const struct options *options, const struct report *report)
{
	struct lines lines;
	struct tracing_sink sink = {
		take, end, &lines, .fd = STDOUT_FILENO, .name = "standard output",
	};
	struct control *control = NULL;
	int r = lines_init(&lines, options, &sink.out, report);

	if (!r && options->file)
		r = read_back(&lines, &sink, options, report);
	else if (!r)
		r = control_open(&control, options, report);
	if (!r && !options->file)
		r = callers_new(&lines.callers, options, NAMES_ALL, report);
	if (!r && !options->file)
		r = trace(control, &sink, options, report);
	control_free(control);
	lines_fini(&lines);
	return r;
}

/* --- flight */

static int from_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Return: the number of octets, or -EBADMSG. */
static ssize_t unhex(char out[FRAME_MAX], const char *hex)
{
	size_t len = strlen(hex);

	if (len % 2 || len / 2 > FRAME_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < len; i += 2) {
		int high = from_hex(hex[i]), low = from_hex(hex[i + 1]);

		if (high < 0 || low < 0)
			return -EBADMSG;
		out[i / 2] = (char)(high << 4 | low);
	}
	return (ssize_t)(len / 2);
}

static int take_hex(struct lines *lines, const json_t *frame)
{
	const char *hex = json_string_value(frame);
	char octets[FRAME_MAX];
	ssize_t len = hex ? unhex(octets, hex) : -EBADMSG;
	struct view view;

	if (len < 0 || view_parse(&view, octets, (size_t)len) != len || !len)
		return -EBADMSG;
	return flow_take(lines->flow, &view);
}

static void add_dropped(struct lines *lines, json_int_t dropped)
{
	char line[64];

	snprintf(line, sizeof(line),
		 lines->json ? "{\"kind\":\"dropped\",\"count\":%" JSON_INTEGER_FORMAT "}\n"
			     : "(%" JSON_INTEGER_FORMAT " messages before these are not kept)\n",
		 dropped);
	outbuf_text(lines->out, line);
}

static int add_flight(struct lines *lines, const json_t *flight)
{
	json_int_t dropped = json_integer_value(json_object_get(flight, "dropped"));
	const json_t *frames = json_object_get(flight, "frames"), *frame;
	size_t i;

	if (dropped && (lines->json || json_array_size(frames)))
		add_dropped(lines, dropped);
	json_array_foreach(frames, i, frame)
	{
		int r = take_hex(lines, frame);

		if (r)
			return r;
	}
	flow_end(lines->flow);
	return lines->out->failed ? -ENOMEM : 0;
}

static int print(const struct outbuf *out)
{
	errno = 0;
	if (fwrite(out->data, 1, out->len, stdout) < out->len || fflush(stdout))
		return errno ? -errno : -EIO;
	return 0;
}

int command_flight(const struct options *options, const struct report *report)
{
	struct outbuf out = { 0 };
	struct control *control = NULL;
	json_t *flight = NULL;
	struct lines lines;
	int r = lines_init(&lines, options, &out, report);

	if (!r)
		r = control_open(&control, options, report);
	if (!r)
		r = control_run(control, "flight", json_pack("{s:i}", "domid", options->domid),
				&flight, report);
	if (!r)
		r = callers_new(&lines.callers, options, options->domid, report);
	control_free(control);
	if (!r) {
		r = add_flight(&lines, flight);
		if (!r && out.len)
			r = print(&out);
		if (r)
			report_fail(report, r, "cannot print domain %u's messages: %s",
				    options->domid, report_local_reason(r));
		else if (!json_array_size(json_object_get(flight, "frames")))
			report_warn(report,
				    "no message of domain %u is kept; they are since xsproxyd was "
				    "started, unless [flight] messages = 0",
				    options->domid);
	}
	json_decref(flight);
	lines_fini(&lines);
	return r;
}
