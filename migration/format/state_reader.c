// SPDX-License-Identifier: MIT
/*
 * state_reader - the reading half of state_stream.h: which format it is, the check of the whole,
 * and the passes of the caller. The check and the passes run the same code; only the check looks at
 * the order.
 */
#include "migration/format/state_stream.h"

#include "migration/format/state_codec.h"
#include "migration/format/state_order.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN_MAX 32 /* octets that tell which format it is */
#define LIBXL	  "LibxlFmt"

struct state_reader {
	struct state_source source;
	const struct state_reading *reading; /* NULL: libxl's */
	struct libxl_reader *libxl;
	bool ended;
	struct record_fault fault;
};

int state_refuse_end(struct state_source *source, const char *where)
{
	uint64_t end = spool_pos(source->spool) + spool_left(source->spool);

	if (spool_cut(source->spool))
		return record_refuse(source->fault, end,
				     "the stream is longer than %" PRIu64 " octets", end);
	return record_refuse(source->fault, end, "the stream ends %s", where);
}

static bool begins_with(const char *begin, size_t len, const char *what)
{
	return len >= strlen(what) && !memcmp(begin, what, strlen(what));
}

/* Sets @reading, which stays NULL for libxl's. */
static int find_format(struct state_reader *reader)
{
	static const struct state_reading *const all[] = { &c_state_reading, &ox_state_reading };
	struct spool *spool = reader->source.spool;
	char begin[BEGIN_MAX] = "";
	size_t len = spool_left(spool) < sizeof(begin) ? spool_left(spool) : sizeof(begin);
	int r = spool_get(spool, begin, len);

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (begins_with(begin, len, all[i]->begins))
			reader->reading = all[i];
	if (!r && !reader->reading && len >= strlen(LIBXL) && !begins_with(begin, len, LIBXL))
		return record_refuse(&reader->fault, 0,
				     "neither a migration stream, nor what the C daemon or "
				     "oxenstored writes of itself");
	return r ? r : spool_rewind(spool);
}

int state_reader_rewind(struct state_reader *reader)
{
	int r = spool_rewind(reader->source.spool);

	reader->source.record = 0;
	reader->source.start = 0;
	reader->ended = false;
	return r ? r : reader->reading->start(&reader->source);
}

/* The first pass. */
static int check_all(struct state_reader *reader, struct state_order *order)
{
	struct state_item item;
	int r = state_reader_rewind(reader);

	while (!r) {
		r = reader->reading->next(&reader->source, &item);
		if (r <= 0)
			return r;
		r = state_order_add(order, &item, reader->source.start, &reader->fault);
	}
	return r;
}

static int reader_check(struct state_reader *reader)
{
	struct state_order *order;
	int r = state_order_new(&order);

	if (r)
		return r;
	r = check_all(reader, order);
	state_order_free(order);
	return r ? r : state_reader_rewind(reader);
}

enum state_format state_reader_format(const struct state_reader *reader)
{
	return reader->source.format;
}

struct libxl_reader *state_reader_libxl(const struct state_reader *reader)
{
	return reader->libxl;
}

int state_reader_next(struct state_reader *reader, struct state_item *item)
{
	int r = reader->ended ? 0 : reader->reading->next(&reader->source, item);

	reader->ended = !r;
	return r;
}

void state_reader_locate(const struct state_reader *reader, struct record_fault *fault)
{
	fault->record = reader->source.record;
	fault->offset = reader->source.start;
}

void state_reader_free(struct state_reader *reader)
{
	if (!reader)
		return;
	if (reader->reading)
		reader->reading->stop(&reader->source);
	libxl_reader_free(reader->libxl);
	spool_free(reader->source.spool);
	free(reader->source.body.data);
	free(reader->source.decoded.data);
	free(reader);
}

static void state_reader_freep(struct state_reader **reader)
{
	state_reader_free(*reader);
}

/* Its reader takes over the spool. */
static int open_libxl(struct state_reader *reader)
{
	struct spool *spool = reader->source.spool;

	reader->source.spool = NULL;
	reader->source.format = STATE_LIBXL;
	return libxl_reader_adopt(&reader->libxl, spool, &reader->fault);
}

static int open_state(struct state_reader *reader)
{
	int r = reader_check(reader);

	reader->fault.record = reader->source.record;
	return r;
}

int state_reader_open(struct state_reader **out, int fd, uint64_t max_stream,
		      struct record_fault *fault)
{
	__attribute__((cleanup(state_reader_freep))) struct state_reader *reader = NULL;
	int r;

	if (max_stream > LIBXL_STREAM_MAX)
		return -EINVAL;
	reader = calloc(1, sizeof(*reader));
	if (!reader)
		return -ENOMEM;
	reader->source.fault = &reader->fault;
	r = spool_new(&reader->source.spool, fd, max_stream);
	if (!r)
		r = find_format(reader);
	if (!r)
		r = reader->reading ? open_state(reader) : open_libxl(reader);
	if (r == -EBADMSG && fault)
		*fault = reader->fault;
	if (r)
		return r;
	*out = reader;
	reader = NULL;
	return 0;
}
