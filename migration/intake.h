/* SPDX-License-Identifier: MIT */
/*
 * intake - a stream as it will be imported: read to its end, checked, confined, rewritten.
 *
 * After intake_open() each record obeys the format (migration/stream), may be written here
 * (migration/confine), and fits the request that will carry it. Then the records can be had as
 * often as it takes, those of one kind at a time.
 *
 * Called by import and migration/graft. Must never touch a store.
 */
#ifndef XSPROXY_MIGRATION_INTAKE_H
#define XSPROXY_MIGRATION_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migration/confine.h"
#include "migration/record.h"
#include "migration/report.h"

struct intake;

struct intake_options {
	const char *file;	  /* NULL: standard input */
	uint64_t max_stream;	  /* octets */
	uint16_t domid;		  /* here */
	const char *const *roots; /* besides the domain's home; valid paths of nodes */
	size_t nr_roots;
	const struct confine_map *maps;
	size_t nr_maps;
};

/*
 * Read and check a stream.
 *
 * @out: gets the intake, before the first record; intake_free() it
 * @report: told about failures: number, offset and reason of what is refused
 *
 * Returns 0, or a negative errno, which has been reported: -EBADMSG for a stream that is refused.
 */
int intake_open(struct intake **out, const struct intake_options *options,
		const struct report *report);

/* Frees @intake, which may be NULL. */
void intake_free(struct intake *intake);

/* How many records of a kind there are. */
uint64_t intake_count(const struct intake *intake, enum record_kind kind);

/* Go back to before the first record. Returns 0, or what seeking failed with. */
int intake_rewind(struct intake *intake);

/*
 * The next record of a kind.
 *
 * @in: gets it as it is in the stream; may be NULL
 * @here: gets it as it will be imported
 *
 * Both are valid until the next call. Returns 1; 0 at the end; or what reading the spool failed
 * with.
 */
int intake_next(struct intake *intake, enum record_kind kind, struct record *in,
		struct record *here);

/* The number in the stream, from 1, of the record that intake_next() gave last. */
uint64_t intake_number(const struct intake *intake);

/* Whether a node is in the stream, under its path there. Returns as stream_reader_has_node(). */
int intake_has_node(struct intake *intake, const char *path, size_t len);

#endif
