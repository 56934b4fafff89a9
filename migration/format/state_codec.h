/* SPDX-License-Identifier: MIT */
/*
 * state_codec - what a format has to offer to state_reader.c and state_writer.c, and what they lend
 * it. Nobody else's business.
 *
 * Must never know an order of items, or what is a duplicate: that is state_order's.
 */
#ifndef XSPROXY_MIGRATION_FORMAT_STATE_CODEC_H
#define XSPROXY_MIGRATION_FORMAT_STATE_CODEC_H

#include "migration/format/spool.h"
#include "migration/format/state_stream.h"
#include "text/buffer.h"

/* What is read, and where: a format keeps what else it has to in @memory. */
struct state_source {
	struct spool *spool;
	uint64_t start; /* of the current record */
	uint64_t record;
	enum state_format format;
	struct buffer body;	    /* of the current record */
	struct buffer decoded;	    /* what of it is not as an item has it */
	struct record_fault *fault; /* of a refusal */
	void *memory;
};

struct state_reading {
	const char *begins; /* what a stream of this format begins with */

	/* Read what comes before the first record. Return: 0, -EBADMSG, or another errno. */
	int (*start)(struct state_source *source);

	/* Return: 1, 0 at the end, -EBADMSG, or another errno. Sets @start and @record. */
	int (*next)(struct state_source *source, struct state_item *item);

	/* Free @memory. */
	void (*stop)(struct state_source *source);
};

/* What is written, and where. */
struct state_sink {
	FILE *file;
	uint64_t offset;
	uint64_t record; /* the number of the current one */
	enum state_format format;
	uint32_t connections;	    /* so far */
	struct record_fault *fault; /* may be NULL */
	void *memory;
};

struct state_writing {
	int (*start)(struct state_sink *sink);
	int (*append)(struct state_sink *sink, const struct state_item *item);
	int (*finish)(struct state_sink *sink);
	void (*stop)(struct state_sink *sink);
};

extern const struct state_reading c_state_reading, ox_state_reading;
extern const struct state_writing c_state_writing, ox_state_writing;

/** state_put() - write octets. Return: 0, or what writing failed with. */
int state_put(struct state_sink *sink, const void *data, size_t len);

/** state_refuse_end() - the stream ends too early, by itself or because no more of it was taken.
 * Return: -EBADMSG. */
int state_refuse_end(struct state_source *source, const char *where);

#endif
