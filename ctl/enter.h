/* SPDX-License-Identifier: MIT */
/*
 * enter - has xsproxyd put before a native xenstored: its services are started, xsproxyd expects
 * the daemon's state, and the daemon is asked for it.
 *
 * Used by the command enter, which has looked at all that can be known before. Must never end
 * xsproxyd while a program waits for it that was the daemon.
 */
#ifndef XSPROXY_CTL_ENTER_H
#define XSPROXY_CTL_ENTER_H

#include "ctl/native.h"
#include "ctl/program.h"
#include "ctl/site.h"
#include "migration/report.h"

/**
 * enter_run() - have it done.
 * @native: the daemon that runs
 * @next: the one that is to serve behind xsproxyd
 * @watches: how many it takes of a domain: whoever has more is in the way; 0: any
 *
 * Return: as replace_run(). If nothing has come of it all is as before.
 */
int enter_run(const struct site *site, const struct native *native, const struct program *next,
	      unsigned int watches, const struct report *report);

#endif
