// SPDX-License-Identifier: MIT
/*
 * tracing - see tracing.h.
 */
#include "ctl/tracing.h"

#include "ctl/domain_list.h"
#include "protocol/clock.h"
#include "protocol/message.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define IN_SIZE	   (256u << 10)
#define OUT_ENOUGH (64u << 10) /* is written out even while more can be read */
#define PIPE_PART  4096u       /* a pipe that poll() calls writable takes as much */
#define NS_OF_MS   1000000u
#define LAST_MS	   2000 /* how long to wait for either side once a signal has come */

_Static_assert(IN_SIZE >= FRAME_MAX, "any frame fits");

struct tracing {
	int fd;
	const struct interrupt *interrupt; /* NULL: it has come */
	struct tracing_sink *sink;
	bool regular; /* sink->fd is a file */
	uint64_t end; /* ns of CLOCK_MONOTONIC; 0: none */
	size_t len;   /* octets in @in */
	char in[IN_SIZE];
};

/* --- asking */

static json_t *domids_json(const struct filter *filter)
{
	json_t *list = json_array();

	for (size_t i = 0; i < filter->nr_domids; i++)
		if (json_array_append_new(list, json_integer(filter->domids[i]))) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *op_json(uint32_t type)
{
	return message_info(type) ? json_string(message_name(type)) : json_sprintf("%u", type);
}

static json_t *ops_json(const struct filter *filter)
{
	json_t *list = json_array();
	int r = 0;

	for (size_t i = 0; i < filter->nr_ops; i++)
		r |= json_array_append_new(list, op_json(filter->ops[i]));
	if (filter->unknown)
		r |= json_array_append_new(list, json_string("UNKNOWN"));
	if (!r)
		return list;
	json_decref(list);
	return NULL;
}

/* Return: NULL when memory ran out. */
static json_t *filter_json(const struct filter *filter, uint32_t snap)
{
	json_t *object = json_pack("{s:i,s:b,s:b}", "snap", filter->snap ? filter->snap : snap,
				   "events", filter->events, "new", filter->new);
	int r = 0;

	if (filter->nr_domids)
		r |= json_object_set_new(object, "domids", domids_json(filter));
	if (filter->nr_ops || filter->unknown)
		r |= json_object_set_new(object, "ops", ops_json(filter));
	if (filter->path)
		r |= json_object_set_new(object, "path", json_string(filter->path));
	if (!r)
		return object;
	json_decref(object);
	return NULL;
}

/*
 * Who waits for a domain that is not there, and knows it, may wait: it may still come. Nobody
 * expects to see one that is there with --new.
 */
static int warn_of_absent(struct control *control, const struct filter *filter,
			  const struct report *report)
{
	bool is = true;
	int r = 0;

	for (size_t i = 0; !r && !filter->new &&i < filter->nr_domids; i++) {
		r = domain_introduced(control, filter->domids[i], &is, report);
		if (!r && !is)
			report_warn(report, "domain %u is not introduced; waiting for it",
				    filter->domids[i]);
	}
	return r;
}

int tracing_start(struct control *control, const struct options *options, uint32_t snap,
		  const struct report *report)
{
	json_t *answer = NULL;
	int r = warn_of_absent(control, &options->filter, report);

	if (!r)
		r = control_run(control, "trace", filter_json(&options->filter, snap), &answer,
				report);
	json_decref(answer);
	return r;
}

/* --- waiting */

/* As interrupt_poll(); -EINTR when the time is over, too. */
static int wait_for(const struct tracing *tracing, struct pollfd *fds, nfds_t nr, int timeout_ms)
{
	uint64_t now, left;

	if (tracing->interrupt && tracing->end) {
		now = clock_monotonic();
		if (now >= tracing->end)
			return -EINTR;
		left = (tracing->end - now + NS_OF_MS - 1) / NS_OF_MS;
		if (timeout_ms < 0)
			timeout_ms = left < INT_MAX ? (int)left : INT_MAX;
	}
	return interrupt_poll(tracing->interrupt, fds, nr, timeout_ms);
}

/* --- writing */

/* Wait until a pipe takes more. Return: 0, -EINTR, -ETIMEDOUT, or what poll() failed with. */
static int wait_for_room(const struct tracing *tracing)
{
	struct pollfd pfd = { .fd = tracing->sink->fd, .events = POLLOUT };
	int r;

	/* Nothing else lets a signal in. */
	do
		r = wait_for(tracing, &pfd, 1, tracing->interrupt ? -1 : LAST_MS);
	while (!r && tracing->interrupt);
	return r > 0 ? 0 : r ? r : -ETIMEDOUT;
}

/* Write what there is. Return: 0; -EINTR for a signal; or what writing failed with. */
static int write_out(struct tracing *tracing)
{
	struct tracing_sink *sink = tracing->sink;
	size_t done = 0;
	int r = sink->out.failed ? -ENOMEM : 0;

	while (!r && done < sink->out.len) {
		size_t part = sink->out.len - done;
		ssize_t n;

		if (!tracing->regular) {
			r = wait_for_room(tracing);
			if (r)
				break;
			part = part < PIPE_PART ? part : PIPE_PART;
		}
		n = write(sink->fd, sink->out.data + done, part);
		r = n < 0 && errno != EINTR && errno != EAGAIN ? -errno : 0;
		done += n > 0 ? (size_t)n : 0;
	}
	outbuf_drop(&sink->out, done);
	if (r && r != -EINTR)
		sink->unwritten = r;
	return r;
}

/* --- reading */

static int take_frames(struct tracing *tracing)
{
	struct view view;
	size_t at = 0;
	ssize_t n;
	int r = 0;

	while (!r && (n = view_parse(&view, tracing->in + at, tracing->len - at))) {
		if (n < 0)
			return (int)n;
		r = tracing->sink->take(tracing->sink->arg, &view);
		at += (size_t)n;
	}
	tracing->len -= at;
	memmove(tracing->in, tracing->in + at, tracing->len);
	return r;
}

/*
 * Return: 0; 1 when the sink has enough; -ECONNRESET when the connection has ended; or another
 * negative errno.
 */
static int read_in(struct tracing *tracing)
{
	ssize_t n = recv(tracing->fd, tracing->in + tracing->len, IN_SIZE - tracing->len, 0);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (!n)
		return -ECONNRESET;
	tracing->len += (size_t)n;
	return take_frames(tracing);
}

/* One wait and what it is for. */
static int turn(struct tracing *tracing)
{
	struct outbuf *out = &tracing->sink->out;
	struct pollfd fds[] = { { .fd = tracing->fd, .events = POLLIN },
				{ .fd = tracing->sink->fd } };
	int r = wait_for(tracing, fds, 2, out->len ? 0 : -1);

	if (r < 0)
		return r;
	if (!r)
		return write_out(tracing);
	if (fds[1].revents)
		return -EPIPE;
	r = read_in(tracing);
	if (!r && out->len >= OUT_ENOUGH)
		r = write_out(tracing);
	return r;
}

/* What there was until the signal: xsproxyd sends that before it ends its side, too. */
static int take_rest(struct tracing *tracing)
{
	struct pollfd pfd = { .fd = tracing->fd, .events = POLLIN };
	int r;

	tracing->interrupt = NULL;
	shutdown(tracing->fd, SHUT_WR);
	do {
		r = interrupt_poll(NULL, &pfd, 1, LAST_MS);
		if (!r)
			return 0;
		r = r < 0 ? r : read_in(tracing);
	} while (!r);
	return r == -ECONNRESET || r > 0 ? 0 : r;
}

static int run(struct tracing *tracing)
{
	struct tracing_sink *sink = tracing->sink;
	int r, last;

	do {
		r = turn(tracing);
	} while (!r);
	if (r == -EINTR)
		r = take_rest(tracing);
	if (r == -EPIPE)
		return 0;
	if (r > 0)
		r = 0;
	sink->end(sink->arg);
	last = write_out(tracing);
	return r ? r : last == -EPIPE ? 0 : last;
}

/* xenstored has no part in it, so these are the system's words. */
static int cannot_write(const struct tracing_sink *sink, int r, const struct report *report)
{
	return report_fail(report, r, "cannot write %s: %s", sink->name,
			   r == -ETIMEDOUT ? "its reader does not read" : strerror(-r));
}

int tracing_run(struct control *control, const struct interrupt *interrupt,
		struct tracing_sink *sink, const struct report *report)
{
	struct tracing *tracing = calloc(1, sizeof(*tracing));
	struct stat st;
	int r = -ENOMEM;

	if (tracing) {
		tracing->fd = control_fd(control);
		tracing->interrupt = interrupt;
		tracing->sink = sink;
		if (sink->duration_ms)
			tracing->end = clock_monotonic() + sink->duration_ms * NS_OF_MS;
		tracing->regular = !fstat(sink->fd, &st) && S_ISREG(st.st_mode);
		r = run(tracing);
	}
	free(tracing);
	if (r && r == sink->unwritten)
		return cannot_write(sink, r, report);
	switch (r) {
	case 0:
		return 0;
	case -ECONNRESET:
		return report_fail(report, r,
				   "xsproxyd ended the connection; is it still running?");
	case -EBADMSG:
		return report_fail(report, r,
				   "xsproxyd sent what is no frame; is it of the same "
				   "version?");
	default:
		return report_fail(report, r, "%s", report_reason(r));
	}
}
