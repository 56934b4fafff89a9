/* SPDX-License-Identifier: MIT */
/*
 * show - a migration stream in a form for people, or for tools that read JSON.
 *
 * Text, a line each:
 *
 *	node /local/domain/7/name n7,r0 "guest"
 *	watch control/shutdown "token"
 *	transaction 12
 *	nodes: 1, watches: 1, transactions: 1, skipped: 0, octets: 152
 *
 * with \xHH for an octet outside printable ASCII, for a backslash, for a double quote between
 * quotes and for a space outside of them. JSON, an object a line, so that a stream of any size can
 * be shown a record at a time:
 *
 *	{"node":{"path":"/local/domain/7/name","permissions":["n7","r0"],"value":"guest"}}
 *	{"watch":{"path":"control/shutdown","token":"token"}}
 *	{"transaction":{"id":12}}
 *	{"summary":{"nodes":1,"watches":1,"transactions":1,"skipped":0,"octets":152}}
 *
 * where strings have \xHH for an octet that is not UTF-8, for DEL and a backslash, and what is not
 * ASCII appears as \uHHHH. So in both forms undoing \xHH gives the octets back.
 *
 * Called by xsproxyctl. Must never show a stream that was not checked, and never send an octet of
 * a guest's to a terminal unescaped.
 */
#ifndef XSPROXY_MIGRATION_SHOW_H
#define XSPROXY_MIGRATION_SHOW_H

#include <stdbool.h>
#include <stdio.h>

#include "migration/format/libxl_stream.h"

/**
 * show_stream() - print all records of @reader and a summary; "skipped" counts optional records.
 * @reader: rewound first; at its end afterwards
 * @out: flushed; stays the caller's
 * @json: JSON instead of text
 *
 * Return: 0, -ENOMEM, or what reading the spool or writing @out failed with.
 */
int show_stream(struct libxl_reader *reader, FILE *out, bool json);

#endif
