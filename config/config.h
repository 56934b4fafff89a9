/* SPDX-License-Identifier: MIT */
/*
 * config - what the administrator can choose: xsproxy.conf, read with inih.
 *
 * One table (config.c) holds section, key, kind, range and default of every option. An unknown
 * section or key, a bad value or a bad unit is refused with file, line and what is allowed.
 */
#ifndef XSPROXY_CONFIG_CONFIG_H
#define XSPROXY_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "config/listen.h"

#define XSPROXY_VERSION "0.2"

#define CONFIG_PATH_MAX 96 /* so that a socket's name still fits struct sockaddr_un */
#define CONFIG_FILE	"/etc/xsproxy/xsproxy.conf"

struct config {
	char run_dir[CONFIG_PATH_MAX];	      /* [xsproxy] run-dir */
	char socket[CONFIG_PATH_MAX];	      /* [xsproxy] socket */
	uint32_t quiesce_timeout_ms;	      /* [quiesce] timeout */
	uint32_t log_level;		      /* [log] level, LOG_ERR ... LOG_DEBUG */
	uint32_t flight_messages;	      /* [flight] messages */
	char metrics_listen[LISTEN_TEXT_MAX]; /* [metrics] listen, as listen_parse() takes it */
	uint32_t metrics_domains;	      /* [metrics] domains */
};

/** config_defaults() - what holds without a file. */
void config_defaults(struct config *config);

/**
 * config_set() - set one option from text.
 * @why: filled in on error: what is wrong and what is allowed; @size octets
 *
 * Return: 0; -ENOENT for an unknown section or key; -EINVAL for a bad value.
 */
int config_set(struct config *config, const char *section, const char *key, const char *value,
	       char *why, int size);

/**
 * config_read() - read a file over what @config holds.
 * @why: filled in on error: file, line, what is wrong and what is allowed; @size octets
 *
 * Return: 0; -ENOENT when there is no such file; -EINVAL; or another negative errno.
 */
int config_read(struct config *config, const char *path, char *why, int size);

/**
 * config_adopt() - take over from @next what can change while xsproxyd runs.
 * @changed: told each option that differs, and whether it has been taken over
 */
void config_adopt(struct config *config, const struct config *next,
		  void (*changed)(const char *section, const char *key, bool adopted));

/** config_print() - write what is in effect as a file that config_read() takes. */
void config_print(const struct config *config, FILE *out);

/** config_level() - the name of a [log] level. */
const char *config_level(uint32_t level);

#endif
