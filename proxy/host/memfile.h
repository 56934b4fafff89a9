/* SPDX-License-Identifier: MIT */
/*
 * memfile - a file in memory, written once, for another process.
 *
 * Called by whoever hands one over. Must never keep it.
 */
#ifndef XSPROXY_PROXY_HOST_MEMFILE_H
#define XSPROXY_PROXY_HOST_MEMFILE_H

#include <stdio.h>

/**
 * memfile_make() - make one, to be read from its beginning.
 * @name: as /proc shows it
 * @write: writes all of it; returns 0 or a negative errno
 *
 * Return: a memfd, the caller's; what @write returned; or a negative errno.
 */
int memfile_make(const char *name, int (*write)(FILE *out, void *arg), void *arg);

#endif
