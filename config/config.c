// SPDX-License-Identifier: MIT
#include "config/config.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

/* As the Makefile has it */
#ifndef XSPROXY_PREFIX
#define XSPROXY_PREFIX "/usr"
#endif

enum option_kind {
	OPTION_PATH,  /* absolute */
	OPTION_MS,    /* a number with a unit, ms or s */
	OPTION_LEVEL, /* error, warning, notice, info, debug */
	OPTION_NUMBER,
	OPTION_MIB,    /* a number with the unit MiB */
	OPTION_LISTEN, /* off, a loopback address with a port, a unix socket */
	OPTION_REFUSE, /* refuse, pass */
	OPTION_ANSWER, /* answer, pass */
	OPTION_SWITCH, /* off, on */
	OPTION_MODE,   /* of a file, octal */
	OPTION_GROUP,  /* a name or a number */
	OPTION_USERS,  /* names or numbers */
};

struct option {
	const char *section;
	const char *key;
	enum option_kind kind;
	size_t offset;
	const char *text_default;
	uint32_t min, max; /* numbers */
	bool at_run_time;  /* SIGHUP changes it */
};

#define AT(field) offsetof(struct config, field)

static const struct option options[] = {
	{ "xsproxy", "run-dir", OPTION_PATH, AT(run_dir), "/run/xsproxy", 0, 0, false },
	{ "xsproxy", "socket", OPTION_PATH, AT(socket), "/run/xenstored/socket", 0, 0, false },
	{ "xenstored", "live-update", OPTION_PATH, AT(live_update),
	  XSPROXY_PREFIX "/libexec/xsproxy/live-update", 0, 0, true },
	{ "xenstored", "start-timeout", OPTION_MS, AT(start_timeout_ms), "120s", 1, 600000, true },
	{ "socket", "mode", OPTION_MODE, AT(socket_mode), "0600", 0, 0, false },
	{ "socket", "group", OPTION_GROUP, AT(socket_group), "root", 0, 0, false },
	{ "socket", "users", OPTION_USERS, AT(socket_users), "root", 0, 0, true },
	{ "socket", "users-control", OPTION_REFUSE, AT(users_control), "refuse", 0, 0, true },
	{ "limits", "watches", OPTION_NUMBER, AT(watches), "4096", 1, 1000000, true },
	{ "limits", "watch-memory", OPTION_MIB, AT(watch_memory), "8MiB", 1, 250, true },
	{ "limits", "client-memory", OPTION_MIB, AT(client_memory), "64MiB", 1, 250, true },
	{ "mirror", "enabled", OPTION_SWITCH, AT(mirror), "on", 0, 0, false },
	{ "mirror", "audit", OPTION_SWITCH, AT(mirror_audit), "on", 0, 0, true },
	{ "mirror", "memory", OPTION_MIB, AT(mirror_memory), "256MiB", 1, 900, false },
	{ "mirror", "transaction", OPTION_MIB, AT(mirror_transaction), "1MiB", 1, 64, false },
	{ "quiesce", "timeout", OPTION_MS, AT(quiesce_timeout_ms), "5s", 1, 600000, true },
	{ "log", "level", OPTION_LEVEL, AT(log_level), "info", 0, 0, true },
	{ "log", "quota-warning", OPTION_NUMBER, AT(quota_warning), "80", 0, 100, true },
	{ "log", "slow", OPTION_MS, AT(slow_ms), "1s", 1, 3600000, true },
	{ "flight", "messages", OPTION_NUMBER, AT(flight_messages), "64", 0, 1000, true },
	{ "metrics", "listen", OPTION_LISTEN, AT(metrics_listen), LISTEN_OFF, 0, 0, false },
	{ "metrics", "domains", OPTION_NUMBER, AT(metrics_domains), "100", 0, 1000, true },
	{ "guard", "malformed", OPTION_REFUSE, AT(guard_malformed), "refuse", 0, 0, true },
	{ "guard", "release", OPTION_ANSWER, AT(guard_release), "answer", 0, 0, true },
};

#define NR_OPTIONS (sizeof(options) / sizeof(options[0]))

static const struct {
	const char *name;
	uint32_t level;
} levels[] = {
	{ "error", LOG_ERR }, { "warning", LOG_WARNING }, { "notice", LOG_NOTICE },
	{ "info", LOG_INFO }, { "debug", LOG_DEBUG },
};

static int set_path(char *to, const char *value, char *why, int size)
{
	if (value[0] != '/' || strlen(value) >= CONFIG_PATH_MAX) {
		snprintf(why, (size_t)size, "must be an absolute path of at most %d characters",
			 CONFIG_PATH_MAX - 1);
		return -EINVAL;
	}
	strcpy(to, value);
	return 0;
}

static int set_ms(uint32_t *to, const struct option *option, const char *value, char *why, int size)
{
	unsigned long n, unit = 0;
	char *end;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (!strcmp(end, "ms"))
		unit = 1;
	else if (!strcmp(end, "s"))
		unit = 1000;
	if (errno || end == value || value[0] == '-' || !unit || n > UINT32_MAX / unit ||
	    n * unit < option->min || n * unit > option->max) {
		snprintf(why, (size_t)size, "must be a number with the unit ms or s, %ums to %us",
			 option->min, option->max / 1000);
		return -EINVAL;
	}
	*to = (uint32_t)(n * unit);
	return 0;
}

/* @unit: what must follow the digits, or "" */
static int set_number(uint32_t *to, const struct option *option, const char *value,
		      const char *unit, char *why, int size)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno || end == value || strcmp(end, unit) || value[0] == '-' || n < option->min ||
	    n > option->max) {
		snprintf(why, (size_t)size, "must be a number%s%s, %u%s to %u%s",
			 *unit ? " with the unit " : "", unit, option->min, unit, option->max,
			 unit);
		return -EINVAL;
	}
	*to = (uint32_t)n;
	return 0;
}

static int set_level(uint32_t *to, const char *value, char *why, int size)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(levels[i].name, value))
			continue;
		*to = levels[i].level;
		return 0;
	}
	snprintf(why, (size_t)size, "must be error, warning, notice, info or debug");
	return -EINVAL;
}

static int set_listen(char *to, const char *value, char *why, int size)
{
	struct listen_at at;
	int err = strlen(value) < LISTEN_TEXT_MAX ? listen_parse(&at, value) : -EINVAL;

	if (err == -EADDRNOTAVAIL)
		snprintf(why, (size_t)size,
			 "must be this machine's alone: an address of 127.0.0.0/8, [::1] or a "
			 "unix socket");
	else if (err)
		snprintf(why, (size_t)size,
			 "must be off, 127.0.0.1:PORT, [::1]:PORT or unix:/PATH");
	else
		strcpy(to, value);
	return err ? -EINVAL : 0;
}

static const char *refuse_name(enum option_kind kind, uint32_t value)
{
	if (kind == OPTION_SWITCH)
		return value == CONFIG_PASS ? "on" : "off";
	if (value == CONFIG_PASS)
		return "pass";
	return kind == OPTION_ANSWER ? "answer" : "refuse";
}

static int set_refuse(enum option_kind kind, uint32_t *to, const char *value, char *why, int size)
{
	for (uint32_t i = CONFIG_REFUSE; i <= CONFIG_PASS; i++) {
		if (strcmp(refuse_name(kind, i), value))
			continue;
		*to = i;
		return 0;
	}
	snprintf(why, (size_t)size, "must be %s or %s", refuse_name(kind, CONFIG_REFUSE),
		 refuse_name(kind, CONFIG_PASS));
	return -EINVAL;
}

/* Without root's own rights it could not be root's socket. */
static int set_mode(uint32_t *to, const char *value, char *why, int size)
{
	unsigned long n = strtoul(value, NULL, 8);

	if (value[strspn(value, "01234567")] || n > 0777 || (n & 0600) != 0600) {
		snprintf(why, (size_t)size, "must be an octal mode, 0600 to 0777, such as 0660");
		return -EINVAL;
	}
	*to = (uint32_t)n;
	return 0;
}

static int set_option(struct config *config, const struct option *option, const char *value,
		      char *why, int size)
{
	void *to = (char *)config + option->offset;

	switch (option->kind) {
	case OPTION_PATH:
		return set_path(to, value, why, size);
	case OPTION_MS:
		return set_ms(to, option, value, why, size);
	case OPTION_LEVEL:
		return set_level(to, value, why, size);
	case OPTION_NUMBER:
		return set_number(to, option, value, "", why, size);
	case OPTION_MIB:
		return set_number(to, option, value, "MiB", why, size);
	case OPTION_LISTEN:
		return set_listen(to, value, why, size);
	case OPTION_REFUSE:
	case OPTION_ANSWER:
	case OPTION_SWITCH:
		return set_refuse(option->kind, to, value, why, size);
	case OPTION_MODE:
		return set_mode(to, value, why, size);
	case OPTION_GROUP:
		return ids_group(to, value, why, size);
	case OPTION_USERS:
		return ids_users(to, value, why, size);
	}
	return -EINVAL;
}

const char *config_level(uint32_t level)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (levels[i].level == level)
			return levels[i].name;
	return "unknown";
}

static bool is_text(const struct option *option)
{
	return option->kind == OPTION_PATH || option->kind == OPTION_LISTEN;
}

static size_t option_size(const struct option *option)
{
	switch (option->kind) {
	case OPTION_LISTEN:
		return LISTEN_TEXT_MAX;
	case OPTION_PATH:
		return CONFIG_PATH_MAX;
	case OPTION_GROUP:
	case OPTION_USERS:
		return sizeof(struct ids);
	default:
		return sizeof(uint32_t);
	}
}

static bool option_equal(const struct option *option, const void *a, const void *b)
{
	/* What follows the end of a text is of no account. */
	return is_text(option) ? !strcmp(a, b) : !memcmp(a, b, option_size(option));
}

void config_adopt(struct config *config, const struct config *next,
		  void (*changed)(void *arg, const char *section, const char *key, bool adopted),
		  void *arg)
{
	for (size_t i = 0; i < NR_OPTIONS; i++) {
		const struct option *option = &options[i];
		const void *from = (const char *)next + option->offset;
		void *to = (char *)config + option->offset;

		if (option_equal(option, to, from))
			continue;
		if (option->at_run_time)
			memcpy(to, from, option_size(option));
		changed(arg, option->section, option->key, option->at_run_time);
	}
}

static void print_option(const struct option *option, const void *value, FILE *out)
{
	uint32_t ms;

	fprintf(out, "%s = ", option->key);
	switch (option->kind) {
	case OPTION_PATH:
	case OPTION_LISTEN:
		fprintf(out, "%s\n", (const char *)value);
		break;
	case OPTION_MS:
		ms = *(const uint32_t *)value;
		fprintf(out, "%u%s\n", ms % 1000 ? ms : ms / 1000, ms % 1000 ? "ms" : "s");
		break;
	case OPTION_LEVEL:
		fprintf(out, "%s\n", config_level(*(const uint32_t *)value));
		break;
	case OPTION_NUMBER:
		fprintf(out, "%u\n", *(const uint32_t *)value);
		break;
	case OPTION_REFUSE:
	case OPTION_ANSWER:
	case OPTION_SWITCH:
		fprintf(out, "%s\n", refuse_name(option->kind, *(const uint32_t *)value));
		break;
	case OPTION_MIB:
		fprintf(out, "%uMiB\n", *(const uint32_t *)value);
		break;
	case OPTION_MODE:
		fprintf(out, "%04o\n", *(const uint32_t *)value);
		break;
	case OPTION_GROUP:
	case OPTION_USERS:
		fprintf(out, "%s\n", ((const struct ids *)value)->text);
		break;
	}
}

void config_print(const struct config *config, FILE *out)
{
	const char *section = "";

	for (size_t i = 0; i < NR_OPTIONS; i++) {
		if (strcmp(section, options[i].section))
			fprintf(out, "%s[%s]\n", i ? "\n" : "", options[i].section);
		section = options[i].section;
		print_option(&options[i], (const char *)config + options[i].offset, out);
	}
}

void config_defaults(struct config *config)
{
	char why[128];

	for (size_t i = 0; i < NR_OPTIONS; i++)
		set_option(config, &options[i], options[i].text_default, why, sizeof(why));
}

_Static_assert(NR_OPTIONS <= CONFIG_OPTIONS_MAX, "too small");

int config_option(const char *section, const char *key)
{
	for (size_t i = 0; i < NR_OPTIONS; i++)
		if (!strcmp(options[i].section, section) && !strcmp(options[i].key, key))
			return (int)i;
	return -ENOENT;
}

bool config_has_section(const char *name, size_t len)
{
	for (size_t i = 0; i < NR_OPTIONS; i++)
		if (strlen(options[i].section) == len && !memcmp(options[i].section, name, len))
			return true;
	return false;
}

int config_set(struct config *config, const char *section, const char *key, const char *value,
	       char *why, int size)
{
	int option = config_option(section, key);

	if (option >= 0)
		return set_option(config, &options[option], value, why, size);
	snprintf(why, (size_t)size, "there is no such option");
	return option;
}
