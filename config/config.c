// SPDX-License-Identifier: MIT
#include "config/config.h"

#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

enum option_kind {
	OPTION_PATH,  /* absolute */
	OPTION_MS,    /* a number with a unit, ms or s */
	OPTION_LEVEL, /* error, warning, notice, info, debug */
};

struct option {
	const char *section;
	const char *key;
	enum option_kind kind;
	size_t offset;
	const char *text_default;
	uint32_t min, max; /* numbers */
};

#define AT(field) offsetof(struct config, field)

static const struct option options[] = {
	{ "xsproxy", "run-dir", OPTION_PATH, AT(run_dir), "/run/xsproxy", 0, 0 },
	{ "xsproxy", "socket", OPTION_PATH, AT(socket), "/run/xenstored/socket", 0, 0 },
	{ "quiesce", "timeout", OPTION_MS, AT(quiesce_timeout_ms), "5s", 1, 600000 },
	{ "log", "level", OPTION_LEVEL, AT(log_level), "info", 0, 0 },
};

#define NR_OPTIONS (sizeof(options) / sizeof(options[0]))

static const struct {
	const char *name;
	uint32_t level;
} levels[] = {
	{ "error", LOG_ERR },	{ "warning", LOG_WARNING }, { "notice", LOG_NOTICE },
	{ "info", LOG_INFO },	{ "debug", LOG_DEBUG },
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
	}
	return -EINVAL;
}

void config_defaults(struct config *config)
{
	char why[128];

	for (size_t i = 0; i < NR_OPTIONS; i++)
		set_option(config, &options[i], options[i].text_default, why, sizeof(why));
}

int config_set(struct config *config, const char *section, const char *key, const char *value,
	       char *why, int size)
{
	for (size_t i = 0; i < NR_OPTIONS; i++)
		if (!strcmp(options[i].section, section) && !strcmp(options[i].key, key))
			return set_option(config, &options[i], value, why, size);
	snprintf(why, (size_t)size, "there is no such option");
	return -ENOENT;
}

struct reading {
	struct config *config;
	char why[320]; /* what is wrong with the first bad line */
	bool failed;
};

static int on_option(void *user, const char *section, const char *key, const char *value)
{
	struct reading *reading = user;
	char why[160];

	if (reading->failed)
		return 0;
	if (!config_set(reading->config, section, key, value, why, sizeof(why)))
		return 1;
	snprintf(reading->why, sizeof(reading->why), "[%s] %s = %s: %s", section, key, value, why);
	reading->failed = true;
	return 0;
}

int config_read(struct config *config, const char *path, char *why, int size)
{
	struct reading reading = { .config = config };
	int line, err;

	errno = 0;
	line = ini_parse(path, on_option, &reading); /* the first bad line */
	if (line > 0) {
		snprintf(why, (size_t)size, "%s:%d: %s", path, line,
			 reading.failed ? reading.why : "neither a [section] nor a key = value");
		return -EINVAL;
	}
	if (line < 0) {
		err = errno ? -errno : -EIO;
		snprintf(why, (size_t)size, "%s: %s", path, strerror(-err));
		return err;
	}
	return 0;
}
