/* SPDX-License-Identifier: MIT */
/*
 * remake - makes of the state that a daemon has left one for the daemon that is to be.
 *
 * In it there are nodes, permissions, special watches, quotas, and the rings of the plan with what
 * the state knows of each; no ring of anybody else, no transaction; and no socket or watch but what
 * the plan has of them.
 *
 * For a daemon with the bridge the local port of each ring is its virtual one (link/rings.h), which
 * the C daemon uses as it stands, and oxenstored gets when it binds the domain's own. Otherwise the
 * ports are bound in a handle of event channels that the daemon is given.
 *
 * What a domain owns that is gone becomes domain 0's, and what it may do elsewhere counts for
 * nobody (migration/conversion.h), for the next domain with its id must inherit nothing. One that
 * lives but has no ring is just being made by a toolstack: oxenstored gets all as it is; the C
 * daemon ends at a node whose owner has no ring, so for it such a domain is as one that is gone,
 * which is said.
 *
 * Called by restore.c. Must never take a state for whole before all of it was read.
 */
#ifndef XSPROXY_STARTER_REMAKE_H
#define XSPROXY_STARTER_REMAKE_H

#include <stdio.h>

#include "migration/omissions.h"
#include "starter/reason.h"
#include "starter/remake_options.h"

/**
 * remake_state() - read one state, write the other.
 * @fd: a memfd with the former, from its start
 * @file: where to; flushed, not closed
 * @omissions: told what is lost
 * @reason: gets why not
 *
 * Return: 0; -EBADMSG, if it is no state, or one that the other daemon cannot have; -EBUSY, if
 * oxenstored is to have octets of somebody's requests, or for somebody; or another negative errno.
 */
int remake_state(int fd, FILE *file, const struct remake_options *options,
		 struct omissions *omissions, struct reason *reason);

#endif
