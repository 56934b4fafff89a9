// SPDX-License-Identifier: MIT
/*
 * image - see image.h.
 */
#include "migration/image.h"

#include "migration/format/libxl_image.h"
#include "migration/interrupt.h"
#include "migration/output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

struct mover {
	const struct image_options *options;
	const struct report *report;
	struct interrupt interrupt;
	int fd; /* the image */
	struct libxl_image *image;
	struct output *output; /* the other image */
	struct output *stream; /* split: the records' */
	FILE *records;	       /* split: they, until they can be checked */
	struct libxl_writer *writer;
	uint64_t octets; /* of them */
};

#define fail(mover, err, ...) report_fail((mover)->report, err, __VA_ARGS__)

/* --- from and to */

/* A libxl_image_read_fn; a signal ends the wait for a pipe. */
static ssize_t read_image(void *arg, void *data, size_t size)
{
	const struct mover *mover = arg;
	struct pollfd pfd = { .fd = mover->fd, .events = POLLIN };

	for (;;) {
		int r = interrupt_poll(&mover->interrupt, &pfd, 1, -1);
		ssize_t got;

		if (r < 0)
			return r;
		got = read(mover->fd, data, size);
		if (got >= 0)
			return got;
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
}

static int open_image(struct mover *mover)
{
	const char *file = mover->options->image;
	int r;

	mover->fd =
		file ? open(file, O_RDONLY | O_CLOEXEC) : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	if (mover->fd < 0)
		return fail(mover, -errno, "cannot open %s: %s", mover->options->name,
			    report_local_reason(-errno));
	r = libxl_image_new(&mover->image, read_image, mover);
	return r ? fail(mover, r, "%s", report_local_reason(r)) : 0;
}

static int fail_to_write(const struct mover *mover, int err, const char *file)
{
	return fail(mover, err, "cannot write %s: %s", file ? file : "to standard output",
		    report_local_reason(err));
}

static int open_output(struct mover *mover, struct output **out, const char *file)
{
	int r = output_open(out, file, &mover->interrupt);

	return r ? fail_to_write(mover, r, file) : 0;
}

static int commit(struct mover *mover, struct output *output, const char *file)
{
	int r = output_commit(output);

	return r ? fail_to_write(mover, r, file) : 0;
}

static int open_both(struct mover *mover)
{
	int r = interrupt_catch(&mover->interrupt);

	if (r)
		return fail(mover, r, "cannot catch signals: %s", report_local_reason(r));
	r = open_image(mover);
	return r ? r : open_output(mover, &mover->output, mover->options->file);
}

/* Return: 1; 0 behind the image's end; or a negative errno, which has been reported. */
static int next_piece(struct mover *mover, struct libxl_image_piece *piece)
{
	struct record_fault fault = { 0 };
	int r = libxl_image_next(mover->image, piece, &fault);

	if (r == -EBADMSG)
		return fail(mover, r,
			    "%s is no good image: libxl's record %" PRIu64 ", octet %" PRIu64
			    ": %s",
			    mover->options->name, fault.record, fault.offset, fault.reason);
	return r < 0 ? fail(mover, r, "cannot read %s: %s", mover->options->name,
			    report_local_reason(r))
		     : r;
}

static int put(struct mover *mover, const struct libxl_image_piece *piece)
{
	if (fwrite(piece->data, 1, piece->len, output_file(mover->output)) == piece->len)
		return 0;
	return fail_to_write(mover, -errno, mover->options->file);
}

/* The records of @reader, and END. Return: 0, or a negative errno, which has been reported. */
static int put_records(struct mover *mover, struct libxl_reader *reader, const char *file)
{
	struct record rec;
	int r;

	while ((r = libxl_reader_next(reader, &rec)) > 0) {
		r = libxl_writer_append(mover->writer, &rec, NULL);
		if (r)
			return fail_to_write(mover, r, file);
	}
	if (r)
		return fail(mover, r, "cannot read the stream: %s", report_local_reason(r));
	r = libxl_writer_finish(mover->writer);
	return r ? fail_to_write(mover, r, file) : 0;
}

static void release(struct mover *mover)
{
	libxl_writer_free(mover->writer);
	if (mover->records)
		fclose(mover->records);
	output_free(mover->stream);
	output_free(mover->output);
	libxl_image_free(mover->image);
	if (mover->fd >= 0)
		close(mover->fd);
}

/* --- splice */

/* In the place of the image's END. */
static int splice_records(struct mover *mover, struct libxl_reader *reader)
{
	int r = libxl_writer_continue(&mover->writer, output_file(mover->output));

	return r ? fail(mover, r, "%s", report_local_reason(r))
		 : put_records(mover, reader, mover->options->file);
}

static int splice_piece(struct mover *mover, struct libxl_reader *reader,
			const struct libxl_image_piece *piece)
{
	switch (piece->kind) {
	case LIBXL_IMAGE_XENSTORE:
		return fail(mover, -EEXIST,
			    "%s has Xenstore records; take them out first: xsproxyctl split",
			    mover->options->name);
	case LIBXL_IMAGE_END:
		return splice_records(mover, reader);
	case LIBXL_IMAGE_OTHER:
		break;
	}
	return put(mover, piece);
}

static int splice_image(struct mover *mover, struct libxl_reader *reader)
{
	struct libxl_image_piece piece;
	int r = open_both(mover);

	if (r)
		return r;
	while ((r = next_piece(mover, &piece)) > 0) {
		r = splice_piece(mover, reader, &piece);
		if (r)
			return r;
	}
	return r ? r : commit(mover, mover->output, mover->options->file);
}

int image_splice(const struct image_options *options, struct libxl_reader *reader,
		 const struct report *report)
{
	struct mover mover = { .options = options, .report = report, .fd = -1 };
	int r = splice_image(&mover, reader);

	release(&mover);
	return r;
}

/* --- split */

static int open_records(struct mover *mover)
{
	int r = open_output(mover, &mover->stream, mover->options->stream);

	if (r)
		return r;
	mover->records = tmpfile();
	if (!mover->records)
		return fail(mover, -errno, "cannot make a temporary file: %s",
			    report_local_reason(-errno));
	r = libxl_writer_new(&mover->writer, mover->records);
	return r ? fail(mover, r, "cannot write a temporary file: %s", report_local_reason(r)) : 0;
}

static int keep(struct mover *mover, const struct libxl_image_piece *piece)
{
	mover->octets += piece->len;
	if (mover->octets > mover->options->max_stream)
		return fail(mover, -EBADMSG,
			    "the Xenstore records in %s have more than %" PRIu64
			    " octets; --max-stream allows more",
			    mover->options->name, mover->options->max_stream);
	if (fwrite(piece->data, 1, piece->len, mover->records) == piece->len)
		return 0;
	return fail(mover, -errno, "cannot write a temporary file: %s",
		    report_local_reason(-errno));
}

/* The records as a stream, at its start. Return: 0, or a negative errno, which has been reported.
 */
static int check_records(struct mover *mover, struct libxl_reader **reader)
{
	struct record_fault fault = { 0 };
	int r = libxl_writer_finish(mover->writer);

	libxl_writer_free(mover->writer);
	mover->writer = NULL;
	if (!r && lseek(fileno(mover->records), 0, SEEK_SET))
		r = -errno;
	if (!r)
		r = libxl_reader_open(reader, fileno(mover->records), LIBXL_STREAM_MAX, &fault);
	if (r == -EBADMSG)
		return fail(mover, r,
			    "the Xenstore records in %s are no good stream: record %" PRIu64
			    ", octet %" PRIu64 ": %s",
			    mover->options->name, fault.record, fault.offset, fault.reason);
	return r ? fail(mover, r, "cannot keep the Xenstore records: %s", report_local_reason(r))
		 : 0;
}

/* All records are there: the stream of them. */
static int split_records(struct mover *mover)
{
	const char *file = mover->options->stream;
	struct libxl_reader *reader = NULL;
	int r;

	if (!mover->octets)
		return fail(mover, -ENODATA,
			    "%s has no Xenstore records; xl restore reads it as it is",
			    mover->options->name);
	r = check_records(mover, &reader);
	if (!r) {
		r = libxl_writer_new(&mover->writer, output_file(mover->stream));
		r = r ? fail_to_write(mover, r, file) : put_records(mover, reader, file);
	}
	libxl_reader_free(reader);
	return r;
}

static int split_piece(struct mover *mover, const struct libxl_image_piece *piece)
{
	int r;

	if (piece->kind == LIBXL_IMAGE_XENSTORE)
		return keep(mover, piece);
	r = piece->kind == LIBXL_IMAGE_END ? split_records(mover) : 0;
	return r ? r : put(mover, piece);
}

static int split_image(struct mover *mover)
{
	struct libxl_image_piece piece;
	int r = open_both(mover);

	if (!r)
		r = open_records(mover);
	if (r)
		return r;
	while ((r = next_piece(mover, &piece)) > 0) {
		r = split_piece(mover, &piece);
		if (r)
			return r;
	}
	if (!r)
		r = commit(mover, mover->stream, mover->options->stream);
	return r ? r : commit(mover, mover->output, mover->options->file);
}

int image_split(const struct image_options *options, const struct report *report)
{
	struct mover mover = { .options = options, .report = report, .fd = -1 };
	int r = split_image(&mover);

	release(&mover);
	return r;
}
