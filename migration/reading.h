/* SPDX-License-Identifier: MIT */
/*
 * reading - all nodes of a running Xenstore, each as a state that the daemon writes would have it.
 *
 * Reads the store as any toolstack may, node by node, parents before children. Nothing is kept but
 * what is under way. It is no snapshot: what changes meanwhile may be missed.
 *
 * Called by survey, and by whoever makes a state for a daemon that writes none. Must never write to
 * the store.
 */
#ifndef XSPROXY_MIGRATION_READING_H
#define XSPROXY_MIGRATION_READING_H

#include "migration/format/state.h"
#include "migration/omissions.h"
#include "migration/report.h"
#include "migration/wire.h"

/*
 * Called with each node.
 *
 * @item: STATE_NODE, to be changed at will; gone when the function returns
 * @missing: what could not be had of it, bits of enum node_part
 *
 * Return: 0, or a negative errno that ends the reading.
 */
typedef int (*reading_fn)(void *arg, struct state_item *item, unsigned int missing);

/**
 * reading_run() - read all.
 * @wire: a connection, with nothing under way
 * @ox: the daemon that runs is oxenstored, which has special watches among the nodes
 * @omissions: told of what no request can ask for; NULL: that is an error
 * @report: told about failures
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int reading_run(struct wire *wire, bool ox, struct omissions *omissions,
		const struct report *report, reading_fn fn, void *arg);

#endif
