/* SPDX-License-Identifier: MIT */
/*
 * libxl_stream - a libxl migration stream of DOMAIN_XENSTORE_DATA records, as a whole.
 *
 *	header   ident "LibxlFmt" u64, version 2 u32, options 0 u32: big-endian
 *	record   type u32, length u32: little-endian; body; zeroes up to a multiple of 8
 *	...
 *	END      type 0, length 0; nothing follows
 *
 * (Xen's libxl-migration-stream.pandoc; docs/protocol.md, "Migration stream".) A writer appends
 * records one by one. A reader takes its input from anything that can be read, also a pipe: it
 * spools it to an unnamed file, checks all of it, and only then lets the caller have records, as
 * often as it likes. So whoever applies a stream knows before the first record that the last one is
 * good. At most one record is in memory at a time, besides migration/format/seen.
 *
 * Called by export and convert (writer), import and show (reader), and image (both). Must never
 * touch a store, and never change or guess at what it reads.
 */
#ifndef XSPROXY_MIGRATION_FORMAT_LIBXL_STREAM_H
#define XSPROXY_MIGRATION_FORMAT_LIBXL_STREAM_H

#include <stdint.h>
#include <stdio.h>

#include "migration/format/record.h"

#define LIBXL_STREAM_MAX_DEFAULT ((uint64_t)64 << 20)	    /* octets; of --max-stream */
#define LIBXL_STREAM_MAX	 (((uint64_t)32 << 30) - 8) /* the most that a reader counts */

struct libxl_writer;
struct libxl_reader;
struct spool;

/**
 * libxl_writer_new() - start a stream: writes the header.
 * @out: gets the writer; libxl_writer_free() it
 * @file: where to write; stays the caller's, who closes it after the writer is gone
 *
 * Return: 0, -ENOMEM, or what writing failed with.
 */
int libxl_writer_new(struct libxl_writer **out, FILE *file);

/**
 * libxl_writer_continue() - go on with a stream whose header and first records are in @file: writes
 * nothing yet. Otherwise as libxl_writer_new(); offsets count from here on.
 *
 * Return: 0 or -ENOMEM.
 */
int libxl_writer_continue(struct libxl_writer **out, FILE *file);

/**
 * libxl_writer_append() - append one record. Duplicates are the caller's to avoid.
 * @fault: may be NULL; for -EBADMSG gets the number of the record, the offset in the stream
 *	and the rule that it breaks
 *
 * Errors are sticky: after one every append and the finish fail with it, and as END is missing then
 * no reader takes the torso.
 *
 * Return: 0; -EBADMSG and -EMSGSIZE as libxl_record_encode(); -ENOMEM; or what writing failed with.
 */
int libxl_writer_append(struct libxl_writer *writer, const struct record *rec,
			struct record_fault *fault);

/**
 * libxl_writer_finish() - write END and flush the file. To be called once, last.
 *
 * Return: 0, the sticky error, or what writing failed with.
 */
int libxl_writer_finish(struct libxl_writer *writer);

/**
 * libxl_writer_free() - free @writer, which may be NULL; writes nothing, and leaves the file open.
 */
void libxl_writer_free(struct libxl_writer *writer);

/**
 * libxl_reader_open() - read @fd up to its end and check the whole stream (docs/protocol.md,
 * "Migration stream", lists what is refused).
 * @out: gets the reader, before the first record; libxl_reader_free() it
 * @fd: anything readable and blocking; stays the caller's and is not needed afterwards
 * @max_stream: the most octets that are taken, less than 32 GiB
 * @fault: may be NULL; for -EBADMSG gets the first thing that is wrong. For records the offset
 *	is that of the offending field or octet, for a record as such (unknown, duplicate) where it
 *	begins, for a stream that stops early where it stops
 *
 * Return: 0; -EBADMSG if the stream is refused; -EINVAL for @max_stream; -ENOMEM; or what reading
 * @fd or spooling failed with.
 */
int libxl_reader_open(struct libxl_reader **out, int fd, uint64_t max_stream,
		      struct record_fault *fault);

/**
 * libxl_reader_adopt() - the same for what has been spooled already.
 * @spool: rewound; taken over, also if it fails
 *
 * Return: 0; -EBADMSG; -ENOMEM; or what reading the spool failed with.
 */
int libxl_reader_adopt(struct libxl_reader **out, struct spool *spool, struct record_fault *fault);

/** libxl_reader_free() - free @reader, which may be NULL. */
void libxl_reader_free(struct libxl_reader *reader);

/**
 * libxl_reader_rewind() - go back to before the first record.
 *
 * Return: 0, or what seeking failed with.
 */
int libxl_reader_rewind(struct libxl_reader *reader);

/**
 * libxl_reader_next() - the next DOMAIN_XENSTORE_DATA record; optional records are skipped.
 * @rec: points into the reader's buffer until the next call on @reader
 *
 * Return: 1; 0 at END; or negative errno when the spool cannot be read (-ENOMEM, -EIO, ...).
 */
int libxl_reader_next(struct libxl_reader *reader, struct record *rec);

/**
 * libxl_reader_locate() - where the record is that libxl_reader_next() gave last, for a fault found
 * by the caller; at END that of END, so its number tells how many records there are.
 * @fault: gets record and offset (where the record begins); its reason is left alone
 */
void libxl_reader_locate(const struct libxl_reader *reader, struct record_fault *fault);

#endif
