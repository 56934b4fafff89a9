/* SPDX-License-Identifier: MIT */
/*
 * naming - whom a line of the log is about, beside the numbers: what the domain is called, as far
 * as the mirror knows, or which program a toolstack's connection is of.
 *
 * Set up by main.c, called by log.c for each line that is about a domain. Must never ask xenstored,
 * and never log.
 */
#ifndef XSPROXY_PROXY_HOST_NAMING_H
#define XSPROXY_PROXY_HOST_NAMING_H

struct daemon;

/** naming_begin() - lines have names from now on; until naming_end(). */
void naming_begin(const struct daemon *daemon);

/** naming_end() - @daemon's parts are about to go. */
void naming_end(void);

#endif
