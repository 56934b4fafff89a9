/* SPDX-License-Identifier: MIT */
/*
 * services - xsproxy's units under systemd, where they are started before dom0 is rebooted, and
 * ended before that: what `systemctl` is told to do.
 *
 * Used by enter and leave. Must never stop a unit in which a xenstored runs.
 */
#ifndef XSPROXY_CTL_SERVICES_H
#define XSPROXY_CTL_SERVICES_H

#include <stdbool.h>

#include "migration/report.h"

#define SERVICES_MAX 4

struct services {
	const char *run_dir; /* xsproxyd's */
	const struct report *report;
	bool was[SERVICES_MAX]; /* services.c's own: which ran before */
};

/** services_there() - whether systemd runs this host. */
bool services_there(void);

/**
 * services_begin() - start xsproxyd, the keeper and what starts xenstored, while the socket that
 * toolstacks connect to is another daemon's and stays so.
 *
 * Return: 0: they run; or a negative errno, which has been reported: all is as before.
 */
int services_begin(struct services *services);

/** services_undo() - end what services_begin() has started. The xenstored must not depend on it. */
void services_undo(const struct services *services);

/**
 * services_end() - end xsproxyd and the keeper, which nobody needs any more. What starts xenstored
 * goes on, for that runs in it.
 *
 * Return: 0, or a negative errno, which has been reported.
 */
int services_end(const struct services *services);

#endif
