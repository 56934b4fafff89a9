// SPDX-License-Identifier: MIT
/*
 * state_writer - the writing half of state_stream.h: keeps the order, and the first error.
 */
#include "migration/format/state_stream.h"

#include "migration/format/state_codec.h"
#include "migration/format/state_order.h"

#include <errno.h>
#include <stdlib.h>

struct state_writer {
	struct state_sink sink;
	const struct state_writing *writing;
	struct state_order *order;
	int error; /* the first one, for ever */
};

int state_put(struct state_sink *sink, const void *data, size_t len)
{
	if (len && fwrite(data, 1, len, sink->file) != len)
		return -errno;
	sink->offset += len;
	return 0;
}

static int writer_append(struct state_writer *writer, const struct state_item *item,
			 struct record_fault *fault)
{
	int r;

	writer->sink.fault = fault;
	writer->sink.record++;
	r = state_order_add(writer->order, item, writer->sink.offset, fault);
	if (!r)
		r = writer->writing->append(&writer->sink, item);
	if (r == -EBADMSG && fault)
		fault->record = writer->sink.record;
	return r;
}

int state_writer_append(struct state_writer *writer, const struct state_item *item,
			struct record_fault *fault)
{
	if (!writer->error)
		writer->error = writer_append(writer, item, fault);
	return writer->error;
}

int state_writer_finish(struct state_writer *writer)
{
	if (!writer->error)
		writer->error = writer->writing->finish(&writer->sink);
	if (!writer->error && fflush(writer->sink.file))
		writer->error = -errno;
	return writer->error;
}

void state_writer_free(struct state_writer *writer)
{
	if (!writer)
		return;
	writer->writing->stop(&writer->sink);
	state_order_free(writer->order);
	free(writer);
}

static void state_writer_freep(struct state_writer **writer)
{
	state_writer_free(*writer);
}

int state_writer_new(struct state_writer **out, FILE *file, enum state_format format)
{
	__attribute__((cleanup(state_writer_freep))) struct state_writer *writer = NULL;
	int r;

	if (format == STATE_LIBXL)
		return -EINVAL;
	writer = calloc(1, sizeof(*writer));
	if (!writer)
		return -ENOMEM;
	writer->sink.file = file;
	writer->sink.format = format;
	writer->writing = state_format_is_c(format) ? &c_state_writing : &ox_state_writing;
	r = state_order_new(&writer->order);
	if (!r)
		r = writer->writing->start(&writer->sink);
	if (r)
		return r;
	*out = writer;
	writer = NULL;
	return 0;
}
