/* SPDX-License-Identifier: MIT */
/*
 * store - a connection to xenstored by libxenstore, for what one command asks of it as any client
 * would.
 *
 * libxenstore waits for an answer as long as it takes. Here that is STORE_PATIENCE seconds in all,
 * then the program ends with a line that says so; whoever has printed something flushes it before.
 */
#ifndef XSPROXY_CTL_STORE_H
#define XSPROXY_CTL_STORE_H

#include "ctl/options.h"
#include "migration/report.h"

#define STORE_PATIENCE 5

struct xs_handle;

/**
 * store_open() - connect to options->socket.
 * @out: store_close() it
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int store_open(struct xs_handle **out, const struct options *options, const struct report *report);

/** store_close() - the patience needs to last no longer. NULL is fine. */
void store_close(struct xs_handle *xs);

#endif
