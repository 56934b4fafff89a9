/* SPDX-License-Identifier: MIT */
/*
 * conversion - makes an item of one format's state into one that another format holds, or leaves it
 * out, and lists what is lost.
 *
 * Listed is what somebody could miss afterwards. Not listed is what the daemon that takes the state
 * finds out by itself: the port of VIRQ_DOM_EXC, a domain's unique id, a ring's frame and remote
 * port (the C daemon's, for it has the grant and the local port); and permissions that are stale,
 * which count for nobody, and which oxenstored does not keep either.
 *
 * A C stream does not name a ring's frame and the domain's port, and oxenstored needs them where it
 * gets no handle of event channels with its ports bound. Who knows them puts them into the item
 * before; otherwise they are 0, and that is listed. oxenstored takes its own event channels unless
 * the state has a handle and, as its own dumps have, the port of VIRQ_DOM_EXC in it; then local
 * ports are left out.
 *
 * Who hands a handle of event channels on from oxenstored to the C daemon unbinds VIRQ_DOM_EXC in
 * it first, for that daemon binds it itself; from the C daemon to oxenstored it has to be closed,
 * or the ports in it cannot be bound anew.
 *
 * Called by convert, item by item, and by whoever exchanges one daemon for another. Must never
 * write, or change more of an item than it lists.
 */
#ifndef XSPROXY_MIGRATION_CONVERSION_H
#define XSPROXY_MIGRATION_CONVERSION_H

#include "migration/conversion_options.h"
#include "migration/omissions.h"

struct conversion;

/**
 * conversion_new() - before the first item.
 * @out: gets it; conversion_free() it
 * @options: outlives it
 * @omissions: told what is lost; outlives it
 *
 * Return: 0 or -ENOMEM.
 */
int conversion_new(struct conversion **out, const struct conversion_options *options,
		   struct omissions *omissions);

/** conversion_free() - free @conversion, which may be NULL. */
void conversion_free(struct conversion *conversion);

/**
 * conversion_item() - make @item into what options->to holds.
 * @item: may point into the conversion's memory afterwards, until the next call
 *
 * Return: 1 if it is to be written; 0 if it is left out; or -ENOMEM.
 */
int conversion_item(struct conversion *conversion, struct state_item *item);

#endif
