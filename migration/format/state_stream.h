/* SPDX-License-Identifier: MIT */
/*
 * state_stream - a state as a stream, in any of the formats, as a whole.
 *
 * A reader finds out itself which format it has. As libxl_stream.h says of its own: it spools what
 * it reads, checks all of it, and only then hands out items, as often as its caller likes; so who
 * applies a state knows before the first item that the last one is good. A writer appends item by
 * item. One item is in memory at a time, besides state_order.
 *
 * What a format does not hold its writer refuses, except for what no flag of an item says: a caller
 * leaves it out first, and says so (migration/conversion.h).
 *
 * Called by show and convert, and by whoever exchanges one daemon for another. Must never touch a
 * store, and never change or guess at what it reads.
 */
#ifndef XSPROXY_MIGRATION_FORMAT_STATE_STREAM_H
#define XSPROXY_MIGRATION_FORMAT_STATE_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "migration/format/libxl_stream.h"
#include "migration/format/state.h"

enum state_format {
	STATE_LIBXL,
	STATE_C,	/* version 1: all C daemons with live update take it */
	STATE_C_2,	/* version 2: those of Xen 4.21 on */
	STATE_OX,	/* oxenstored of Xen; a dump that is read is of this kind */
	STATE_OX_DEPTH, /* oxenstored of XAPI: depths of watches, too */
};

/** state_format_is_c() - one of the C daemon's. */
static inline bool state_format_is_c(enum state_format format)
{
	return format == STATE_C || format == STATE_C_2;
}

/** state_format_is_ox() - one of oxenstored's. */
static inline bool state_format_is_ox(enum state_format format)
{
	return format == STATE_OX || format == STATE_OX_DEPTH;
}

struct state_reader;
struct state_writer;

/**
 * state_reader_open() - read @fd up to its end and check all of it.
 * @out: gets the reader, before the first item; state_reader_free() it
 * @fd, @max_stream, @fault: as of libxl_reader_open(); a line of a dump counts as a record, its
 *	header as none
 *
 * Return: as libxl_reader_open().
 */
int state_reader_open(struct state_reader **out, int fd, uint64_t max_stream,
		      struct record_fault *fault);

/** state_reader_free() - free @reader, which may be NULL. */
void state_reader_free(struct state_reader *reader);

/** state_reader_format() - what it is that is read. */
enum state_format state_reader_format(const struct state_reader *reader);

/**
 * state_reader_libxl() - the reader of libxl's stream that is in @reader, if it is one, or NULL. To
 * be used in its place: its records name no connection.
 */
struct libxl_reader *state_reader_libxl(const struct state_reader *reader);

/** state_reader_rewind() - go back to before the first item; not of libxl's stream. Return: 0, or
 * what seeking failed with. */
int state_reader_rewind(struct state_reader *reader);

/**
 * state_reader_next() - the next item; not of libxl's stream.
 * @item: points into the reader's memory until the next call on @reader
 *
 * Return: 1; 0 at the end; or negative errno when the spool cannot be read.
 */
int state_reader_next(struct state_reader *reader, struct state_item *item);

/** state_reader_locate() - as libxl_reader_locate(). */
void state_reader_locate(const struct state_reader *reader, struct record_fault *fault);

/**
 * state_writer_new() - start a stream: writes what it begins with.
 * @out: gets the writer; state_writer_free() it
 * @file: where to write; stays the caller's, who closes it after the writer is gone
 * @format: not STATE_LIBXL, which has a writer of its own
 *
 * Return: 0, -EINVAL, -ENOMEM, or what writing failed with.
 */
int state_writer_new(struct state_writer **out, FILE *file, enum state_format format);

/**
 * state_writer_append() - append one item.
 * @fault: may be NULL; for -EBADMSG gets the number of the record, the offset in the stream, and
 *	what the format does not hold, or the rule of state_order.h that it breaks
 *
 * Errors are sticky, as libxl_writer_append()'s.
 *
 * Return: 0; -EBADMSG; -ENOMEM; or what writing failed with.
 */
int state_writer_append(struct state_writer *writer, const struct state_item *item,
			struct record_fault *fault);

/** state_writer_finish() - write the end and flush the file. To be called once, last. Return: 0,
 * the sticky error, or what writing failed with. */
int state_writer_finish(struct state_writer *writer);

/** state_writer_free() - free @writer, which may be NULL; writes nothing. */
void state_writer_free(struct state_writer *writer);

#endif
