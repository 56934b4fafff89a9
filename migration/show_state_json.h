/* SPDX-License-Identifier: MIT */
/*
 * show_state_json - the JSON of show_state, and what it counts. Called by show_state.c alone.
 */
#ifndef XSPROXY_MIGRATION_SHOW_STATE_JSON_H
#define XSPROXY_MIGRATION_SHOW_STATE_JSON_H

#include <stdio.h>

#include "migration/format/state.h"
#include "text/buffer.h"

struct show_totals {
	const char *format;
	unsigned int version; /* 0: it has none */
	uint64_t kinds[STATE_UNKNOWN + 1];
	uint64_t octets;
};

/**
 * show_state_json() - a line for an item.
 * @scratch: used and kept for the next call
 *
 * Return: 0, also if writing failed, or -ENOMEM.
 */
int show_state_json(FILE *out, struct buffer *scratch, const struct state_item *item);

/** show_state_json_summary() - the last line. Return: as show_state_json(). */
int show_state_json_summary(FILE *out, const struct show_totals *totals);

#endif
