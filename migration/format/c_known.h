/* SPDX-License-Identifier: MIT */
/*
 * c_known - whose connection is which, by the numbers that only the C daemon's stream has.
 *
 * Called by the C stream's reader and writer alone; the table is a pointer, NULL at first.
 */
#ifndef XSPROXY_MIGRATION_FORMAT_C_KNOWN_H
#define XSPROXY_MIGRATION_FORMAT_C_KNOWN_H

#include "migration/format/state.h"

/** c_known_add() - @id, which is not there yet, is @peer's. Return: 0 or -ENOMEM. */
int c_known_add(void **table, uint32_t id, struct state_peer peer);

/** c_known_find() - whose @id is. Return: whether there is one. */
bool c_known_find(const void *table, uint32_t id, struct state_peer *peer);

/** c_known_id() - which number @peer has. Return: 0, if none. */
uint32_t c_known_id(const void *table, struct state_peer peer);

/** c_known_clear() - forget all. */
void c_known_clear(void **table);

#endif
