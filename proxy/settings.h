/* SPDX-License-Identifier: MIT */
/*
 * settings - where the configuration comes from: the file, and the command line over it; read at
 * the start, and again on SIGHUP.
 */
#ifndef XSPROXY_PROXY_SETTINGS_H
#define XSPROXY_PROXY_SETTINGS_H

#include "config/config.h"

struct daemon;

/* The command line's; NULL where it says nothing. */
struct settings {
	const char *file;
	const char *run_dir;
	const char *socket;
};

/**
 * settings_read() - fill in @config.
 * @why: filled in on error; @size octets
 *
 * Return: 0 or a negative errno. A missing file is an error only if the command line names it.
 */
int settings_read(const struct settings *settings, struct config *config, char *why, int size);

/** settings_reload() - read again, take over what can change, say what cannot or is wrong. */
void settings_reload(struct daemon *daemon);

#endif
