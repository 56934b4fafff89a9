/* SPDX-License-Identifier: MIT */
/*
 * convert - a stream of one format as a stream of another: a file with what a daemon knows, or what
 * export wrote.
 *
 * Reads and checks all of it, makes each item into one that the other format holds (conversion.h),
 * lists what is lost, and lets the file appear when it is complete.
 *
 * Called by xsproxyctl. Must never leave half a stream behind, or touch a store.
 */
#ifndef XSPROXY_MIGRATION_CONVERT_H
#define XSPROXY_MIGRATION_CONVERT_H

#include "migration/conversion.h"
#include "migration/report.h"

struct convert_options {
	const char *name; /* of what is read, for people */
	const char *file; /* to write; NULL: standard output */
	bool strict;	  /* fail rather than lose something */
	const char *list; /* file for what is lost (omissions.h), or NULL */
	struct conversion_options how;
};

/**
 * convert_stream() - convert what @reader has. Signals are caught as interrupt.h says.
 * @report: told about failures, and what is lost, a line each
 *
 * Return: 0, or a negative errno, which has been reported: -EINVAL where only one domain can be
 * meant, and options->how does not say which.
 */
int convert_stream(struct state_reader *reader, const struct convert_options *options,
		   const struct report *report);

#endif
