/* SPDX-License-Identifier: MIT */
/*
 * replace - has xsproxyd exchange xenstored, and finds out what came of it, also where an xsproxyd
 * that ends in the middle leaves the rest to the next one.
 *
 * Used by xenstored replace. Must never end without a word about what is known.
 */
#ifndef XSPROXY_CTL_REPLACE_H
#define XSPROXY_CTL_REPLACE_H

#include <stdbool.h>

#include "ctl/options.h"
#include "migration/report.h"

/**
 * replace_run() - have it done.
 * @with: the daemon's path
 * @verbose: the report gets a line a stage, too
 *
 * Return: 0, and a line on standard output says who serves; or an exit status, or a negative errno,
 * which has been reported.
 */
int replace_run(const struct options *options, const char *with, bool verbose,
		const struct report *report);

#endif
