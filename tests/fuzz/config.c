// SPDX-License-Identifier: MIT
/*
 * xsproxy.conf: a file is refused with its line and the reason, or what it says is within its
 * bounds, and what is printed of it reads as the same.
 */
#include <errno.h>
#include <syslog.h>

#include "config/conffile.h"
#include "tests/fuzz/fuzz.h"

/* The file: in memory, for a real one costs most of the time. */
static const char path[] = "/fuzz/xsproxy.conf";
static const void *file_text;
static size_t file_len;

FILE *__real_fopen(const char *name, const char *mode);
FILE *__wrap_fopen(const char *name, const char *mode);

FILE *__wrap_fopen(const char *name, const char *mode)
{
	if (name != path)
		return __real_fopen(name, mode);
	return fmemopen((void *)file_text, file_len, "r");
}

/* Lines are told in order, each once. */
static void on_wrong(void *arg, const char *what)
{
	unsigned long *last = arg, line;
	char *end;

	CHECK(strlen(what) < CONFFILE_WHAT_MAX);
	CHECK(!strncmp(what, path, strlen(path)) && what[strlen(path)] == ':');
	line = strtoul(what + strlen(path) + 1, &end, 10);
	CHECK(line > *last && line <= file_len + 1 && !strncmp(end, ": ", 2) && end[2]);
	*last = line;
}

static int read_text(struct config *config, const void *text, size_t len)
{
	unsigned long last = 0;
	int err;

	file_text = text;
	file_len = len;
	err = conffile_read(config, path, on_wrong, &last);
	CHECK(err == (last ? -EINVAL : 0));
	return err;
}

static void check(const struct config *config)
{
	CHECK(config->run_dir[0] == '/' && memchr(config->run_dir, 0, CONFIG_PATH_MAX));
	CHECK(config->socket[0] == '/' && memchr(config->socket, 0, CONFIG_PATH_MAX));
	CHECK(config->quiesce_timeout_ms >= 1 && config->quiesce_timeout_ms <= 600000);
	CHECK(config->log_level >= LOG_ERR && config->log_level <= LOG_DEBUG);
}

static void differs(void *arg, const char *section, const char *key, bool adopted)
{
	(void)arg;
	(void)adopted;
	fprintf(stderr, "[%s] %s differs\n", section, key);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config config, again;
	char *printed = NULL;
	size_t len = 0;
	FILE *out;
	int err;

	config_defaults(&config);
	err = read_text(&config, data, size);
	check(&config); /* also a file that is refused leaves nothing bad behind */
	if (err)
		return 0;
	out = open_memstream(&printed, &len);
	config_print(&config, out);
	fclose(out);
	config_defaults(&again);
	CHECK(!read_text(&again, printed, len));
	config_adopt(&config, &again, differs, NULL);
	free(printed);
	return 0;
}
