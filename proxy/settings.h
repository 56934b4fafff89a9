/* SPDX-License-Identifier: MIT */
/*
 * settings - where the configuration comes from: the file, and the command line over it; read at
 * the start, and again on SIGHUP and by `xsproxyctl reload`.
 *
 * Must never keep xsproxyd from starting for what is wrong in the file: without it no guest is
 * served.
 */
#ifndef XSPROXY_PROXY_SETTINGS_H
#define XSPROXY_PROXY_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/conffile.h"

#define SETTINGS_WHY_MAX (CONFFILE_WHAT_MAX + 64)

struct daemon;

/* The command line's; NULL where it says nothing. */
struct settings {
	const char *file;
	const char *run_dir;
	const char *socket;
	/* Called when a reload has changed what is in effect, or may have; main.c's */
	void (*taken_over)(struct daemon *daemon);
};

/**
 * settings_arguments() - lay the command line over @config.
 * @why: filled in on error; @size octets
 *
 * Return: 0 or a negative errno.
 */
int settings_arguments(const struct settings *settings, struct config *config, char *why, int size);

/* What is wrong with the file; nothing when count is 0. */
struct settings_wrong {
	void (*each)(const char *what); /* told each line of the first few; NULL: nobody */
	uint32_t count;
	char first[CONFFILE_WHAT_MAX];
};

/**
 * settings_read() - fill in @config with the defaults, what is good in the file, and the command
 * line, which must be good. A missing file is wrong only if the command line names it.
 * @wrong: its count is 0 before
 *
 * Return: 0; -EINVAL when anything is wrong; or -ENOMEM.
 */
int settings_read(const struct settings *settings, struct config *config,
		  struct settings_wrong *wrong);

/**
 * settings_start() - fill in @daemon's configuration; log, and say in the status, what is wrong.
 *
 * Return: 0, also when something is wrong; or -ENOMEM.
 */
int settings_start(struct daemon *daemon);

/**
 * settings_fall_back() - the run-dir cannot be used: take the default one if the file named it.
 *
 * Return: whether there is another one now, which has been logged.
 */
bool settings_fall_back(struct daemon *daemon);

/* What came of reading it again. */
struct settings_reload {
	char why[SETTINGS_WHY_MAX]; /* it failed */
	struct {
		const char *section; /* static memory */
		const char *key;
	} waiting[CONFIG_OPTIONS_MAX]; /* options that wait for a restart */
	uint32_t nr_waiting;
};

/**
 * settings_reload() - read again, take over what can change, log what cannot.
 * @reload: filled in: what is wrong, on error; else what is not in effect yet
 *
 * Return: 0; or, when anything is wrong, a negative errno: then all stays as it was, which the
 * status says.
 */
int settings_reload(struct daemon *daemon, struct settings_reload *reload);

#endif
