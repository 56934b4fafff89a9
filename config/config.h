/* SPDX-License-Identifier: MIT */
/*
 * config - what the administrator can choose; conffile.c reads it from xsproxy.conf.
 *
 * One table (config.c) holds section, key, kind, range and default of every option. A bad value or
 * a bad unit is refused with what is allowed, and the option keeps its value.
 *
 * Filled by conffile.c and by proxy/settings.c, read through struct daemon. Must never do I/O but
 * for looking up users (ids.h) and printing.
 */
#ifndef XSPROXY_CONFIG_CONFIG_H
#define XSPROXY_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config/ids.h"
#include "config/listen.h"

#define XSPROXY_VERSION	   "0.2"

#define CONFIG_PATH_MAX	   96 /* so that a socket's name still fits struct sockaddr_un */
#define CONFIG_FILE	   "/etc/xsproxy/xsproxy.conf"

#define CONFIG_OPTIONS_MAX 64 /* how many there may be */

enum config_refuse { CONFIG_REFUSE, CONFIG_PASS };

struct config {
	char run_dir[CONFIG_PATH_MAX];	      /* [xsproxy] run-dir */
	char socket[CONFIG_PATH_MAX];	      /* [xsproxy] socket */
	char live_update[CONFIG_PATH_MAX];    /* [xenstored] live-update */
	uint32_t start_timeout_ms;	      /* [xenstored] start-timeout */
	uint32_t socket_mode;		      /* [socket] mode */
	struct ids socket_group;	      /* [socket] group, one */
	struct ids socket_users;	      /* [socket] users; root is always one */
	uint32_t users_control;		      /* [socket] users-control, enum config_refuse */
	uint32_t watches;		      /* [limits] watches of a guest */
	uint32_t watch_memory;		      /* [limits] watch-memory of a guest, MiB */
	uint32_t client_memory;		      /* [limits] client-memory, MiB */
	uint32_t mirror;		      /* [mirror] enabled */
	uint32_t mirror_audit;		      /* [mirror] audit */
	uint32_t mirror_memory;		      /* [mirror] memory, MiB */
	uint32_t mirror_transaction;	      /* [mirror] transaction, MiB */
	uint32_t quiesce_timeout_ms;	      /* [quiesce] timeout */
	uint32_t log_level;		      /* [log] level, LOG_ERR ... LOG_DEBUG */
	uint32_t quota_warning;		      /* [log] quota-warning, per cent; 0: off */
	uint32_t slow_ms;		      /* [log] slow */
	uint32_t flight_messages;	      /* [flight] messages */
	char metrics_listen[LISTEN_TEXT_MAX]; /* [metrics] listen, as listen_parse() takes it */
	uint32_t metrics_domains;	      /* [metrics] domains */
	uint32_t guard_malformed;	      /* [guard] malformed, enum config_refuse */
	uint32_t guard_release;		      /* [guard] release, the same: REFUSE is "answer" */
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

/** config_option() - the number of an option, below CONFIG_OPTIONS_MAX; or -ENOENT. */
int config_option(const char *section, const char *key);

/** config_has_section() - whether any option is in the section of that name, @len octets. */
bool config_has_section(const char *name, size_t len);

/**
 * config_adopt() - take over from @next what can change while xsproxyd runs.
 * @changed: told, with @arg, each option that differs, and whether it has been taken over; the
 * names are static memory
 */
void config_adopt(struct config *config, const struct config *next,
		  void (*changed)(void *arg, const char *section, const char *key, bool adopted),
		  void *arg);

/** config_print() - write what is in effect as a file that conffile_read() takes. */
void config_print(const struct config *config, FILE *out);

/** config_level() - the name of a [log] level. */
const char *config_level(uint32_t level);

#endif
