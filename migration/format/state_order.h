/* SPDX-License-Identifier: MIT */
/*
 * state_order - what of a state has to come before what, and nothing twice, whatever the format.
 *
 * A watch or a transaction needs its connection, a node in a transaction that transaction, a node
 * its parent: the C daemon ends where one is missing, oxenstored leaves the node out without a
 * word. A parent may only be missing where there are no global data, which is a state that is to be
 * added to a store.
 *
 * What was there is kept as 128 bits of table_hash() each, under a key that nobody knows, so 16
 * octets a slot and at most 37 a node; that two differ and are taken for one does not happen.
 *
 * Called by state_reader.c and state_writer.c. Must never keep an item.
 */
#ifndef XSPROXY_MIGRATION_FORMAT_STATE_ORDER_H
#define XSPROXY_MIGRATION_FORMAT_STATE_ORDER_H

#include "migration/format/state.h"

struct state_order;

/** state_order_new() - before the first item. Return: 0 or -ENOMEM. */
int state_order_new(struct state_order **out);

/** state_order_free() - free @order, which may be NULL. */
void state_order_free(struct state_order *order);

/**
 * state_order_add() - the next item.
 * @at: where it begins: the offset of a fault
 *
 * Return: 0; -EBADMSG, if it is there already, or what it needs is not; or -ENOMEM.
 */
int state_order_add(struct state_order *order, const struct state_item *item, uint64_t at,
		    struct record_fault *fault);

#endif
