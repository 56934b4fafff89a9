/* SPDX-License-Identifier: MIT */
/*
 * report - what went wrong, told to a person: a line each, what happened, to what, what to do.
 *
 * Called by export and import and what they are made of, and by ctl/. Must never send an octet of a
 * guest's to a terminal unescaped: callers pass such octets through report_octets().
 */
#ifndef XSPROXY_MIGRATION_REPORT_H
#define XSPROXY_MIGRATION_REPORT_H

#include <stddef.h>
#include <stdio.h>

#define REPORT_OCTETS_MAX 200 /* of report_octets(), NUL included */

struct report {
	FILE *out;	 /* usually stderr */
	const char *who; /* begins each line */
};

/**
 * report_fail() - print "who: message".
 * @err: a negative errno; the caller has put it into words already
 *
 * Return: @err, so that a failure is one statement.
 */
int report_fail(const struct report *report, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** report_warn() - print "who: warning: message". */
void report_warn(const struct report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * report_reason() - the words for a negative errno, where nothing more is known about it; static
 * memory.
 */
const char *report_reason(int err);

/**
 * report_local_reason() - the same for files and descriptors: xenstored has no part in it, so no
 * quota of its is meant.
 */
const char *report_local_reason(int err);

/** report_slow() - warn that xsproxyd does not answer yet; a wire_slow_fn, called with a report. */
void report_slow(const void *report);

/**
 * report_no_connection() - say that connecting to xsproxyd at @path failed with @err, which is
 * returned.
 */
int report_no_connection(const struct report *report, int err, const char *path);

/**
 * report_octets() - octets as show.h prints them in text, shortened where they are many.
 * @out: gets the text; returned, so that it can be an argument of a format
 */
const char *report_octets(char out[REPORT_OCTETS_MAX], const char *octets, size_t len);

#endif
