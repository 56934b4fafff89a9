/* SPDX-License-Identifier: MIT */
/*
 * libxl_items - the records of a libxl stream as items of a state, in the order that a state wants:
 * the domain's connection, nodes with parents before children, watches, transactions.
 *
 * A libxl stream has its records in any order, so its nodes are kept in memory to be sorted: as
 * many octets as the stream has, at most. Called by convert alone. Must never change a record.
 */
#ifndef XSPROXY_MIGRATION_LIBXL_ITEMS_H
#define XSPROXY_MIGRATION_LIBXL_ITEMS_H

#include "migration/format/libxl_stream.h"
#include "migration/format/state.h"

struct libxl_items;

/**
 * libxl_items_new() - before the first item.
 * @out: gets it; libxl_items_free() it
 * @reader: outlives it, and is used by nobody else meanwhile
 * @domid: whose stream it is
 *
 * Return: 0, -ENOMEM, or what reading the spool failed with.
 */
int libxl_items_new(struct libxl_items **out, struct libxl_reader *reader, uint16_t domid);

/** libxl_items_free() - NULL is fine. */
void libxl_items_free(struct libxl_items *items);

/** libxl_items_next() - as state_reader_next(). */
int libxl_items_next(struct libxl_items *items, struct state_item *item);

#endif
