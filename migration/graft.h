/* SPDX-License-Identifier: MIT */
/*
 * graft - does to the store what a plan says, and takes it back.
 *
 * Without a transaction (see edits.h), so others see nodes one by one; the domain itself stands
 * still. What was written is read again: what is something else by then is written once more, and
 * what is something else even then is somebody else's to answer for, and listed.
 *
 * What the daemon refuses for what a guest may have done (its path, size or number of nodes is
 * beyond a quota of this host) is left out and listed; any other refusal ends it.
 *
 * Taking back touches only what is still as it was written: what somebody else has written since
 * stays. Nodes that were made are removed with all that is below.
 *
 * Called by import, whose journal has all of the plan before graft_apply(). Must never do what is
 * not in the plan.
 */
#ifndef XSPROXY_MIGRATION_GRAFT_H
#define XSPROXY_MIGRATION_GRAFT_H

#include "migration/omissions.h"
#include "migration/plan.h"
#include "migration/report.h"
#include "migration/wire.h"

/**
 * graft_apply() - do what @plan says.
 *
 * Return: 0, or a negative errno, which has been reported; then any part of it may have been done.
 */
int graft_apply(struct plan *plan, struct wire *wire, struct omissions *omissions,
		const struct report *report);

/**
 * graft_revert() - take back what graft_apply() may have done, on any connection.
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int graft_revert(struct plan *plan, struct wire *wire, const struct report *report);

#endif
