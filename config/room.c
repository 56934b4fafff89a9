// SPDX-License-Identifier: MIT
#include "config/room.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

/*
 * Of what the daemon has in memory. oxenstored writes two digits for each octet; and the file, a
 * copy, the new state and the new daemon are there at once, while the old daemon's is given back.
 */
#define DISK_TIMES   2
#define MEMORY_TIMES 4

#define KIB	     1024

static const char NO_MEMORY[] =
	"less memory is available than four times what xenstored has, which this takes; free some";
static const char NO_DISK[] = "/run/xenstored has no room for twice what xenstored has in memory, "
			      "which this takes; free some, or remount it larger";

/* Return: what a line "NAME: N kB" of it says, in octets; 0 where there is none. */
static uint64_t read_line(const char *path, const char *name)
{
	size_t len = strlen(name), size = 0;
	FILE *file = fopen(path, "re");
	uint64_t octets = 0;
	char *line = NULL;

	while (file && !octets && getline(&line, &size, file) >= 0)
		if (!strncmp(line, name, len))
			octets = strtoull(line + len, NULL, 10) * KIB;
	free(line);
	if (file)
		fclose(file);
	return octets;
}

const char *room_hindrance(const struct room *room)
{
	uint64_t has = read_line(room->status, "RssAnon:");
	uint64_t available = read_line(room->memory, "MemAvailable:");
	struct statvfs disk;

	if (available && available / MEMORY_TIMES < has)
		return NO_MEMORY;
	if (!statvfs(room->written, &disk) &&
	    (uint64_t)disk.f_bavail * disk.f_frsize / DISK_TIMES < has)
		return NO_DISK;
	return NULL;
}

const char *room_of(int64_t pid)
{
	char status[64];
	const struct room room = { .status = status,
				   .memory = "/proc/meminfo",
				   .written = "/run/xenstored" };

	snprintf(status, sizeof(status), "/proc/%" PRId64 "/status", pid);
	return room_hindrance(&room);
}
