/* SPDX-License-Identifier: MIT */
/*
 * omissions - what an export or an import leaves out or changes, told to people and to programs.
 *
 * A guest may write what no stream holds and no other host takes; that must not keep it where it
 * is, so the rest is taken, and each thing that is not is listed here: where, what, and why. People
 * get a line on the report each, up to OMISSIONS_LINES_MAX; programs a file with all of them, a
 * JSON object a line.
 *
 * Called by export, import, convert, survey and what they are made of. Must never decide what is
 * left out.
 */
#ifndef XSPROXY_MIGRATION_OMISSIONS_H
#define XSPROXY_MIGRATION_OMISSIONS_H

#include <stddef.h>
#include <stdint.h>

#include "migration/report.h"

#define OMISSIONS_LINES_MAX 1000 /* on the report */

enum omission_kind {
	OMISSION_LEFT_OUT,  /* of what the guest had */
	OMISSION_KEPT,	    /* here, as it was: it is the toolstack's */
	OMISSION_REWRITTEN, /* is imported, as @now says */
};

struct omission {
	enum omission_kind kind;
	const char *what; /* "node", "value", "permission", "watch", ... */
	const char *path; /* of a node or a watch; NULL: it has none */
	size_t path_len;
	const char *detail; /* a permission, a token, ... octets of a guest's; or NULL */
	size_t detail_len;
	const char
		*now; /* octets; of OMISSION_REWRITTEN: what @detail has become; otherwise NULL */
	size_t now_len;
	const char *why;
};

struct omissions;

/**
 * omissions_new() - an empty list.
 * @out: gets it; omissions_free() it
 * @report: gets the lines; outlives it
 * @file: gets the objects, from its start; mode 0600 if it is new; NULL: no file
 *
 * Return: 0, -ENOMEM, or what opening failed with.
 */
int omissions_new(struct omissions **out, const struct report *report, const char *file);

/** omissions_set_lines() - the report gets no more lines than @lines. */
void omissions_set_lines(struct omissions *omissions, unsigned int lines);

/** omissions_free() - free @omissions, which may be NULL. */
void omissions_free(struct omissions *omissions);

/**
 * omissions_add() - list one; nothing that @omission points at is kept. What fails is told by
 * omissions_finish().
 */
void omissions_add(struct omissions *omissions, const struct omission *omission);

/** omissions_count() - how many of a kind there are. */
uint64_t omissions_count(const struct omissions *omissions, enum omission_kind kind);

/**
 * omissions_finish() - there are no more: flush the file.
 *
 * Return: 0, or what writing failed with first.
 */
int omissions_finish(struct omissions *omissions);

#endif
