// SPDX-License-Identifier: MIT
/*
 * native - see native.h.
 */
#include "ctl/native.h"

#include "link/link.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BRIDGE	"/libxsproxy-bridge.so"
#define MEMORY	"/memfd:xsproxy-"
#define DIR_ENV "XSPROXY_DIR="
#define STARTER "/starter" /* live-update, too, is a name of it */

const char *native_pid_file(void)
{
	return access("/etc/default/xen", F_OK) ? "/run/xen/xenstored.pid" : "/run/xenstore.pid";
}

/* What is mapped counts: the loader may have been told of it and have left it out. */
static bool has_mapped(int64_t pid, const char *name)
{
	char path[64], *line = NULL;
	size_t size = 0;
	bool has = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%" PRId64 "/maps", pid);
	file = fopen(path, "re");
	while (file && !has && getline(&line, &size, file) >= 0)
		has = strstr(line, name) != NULL;
	free(line);
	if (file)
		fclose(file);
	return has;
}

/* It has the rings from the first domain on until it ends. */
bool native_is_awake(const struct native *native)
{
	return has_mapped(native->pid, MEMORY);
}

bool native_has_dir(const struct native *native, const char *run_dir)
{
	char path[64], *word = NULL;
	bool has = !strcmp(run_dir, LINK_RUN_DIR);
	size_t size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%" PRId64 "/environ", native->pid);
	file = fopen(path, "re");
	while (file && getdelim(&word, &size, '\0', file) >= 0)
		if (!strncmp(word, DIR_ENV, strlen(DIR_ENV)))
			has = !strcmp(word + strlen(DIR_ENV), run_dir);
	free(word);
	if (file)
		fclose(file);
	return has;
}

static bool ends_in(const char *path, const char *end)
{
	size_t len = strlen(path), n = strlen(end);

	return len >= n && !strcmp(path + len - n, end);
}

enum native_state native_look(struct native *native)
{
	if (!program_of(&native->program, native->pid))
		return has_mapped(native->pid, BRIDGE) ? NATIVE_BRIDGED : NATIVE_RUNS;
	return ends_in(native->program.path, STARTER) ? NATIVE_CHANGES : NATIVE_NONE;
}

enum native_state native_find(struct native *native)
{
	FILE *file = fopen(native_pid_file(), "re");
	char text[32];

	native->pid = 0;
	if (file && fgets(text, sizeof(text), file))
		native->pid = strtol(text, NULL, 10);
	if (file)
		fclose(file);
	return native->pid > 0 ? native_look(native) : NATIVE_NONE;
}
