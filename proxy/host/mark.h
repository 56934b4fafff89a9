/* SPDX-License-Identifier: MIT */
/*
 * mark - empty files in the run directory, by which whoever comes later knows what has become of
 * this host since it was booted (link/start.h: LINK_SERVED, LINK_LEFT).
 *
 * Set and cleared by exchange/, asked by it and by public.c.
 */
#ifndef XSPROXY_PROXY_HOST_MARK_H
#define XSPROXY_PROXY_HOST_MARK_H

#include <stdbool.h>

#include "config/config.h"

#define MARK_PATH_MAX (CONFIG_PATH_MAX + 16)

/** mark_path() - where @name is, in the run directory. Return: @path. */
const char *mark_path(const struct config *config, char path[MARK_PATH_MAX], const char *name);

/** mark_set() - make it, if it is not there. Return: 0 or a negative errno. */
int mark_set(const struct config *config, const char *name);

/** mark_is_set() - whether it is there. */
bool mark_is_set(const struct config *config, const char *name);

/** mark_clear() - remove it. */
void mark_clear(const struct config *config, const char *name);

#endif
