// SPDX-License-Identifier: MIT
/*
 * cmd_capture - writes messages to a pcapng file as they pass.
 *
 * Frames go into the file as they come, unless only some exchanges are wanted: those go when they
 * have ended, request and reply together. With --file-size the next file begins when a message
 * comes that this one has no room for.
 */
#include "config/config.h"
#include "ctl/command.h"
#include "ctl/ring_files.h"
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
	uint32_t snap;

	struct ring_files *ring; /* NULL: there is one file only */
	uint64_t file_size;	 /* with @ring: the next file begins after so many octets */
	uint64_t octets;	 /* of this one */
	int failed;		 /* what the next one failed with */
};

static bool has_enough(const struct capture *capture)
{
	return capture->count && capture->pcapng.frames >= capture->count;
}

/* What a file begins with. What was counted is of the whole capture. */
static void begin_file(struct capture *capture)
{
	struct outbuf *out = &capture->sink.out;
	struct pcapng so_far = capture->pcapng;
	size_t before = out->len;

	pcapng_begin(&capture->pcapng, out, "xsproxyctl " XSPROXY_VERSION, capture->snap,
		     clock_ns(CLOCK_REALTIME));
	capture->octets = out->len - before;
	if (so_far.start)
		capture->pcapng = so_far;
}

static int close_file(struct tracing_sink *sink)
{
	int fd = sink->fd;

	sink->fd = -1;
	return fd >= 0 && fd != STDOUT_FILENO && close(fd) ? -errno : 0;
}

static int open_next(struct capture *capture)
{
	struct tracing_sink *sink = &capture->sink;
	int fd = ring_files_next(capture->ring);

	sink->name = ring_files_name(capture->ring);
	sink->fd = fd < 0 ? -1 : fd;
	return fd < 0 ? fd : 0;
}

/* Go on in the next file, which can be read at once. */
static int next_file(struct capture *capture)
{
	struct tracing_sink *sink = &capture->sink;
	int r;

	pcapng_statistics(&capture->pcapng, &sink->out, clock_ns(CLOCK_REALTIME));
	r = outbuf_write(&sink->out, sink->fd);
	if (!r)
		r = close_file(sink);
	if (!r)
		r = open_next(capture);
	if (r)
		return r;
	begin_file(capture);
	return outbuf_write(&sink->out, sink->fd);
}

/* Return: whether there is room for what comes. */
static bool make_room(struct capture *capture)
{
	if (!capture->failed && capture->ring && capture->octets >= capture->file_size) {
		capture->failed = next_file(capture);
		capture->sink.unwritten = capture->failed;
	}
	return !capture->failed;
}

static void add(struct capture *capture, const struct view *view)
{
	size_t before = capture->sink.out.len;

	if (view)
		pcapng_frame(&capture->pcapng, &capture->sink.out, view);
	capture->octets += capture->sink.out.len - before;
}

static void on_exchange(void *arg, const struct exchange *exchange)
{
	struct capture *capture = arg;

	if (has_enough(capture) ||
	    !exchange_is_wanted(exchange, &capture->wanted,
				exchange->answer ? 0 : clock_ns(CLOCK_REALTIME)) ||
	    !make_room(capture))
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
	else if (make_room(capture))
		add(capture, view);
	if (!r)
		r = capture->failed;
	return r ? r : has_enough(capture);
}

static void end(void *arg)
{
	struct capture *capture = arg;

	if (capture->flow)
		flow_end(capture->flow);
	if (!capture->failed)
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
	struct interrupt interrupt;
	int r = interrupt_catch(&interrupt);

	if (r)
		return report_fail(report, r, "%s", report_reason(r));
	r = tracing_start(control, options, capture->snap, report);
	if (r)
		return r;
	begin_file(capture);
	say_until(options, report);
	r = tracing_run(control, &interrupt, &capture->sink, report);
	fprintf(report->out, "%s: %" PRIu64 " messages, %" PRIu64 " more were lost\n", report->who,
		capture->pcapng.frames, capture->pcapng.lost);
	return r;
}

static int open_first(struct capture *capture, const struct options *options,
		      const struct report *report)
{
	int r;

	if (capture->ring) {
		r = open_next(capture);
		return r ? report_fail(report, r, "cannot write %s: %s", capture->sink.name,
				       report_local_reason(r))
			 : 0;
	}
	r = open_file(options->file, report);
	if (r < 0)
		return r;
	capture->sink.fd = r;
	capture->sink.name = r == STDOUT_FILENO ? "standard output" : options->file;
	return 0;
}

static int open_and_run(struct capture *capture, const struct options *options,
			const struct report *report)
{
	struct control *control = NULL;
	int closed, r = control_open(&control, options, report);

	if (r)
		return r;
	r = open_first(capture, options, report);
	if (!r) {
		r = run(capture, control, options, report);
		closed = close_file(&capture->sink);
		if (closed && !r)
			r = report_fail(report, closed, "cannot write %s: %s", capture->sink.name,
					report_local_reason(closed));
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
				   .count = options->count,
				   .snap = options->filter.snap ? options->filter.snap
								: XENSTORE_PAYLOAD_MAX,
				   .file_size = options->file_size };
	int r = -ENOMEM;

	if (capture.wanted.errors || capture.wanted.slower) {
		capture.flow = flow_new(on_exchange, &capture);
		if (!capture.flow)
			return report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
	}
	if (options->file_size)
		capture.ring = ring_files_new(options->file, options->files, report);
	if (options->file_size && !capture.ring)
		report_fail(report, r, "%s", report_reason(r));
	else
		r = open_and_run(&capture, options, report);
	ring_files_free(capture.ring);
	flow_free(capture.flow);
	outbuf_free(&capture.sink.out);
	return r;
}
