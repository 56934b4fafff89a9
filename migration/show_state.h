/* SPDX-License-Identifier: MIT */
/*
 * show_state - a daemon's state in a form for people, or for tools that read JSON: as show.h says,
 * with these lines beside those of nodes:
 *
 *	global socket 5, event channels 7, VIRQ port 64
 *	quotas nodes 1000, watches 128; global: total 5
 *	ring 7 port 66, remote port 1, gfn 262151, target 8, unique id 5, read "...", unsent 3+"..."
 *	socket 10 read "...", unsent "..."
 *	watch d7 data "token" depth 2
 *	watch fd10 @introduceDomain "token" depth lost
 *	transaction d7 12
 *	node /local/domain/7/data n7,r3(stale),r? "value" in d7 12, read, written
 *	domain 7 features 0x3, quotas nodes 50
 *	unknown record 9, 16 octets
 *	format: C, version: 1, connections: 2, nodes: 1, watches: 2, transactions: 1, octets: 900
 *
 * "3+" says that the first three octets are the rest of a message; "r?" is a permission for what is
 * no domain. In JSON an object a line, with a key by the first word.
 *
 * Called by xsproxyctl. Must never show a stream that was not checked, and never send an octet of a
 * guest's to a terminal unescaped.
 */
#ifndef XSPROXY_MIGRATION_SHOW_STATE_H
#define XSPROXY_MIGRATION_SHOW_STATE_H

#include <stdbool.h>
#include <stdio.h>

#include "migration/format/state_stream.h"

/**
 * show_state() - print all items of @reader and a summary.
 * @reader: rewound first; at its end afterwards; not libxl's
 * @out, @json: as of show_stream()
 *
 * Return: as show_stream().
 */
int show_state(struct state_reader *reader, FILE *out, bool json);

#endif
