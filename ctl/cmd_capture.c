// SPDX-License-Identifier: MIT
/*
 * cmd_capture - writes messages to a pcapng file as they pass.
 *
 * Frames go into the file as they come, unless only some exchanges are wanted: those go when they
 * have ended, request and reply together.
 */
#include "config/config.h"
#include "ctl/command.h"
#include "ctl/tracing.h"
#include "protocol/clock.h"
#include "trace/flow.h"
#include "trace/pcapng.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

struct capture {
	struct tracing_sink sink;
	struct pcapng pcapng;
	struct flow *flow; /* NULL: every frame is wanted */
	struct wanted wanted;
	uint32_t count; /* of messages that end it; 0: none does */
};

static bool has_enough(const struct capture *capture)
{
	return capture->count && capture->pcapng.frames >= capture->count;
}

static void add(struct capture *capture, const struct view *view)
{
	if (view)
		pcapng_frame(&capture->pcapng, &capture->sink.out, view);
}

static void on_exchange(void *arg, const struct exchange *exchange)
{
	struct capture *capture = arg;

	if (has_enough(capture) ||
	    !exchange_is_wanted(exchange, &capture->wanted,
				exchange->answer ? 0 : clock_ns(CLOCK_REALTIME)))
		return;
	add(capture, exchange->request);
	add(capture, exchange->answer);
}

static int take(void *arg, const struct view *view)
{
	struct capture *capture = arg;
	int r = 0;

	if (capture->flow)
		r = flow_take(capture->flow, view);
	else
		add(capture, view);
	return r ? r : has_enough(capture);
}

static void end(void *arg)
{
	struct capture *capture = arg;

	if (capture->flow)
		flow_end(capture->flow);
	pcapng_statistics(&capture->pcapng, &capture->sink.out, clock_ns(CLOCK_REALTIME));
}

/*
 * Secrets such as VNC passwords pass, so a new file is its owner's only. Return: an fd or -errno.
 */
static int open_file(const char *file, const struct report *report)
{
	bool out = !strcmp(file, "-");
	int fd = out ? STDOUT_FILENO : open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int err = -errno;

	if (fd < 0)
		return report_fail(report, err, "cannot write %s: %s", file,
				   report_local_reason(err));
	if (out && isatty(fd))
		return report_fail(report, -EINVAL, "does not write to a terminal; say -w FILE");
	return fd;
}

static void say_until(const struct options *options, const struct report *report)
{
	fprintf(report->out, "%s: capturing, until it is interrupted", report->who);
	if (options->count)
		fprintf(report->out, ", has %" PRIu32 " messages", options->count);
	if (options->duration_ms)
		fprintf(report->out, ", %.10g s are over", (double)options->duration_ms / 1000);
	fputc('\n', report->out);
}

static int run(struct capture *capture, struct control *control, const struct options *options,
	       const struct report *report)
{
	uint32_t snap = options->filter.snap ? options->filter.snap : XENSTORE_PAYLOAD_MAX;
	struct interrupt interrupt;
	int r = interrupt_catch(&interrupt);

	if (r)
		return report_fail(report, r, "%s", report_reason(r));
	r = tracing_start(control, options, snap, report);
	if (r)
		return r;
	pcapng_begin(&capture->pcapng, &capture->sink.out, "xsproxyctl " XSPROXY_VERSION, snap,
		     clock_ns(CLOCK_REALTIME));
	say_until(options, report);
	r = tracing_run(control, &interrupt, &capture->sink, report);
	fprintf(report->out, "%s: %" PRIu64 " messages, %" PRIu64 " more were lost\n", report->who,
		capture->pcapng.frames, capture->pcapng.lost);
	return r;
}

static int open_and_run(struct capture *capture, const struct options *options,
			const struct report *report)
{
	struct control *control = NULL;
	int r = control_open(&control, options, report);

	if (r)
		return r;
	r = open_file(options->file, report);
	if (r >= 0) {
		capture->sink.fd = r;
		capture->sink.name = r == STDOUT_FILENO ? "standard output" : options->file;
		r = run(capture, control, options, report);
		if (capture->sink.fd != STDOUT_FILENO && close(capture->sink.fd) && !r)
			r = report_fail(report, -errno, "cannot write %s: %s", options->file,
					report_local_reason(-errno));
	}
	control_free(control);
	return r;
}

int command_capture(const struct options *options, const struct report *report)
{
	struct capture capture = { .sink = { .take = take,
					     .end = end,
					     .arg = &capture,
					     .duration_ms = options->duration_ms },
				   .wanted = options->filter.wanted,
				   .count = options->count };
	int r;

	if (capture.wanted.errors || capture.wanted.slower) {
		capture.flow = flow_new(on_exchange, &capture);
		if (!capture.flow)
			return report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
	}
	r = open_and_run(&capture, options, report);
	flow_free(capture.flow);
	outbuf_free(&capture.sink.out);
	return r;
}
