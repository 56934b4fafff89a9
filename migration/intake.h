/* SPDX-License-Identifier: MIT */
/*
 * intake - a stream as it will be imported: read to its end, checked, confined, rewritten.
 *
 * After intake_open() each record obeys the format (migration/format/libxl_stream), may be written
 * here (migration/confine), and fits the request that will carry it. Then the records can be had as
 * often as it takes, those of one kind at a time.
 *
 * A stream that no export makes is refused as a whole. What a guest may have done is not: what does
 * not fit a request here (under a longer domid, say) is left out and listed, and so are nodes
 * beyond @max_nodes that belong to the domain, and as many that do not. That bounds what a stream
 * can make the host do.
 *
 * Called by import and migration/plan. Must never touch a store.
 */
#ifndef XSPROXY_MIGRATION_INTAKE_H
#define XSPROXY_MIGRATION_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migration/confine.h"
#include "migration/format/record.h"
#include "migration/omissions.h"
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
	bool map_values;    /* those that are paths (confine.h) */
	bool keep_perms;    /* also for domains that are not mapped */
	bool drop_foreign;  /* leave out nodes of domains that are not mapped */
	uint64_t max_nodes; /* of the domain's, and of others' */
};

#define INTAKE_NODES_DEFAULT 1200 /* the daemons' quota is 1000; toolstacks may add to it */

/**
 * intake_open() - read and check a stream.
 * @out: gets the intake, before the first record; intake_free() it
 * @omissions: told what is left out; not used afterwards
 * @report: told about failures: number, offset and reason of what is refused
 *
 * Return: 0, or a negative errno, which has been reported: -EBADMSG for a stream that is refused.
 */
int intake_open(struct intake **out, const struct intake_options *options,
		struct omissions *omissions, const struct report *report);

/** intake_free() - free @intake, which may be NULL. */
void intake_free(struct intake *intake);

/** intake_count() - how many records of a kind there are, without those that are left out. */
uint64_t intake_count(const struct intake *intake, enum record_kind kind);

/** intake_rewind() - go back to before the first record. Return: 0, or what seeking failed with. */
int intake_rewind(struct intake *intake);

/**
 * intake_next() - the next record of a kind, as it will be imported.
 * @rec: valid until the next call
 *
 * Return: 1; 0 at the end; or what reading the spool failed with.
 */
int intake_next(struct intake *intake, enum record_kind kind, struct record *rec);

/** intake_drop_any() - leave out permissions for all domains from now on, as confine_drop_any(). */
void intake_drop_any(struct intake *intake, struct omissions *omissions);

/** intake_confine() - what the records are confined to; the intake's. */
const struct confine *intake_confine(const struct intake *intake);

#endif
