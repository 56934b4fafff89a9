/* SPDX-License-Identifier: MIT */
/*
 * export - a domain's Xenstore session as a migration stream.
 *
 * In this order: connect, open the output, QUIESCE the domain by a lease, read its watches and
 * transactions, read the nodes (migration/walk), see that the domain still stands still, write the
 * stream, let the file appear. Then the lease ends with the connection, and the domain goes on,
 * unless it stood still before: whoever reads the stream may fail yet, and nobody would tell us.
 *
 * Where there is somebody who tells, a command that takes the stream (migration/receiver), the
 * lease lasts until that has ended, also where it reads no further. If it has taken the stream, the
 * quiesce is made permanent: what the domain asks from now on is for the other side. With @keep it
 * is made permanent before the end of the stream is written.
 *
 * On any failure and on any signal, SIGKILL included, the lease ends with the connection, a quiesce
 * that was permanent is taken back, and the guest never notices. Only with @keep, who is killed
 * between these two last steps leaves a guest quiesced without a stream.
 *
 * Nothing that a guest wrote makes an export fail: what no stream can hold is left out, or made
 * into the nearest thing that one can, and listed (migration/omissions). With @strict that is a
 * failure.
 *
 * Called by xsproxyctl. Must never leave a guest stopped that it stopped itself and could not
 * export, and never change anything in the store.
 */
#ifndef XSPROXY_MIGRATION_EXPORT_H
#define XSPROXY_MIGRATION_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migration/report.h"

struct export_options {
	const char *socket; /* xsproxyd's */
	uint16_t domid;
	const char *file;	  /* NULL: standard output */
	const char *const *roots; /* besides /local/domain/<domid>; valid paths of nodes */
	size_t nr_roots;
	const char *command; /* takes the stream instead of a file; NULL: none does */
	bool keep;	     /* leave the domain quiesced at the end */
	bool resume;	     /* unquiesce it at the end, whoever has quiesced it */
	bool strict;	     /* fail rather than leave something out */
	const char *list;    /* file for what is left out (omissions.h), or NULL */
};

/**
 * export_domain() - export a domain (docs/protocol.md, "Migration stream"). Signals are caught as
 * interrupt.h says.
 * @report: told about failures, a line each, and about nodes that kept changing
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int export_domain(const struct export_options *options, const struct report *report);

#endif
