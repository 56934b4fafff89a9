// SPDX-License-Identifier: MIT
/*
 * omissions - see omissions.h.
 */
#include "migration/omissions.h"

#include "text/buffer.h"
#include "text/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct omissions {
	const struct report *report;
	const char *name; /* of the file; NULL: none */
	FILE *file;
	struct buffer scratch;
	int error; /* the first one */
	uint64_t nr[OMISSION_REWRITTEN + 1];
	uint64_t all;
	uint64_t unsaid;    /* on the report */
	unsigned int lines; /* there */
};

static const char *const kinds[] = {
	[OMISSION_LEFT_OUT] = "left out",
	[OMISSION_KEPT] = "left as it is",
	[OMISSION_REWRITTEN] = "rewritten",
};

static const char *const keys[] = {
	[OMISSION_LEFT_OUT] = "left_out",
	[OMISSION_KEPT] = "left_as_is",
	[OMISSION_REWRITTEN] = "rewritten",
};

static void say(struct omissions *omissions, const struct omission *omission)
{
	char path[REPORT_OCTETS_MAX] = "", detail[REPORT_OCTETS_MAX] = "", now[REPORT_OCTETS_MAX];

	if (omissions->all > omissions->lines) {
		omissions->unsaid++;
		return;
	}
	if (omission->path)
		report_octets(path, omission->path, omission->path_len);
	if (omission->detail)
		report_octets(detail, omission->detail, omission->detail_len);
	if (omission->now)
		report_octets(now, omission->now, omission->now_len);
	report_fail(omissions->report, 0, "%s: %s%s%s%s%s: %s%s", kinds[omission->kind], path,
		    omission->path ? ": " : "", omission->what, omission->detail ? " " : "", detail,
		    omission->now ? "now " : "", omission->now ? now : omission->why);
}

/* Nothing for NULL octets. Return: 0, or -1 when memory ran out. */
static int add_octets(struct omissions *omissions, json_t *object, const char *key,
		      const char *octets, size_t len)
{
	return octets ? json_object_set_new(object, key,
					    escape_json(&omissions->scratch, octets, len))
		      : 0;
}

static json_t *make_object(struct omissions *omissions, const struct omission *omission)
{
	json_t *object = json_pack("{s:s,s:s}", "what", omission->what, "why", omission->why);

	if (object &&
	    (add_octets(omissions, object, "path", omission->path, omission->path_len) ||
	     add_octets(omissions, object, "detail", omission->detail, omission->detail_len) ||
	     add_octets(omissions, object, "now", omission->now, omission->now_len))) {
		json_decref(object);
		return NULL;
	}
	return json_pack("{s:o}", keys[omission->kind], object); /* NULL for a NULL */
}

static int put(struct omissions *omissions, const struct omission *omission)
{
	json_t *line = make_object(omissions, omission);
	int r;

	if (!line)
		return -ENOMEM;
	errno = 0;
	r = json_dumpf(line, omissions->file, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(line);
	if (!r)
		r = fputc('\n', omissions->file) == EOF;
	if (!r)
		return 0;
	return errno ? -errno : -ENOMEM;
}

void omissions_add(struct omissions *omissions, const struct omission *omission)
{
	omissions->nr[omission->kind]++;
	omissions->all++;
	say(omissions, omission);
	if (omissions->file && !omissions->error)
		omissions->error = put(omissions, omission);
}

uint64_t omissions_count(const struct omissions *omissions, enum omission_kind kind)
{
	return omissions->nr[kind];
}

int omissions_finish(struct omissions *omissions)
{
	if (omissions->unsaid)
		report_warn(omissions->report, "%" PRIu64 " more are not listed here%s",
			    omissions->unsaid, omissions->name ? "" : "; see --report");
	if (omissions->file && !omissions->error && fflush(omissions->file))
		omissions->error = -errno;
	return omissions->error;
}

void omissions_set_lines(struct omissions *omissions, unsigned int lines)
{
	omissions->lines = lines;
}

void omissions_free(struct omissions *omissions)
{
	if (!omissions)
		return;
	if (omissions->file)
		fclose(omissions->file);
	free(omissions->scratch.data);
	free(omissions);
}

static int open_file(struct omissions *omissions)
{
	int fd = open(omissions->name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	omissions->file = fdopen(fd, "w");
	if (omissions->file)
		return 0;
	close(fd);
	return -ENOMEM;
}

int omissions_new(struct omissions **out, const struct report *report, const char *file)
{
	struct omissions *omissions = calloc(1, sizeof(*omissions));
	int r = 0;

	if (!omissions)
		return -ENOMEM;
	omissions->report = report;
	omissions->name = file;
	omissions->lines = OMISSIONS_LINES_MAX;
	if (file)
		r = open_file(omissions);
	if (r) {
		omissions_free(omissions);
		return r;
	}
	*out = omissions;
	return 0;
}
