/* SPDX-License-Identifier: MIT */
/*
 * tracked - gives a domain the watches and transactions of a stream, as xsproxyd tracks them.
 *
 * What the daemon here refuses for a limit of its own (fewer watches, shorter paths) is left out
 * and listed, unless @strict: a guest that used up all that its last host allowed must not be kept
 * there. After the first one that is too many, the others of its kind are left out unasked.
 *
 * Called by import. Must never take anything back.
 */
#ifndef XSPROXY_MIGRATION_TRACKED_H
#define XSPROXY_MIGRATION_TRACKED_H

#include <stdbool.h>
#include <stdint.h>

#include "migration/intake.h"
#include "migration/interrupt.h"
#include "migration/omissions.h"
#include "migration/report.h"
#include "migration/wire.h"

struct tracked {
	struct wire *wire;
	uint16_t domid;
	struct intake *intake;
	const struct interrupt
		*interrupt; /* looked at before each request, not while it is under way */
	struct omissions *omissions;
	const struct report *report;
	bool strict;
};

/**
 * tracked_add_watches() - give the domain the watches of the stream.
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int tracked_add_watches(const struct tracked *tracked);

/** tracked_start_transactions() - likewise the transactions. */
int tracked_start_transactions(const struct tracked *tracked);

#endif
