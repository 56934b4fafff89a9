// SPDX-License-Identifier: MIT
/*
 * ring_files - see ring_files.h.
 */
#include "ctl/ring_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct ring_files {
	const char *name;
	const struct report *report;
	uint64_t made;
	uint32_t keep;
	char *last;   /* the name of the last one */
	char **names; /* of the last @keep ones, by their number; NULL when all are kept */
};

struct ring_files *ring_files_new(const char *name, uint32_t keep, const struct report *report)
{
	struct ring_files *ring = calloc(1, sizeof(*ring));

	if (!ring)
		return NULL;
	*ring = (struct ring_files){ .name = name, .report = report, .keep = keep };
	if (!keep)
		return ring;
	ring->names = calloc(keep, sizeof(*ring->names));
	if (ring->names)
		return ring;
	free(ring);
	return NULL;
}

void ring_files_free(struct ring_files *ring)
{
	if (!ring)
		return;
	for (uint32_t i = 0; i < ring->keep; i++)
		free(ring->names[i]);
	free(ring->names);
	free(ring->last);
	free(ring);
}

const char *ring_files_name(const struct ring_files *ring)
{
	return ring->last ? ring->last : ring->name;
}

/* How much of a name is before its ending. */
static int stem_of(const char *name)
{
	const char *slash = strrchr(name, '/'), *begin = slash ? slash + 1 : name;
	const char *dot = strrchr(begin, '.');

	return (int)(dot && dot > begin ? (size_t)(dot - name) : strlen(name));
}

/* The name of the next one, from malloc(); NULL when memory ran out. */
static char *next_name(const struct ring_files *ring)
{
	int stem = stem_of(ring->name);
	time_t now = time(NULL);
	char stamp[32], *name;
	struct tm tm;

	if (!localtime_r(&now, &tm) || !strftime(stamp, sizeof(stamp), "%Y%m%d%H%M%S", &tm))
		strcpy(stamp, "0");
	if (asprintf(&name, "%.*s_%05" PRIu64 "_%s%s", stem, ring->name, ring->made + 1, stamp,
		     ring->name + stem) < 0)
		return NULL;
	return name;
}

/* The one whose place the last one takes. */
static void keep_last(struct ring_files *ring, char *copy)
{
	char **place = &ring->names[(ring->made - 1) % ring->keep];

	if (*place && unlink(*place) && errno != ENOENT)
		report_warn(ring->report, "cannot remove %s: %s", *place, strerror(errno));
	free(*place);
	*place = copy;
}

int ring_files_next(struct ring_files *ring)
{
	char *name = next_name(ring), *copy = NULL;
	int fd;

	if (name && ring->keep)
		copy = strdup(name);
	if (!name || (ring->keep && !copy)) {
		free(name);
		return -ENOMEM;
	}
	free(ring->last);
	ring->last = name;
	/* Secrets such as VNC passwords pass. */
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		fd = -errno;
		free(copy);
		return fd;
	}
	ring->made++;
	if (ring->keep)
		keep_last(ring, copy);
	return fd;
}
