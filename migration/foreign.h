/* SPDX-License-Identifier: MIT */
/*
 * foreign - nodes of a stream whose owner is a domain that is not here.
 *
 * A stubdomain owns nodes in the home of the domain that it serves. Where it does not come along,
 * the C daemon refuses to give its number to a node (ENOENT), and oxenstored gives it to whoever
 * gets that number next. With --drop-foreign such nodes are left out as a whole, and listed with
 * the number of the domain that is missing.
 *
 * Called by import, before the plan is decided. Must never write to the store.
 */
#ifndef XSPROXY_MIGRATION_FOREIGN_H
#define XSPROXY_MIGRATION_FOREIGN_H

#include <stdint.h>

#include "migration/confine.h"
#include "migration/omissions.h"
#include "migration/plan.h"
#include "migration/wire.h"

#define FOREIGN_WHY_MAX 128

/**
 * foreign_why() - say that a node's owner is not here, and what to do.
 * @out: gets the text; returned, so that it can be a reason
 * @domid: the owner's, here
 */
const char *foreign_why(char out[FOREIGN_WHY_MAX], uint16_t domid);

/**
 * foreign_leave_out() - mark the nodes of a plan that belong to domains that are not introduced
 * here, so that they are left out. The home of the domain, @domid, is not among them: plan_decide()
 * says whose it is.
 * @plan: made, and not decided yet
 * @omissions: told what is left out
 *
 * Return: 0; -ENOMEM; or as wire_call().
 */
int foreign_leave_out(struct plan *plan, struct wire *wire, uint16_t domid,
		      const struct confine *confine, struct omissions *omissions);

#endif
