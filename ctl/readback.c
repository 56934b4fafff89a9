// SPDX-License-Identifier: MIT
/*
 * readback - see readback.h.
 */
#include "ctl/readback.h"

#include "trace/pcapng_read.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct readback {
	int fd;
	const char *name;
	struct pcapng_reader reader;
	uint64_t at; /* in the file, of what is first in @in */
	size_t len;  /* octets in @in */
	char in[PCAPNG_BLOCK_MAX];
};

static int write_out(struct tracing_sink *sink, const struct report *report)
{
	int r = outbuf_write(&sink->out, sink->fd);

	return r ? report_fail(report, r, "cannot write %s: %s", sink->name, report_local_reason(r))
		 : 0;
}

static int not_read(const struct readback *readback, const char *why, const struct report *report)
{
	return report_fail(report, -EBADMSG, "cannot read %s: at octet %" PRIu64 " %s",
			   readback->name, readback->at, why);
}

/*
 * Pass on what is there in full. Return: 0; 1 when the sink has enough; or a negative errno, which
 * has been reported.
 */
static int take_blocks(struct readback *readback, struct tracing_sink *sink,
		       const struct report *report)
{
	struct view view;
	size_t at = 0;
	ssize_t n;
	int r = 0;

	while (!r &&
	       (n = pcapng_read(&readback->reader, readback->in + at, readback->len - at, &view))) {
		if (n < 0)
			return not_read(readback, readback->reader.wrong, report);
		if (view.frame.size)
			r = sink->take(sink->arg, &view);
		at += (size_t)n;
		readback->at += (size_t)n;
	}
	readback->len -= at;
	memmove(readback->in, readback->in + at, readback->len);
	return r < 0 ? report_fail(report, r, "%s", report_reason(r)) : r;
}

/* Return: 1 when there is more; 0 at the end; or a negative errno, which has been reported. */
static int read_in(struct readback *readback, const struct report *report)
{
	ssize_t n = read(readback->fd, readback->in + readback->len,
			 sizeof(readback->in) - readback->len);
	int err = -errno;

	if (n < 0 && err == -EINTR)
		return 1;
	if (n < 0)
		return report_fail(report, err, "cannot read %s: %s", readback->name,
				   report_local_reason(err));
	if (n) {
		readback->len += (size_t)n;
		return 1;
	}
	if (!readback->at && !readback->len)
		return report_fail(report, -EBADMSG, "cannot read %s: it is empty", readback->name);
	if (!readback->at)
		return report_fail(report, -EBADMSG, "cannot read %s: it is no pcapng file",
				   readback->name);
	if (readback->len || readback->reader.skip)
		return not_read(readback, "it ends in the middle of a block", report);
	return 0;
}

/* What came before something that is wrong is shown, too. */
static int pass_all(struct readback *readback, struct tracing_sink *sink,
		    const struct report *report)
{
	int r, taken, written;

	do {
		r = read_in(readback, report);
		taken = r > 0 ? take_blocks(readback, sink, report) : 0;
		if (r <= 0 || taken)
			sink->end(sink->arg);
		written = write_out(sink, report);
	} while (r > 0 && !taken && !written);
	return r < 0 ? r : taken < 0 ? taken : written;
}

int readback_run(const char *file, struct tracing_sink *sink, const struct report *report)
{
	struct readback *readback = calloc(1, sizeof(*readback));
	bool in = !strcmp(file, "-");
	int r;

	if (!readback)
		return report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
	readback->name = in ? "standard input" : file;
	readback->fd = in ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
	if (readback->fd < 0)
		r = report_fail(report, -errno, "cannot read %s: %s", file,
				report_local_reason(-errno));
	else
		r = pass_all(readback, sink, report);
	if (!in && readback->fd >= 0)
		close(readback->fd);
	free(readback);
	return r;
}
