/* SPDX-License-Identifier: MIT */
/*
 * conffile - reads xsproxy.conf: every good line is taken, every wrong one is told with its number.
 *
 * inih parses the lines; what reaches it is the same to all its versions (conffile.c). Called by
 * settings.c at the start, for --check-config and for a reload. Must never stop at a wrong line,
 * nor let one pass in silence.
 */
#ifndef XSPROXY_CONFIG_CONFFILE_H
#define XSPROXY_CONFIG_CONFFILE_H

#include "config/config.h"

/* What is told at most of a line, or of the file; in printable ASCII, other octets as \xHH */
#define CONFFILE_WHAT_MAX 640

/**
 * conffile_read() - read a file over what @config holds.
 * @wrong: told, with @arg, each line that is wrong: "FILE:LINE: what is wrong and what is allowed";
 *	   or once that the file cannot be read: "FILE: why"
 *
 * Return: 0; -EINVAL when lines were wrong: what they set has kept its value, all others have been
 * taken; -ENOENT when there is no such file; or another negative errno, when it could not be read.
 */
int conffile_read(struct config *config, const char *path,
		  void (*wrong)(void *arg, const char *what), void *arg);

#endif
