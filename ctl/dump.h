/* SPDX-License-Identifier: MIT */
/*
 * dump - what xenstored would write down of its store, made by us where it writes nothing.
 *
 * oxenstored writes no state as long as a domain has another one as its target (SET_TARGET). Then
 * the store is read over that daemon's own socket, while xsproxyd serves nobody, and handed over as
 * a live-update program does (link/start.h).
 *
 * Used by xenstored replace and leave. Must never write to the store.
 */
#ifndef XSPROXY_CTL_DUMP_H
#define XSPROXY_CTL_DUMP_H

#include "ctl/options.h"
#include "migration/report.h"

struct dump {
	const struct options *options;
	const struct report *report;
};

/**
 * dump_at_stage() - as a replace_stage_fn, of which @arg is a struct dump: in the stage that asks
 * for it the store is read and handed over.
 */
int dump_at_stage(void *arg, int control, const char *stage);

#endif
