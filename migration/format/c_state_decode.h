/* SPDX-License-Identifier: MIT */
/*
 * c_state_decode - the body of a record of the C daemon's state stream, as an item.
 *
 * Daemons fill up records with whatever was in memory, and the document says to ignore it, so that
 * is not looked at. Called by c_state_reader.c alone. Must never read beyond the body.
 */
#ifndef XSPROXY_MIGRATION_FORMAT_C_STATE_DECODE_H
#define XSPROXY_MIGRATION_FORMAT_C_STATE_DECODE_H

#include "migration/format/state_codec.h"

/**
 * c_state_decode() - decode source->body.
 * @type, @size: of the record; its body begins behind the header at source->start
 * @item: points into the body
 *
 * Records of types that the document reserves become STATE_UNKNOWN, as daemons pass over them.
 *
 * Return: 0, -EBADMSG, or -ENOMEM.
 */
int c_state_decode(struct state_source *source, uint32_t type, size_t size,
		   struct state_item *item);

#endif
