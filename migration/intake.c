/* SPDX-License-Identifier: MIT */
/*
 * intake - see intake.h.
 */
#include "migration/intake.h"

#include "migration/edits.h"
#include "migration/remote.h"
#include "migration/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#define WATCH_MAX 4064 /* octets of a watch that xsproxyd can list (protocol.md) */

struct intake {
	const char *name; /* of the stream */
	uint16_t domid;
	const struct report *report;
	struct stream_reader *reader;
	struct confine *confine;
	uint64_t nr[RECORD_TRANSACTION + 1];
};

static int read_stream(struct intake *intake, const struct intake_options *options,
		       struct record_fault *fault)
{
	int fd = STDIN_FILENO;
	int r;

	if (options->file)
		fd = open(options->file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = stream_reader_open(&intake->reader, fd, options->max_stream, fault);
	if (options->file)
		close(fd);
	return r;
}

static int make_confine(struct intake *intake, const struct intake_options *options)
{
	int r = confine_new(&intake->confine, options->domid);

	for (size_t i = 0; !r && i < options->nr_maps; i++)
		r = confine_add_map(intake->confine, &options->maps[i]);
	for (size_t i = 0; !r && i < options->nr_roots; i++)
		r = confine_add_root(intake->confine, options->roots[i]);
	if (r == -EEXIST)
		return report_fail(intake->report, r,
				   "two --map-domid name the same domain; each has one number "
				   "there and one here");
	return r ? report_fail(intake->report, r, "%s", report_reason(r)) : 0;
}

/* What upstream or xsproxyd would refuse for its size alone. Returns 0 or -EBADMSG. */
static int check_size(const struct intake *intake, const struct record *rec,
		      struct record_fault *fault)
{
	char perms[EDITS_PAYLOAD_MAX];
	size_t len, most = remote_watches_max(intake->domid);

	switch (rec->kind) {
	case RECORD_NODE:
		len = rec->node.path_len + 1 + rec->node.value_len;
		if (len > XENSTORE_PAYLOAD_MAX)
			return record_refuse(fault, 0,
					     "path and value have %zu octets, %d is the most", len,
					     XENSTORE_PAYLOAD_MAX);
		if (edits_format_perms(&rec->node, perms, &len))
			return record_refuse(fault, 0, "path and permissions do not fit %d octets",
					     XENSTORE_PAYLOAD_MAX);
		break;
	case RECORD_WATCH:
		len = rec->watch.path_len + 1 + rec->watch.token_len + 1;
		most = most < WATCH_MAX ? most : WATCH_MAX;
		if (len > most)
			return record_refuse(fault, 0,
					     "path and token have %zu octets, %zu is the most", len,
					     most);
		break;
	case RECORD_TRANSACTION:
		break;
	}
	return 0;
}

/* Every record as it will be imported. */
static int check_records(struct intake *intake, struct record_fault *fault)
{
	struct record in, here;
	int r = intake_rewind(intake);

	while (!r && (r = stream_reader_next(intake->reader, &in)) > 0) {
		intake->nr[in.kind]++;
		r = confine_record(intake->confine, &in, &here, fault);
		if (!r)
			r = check_size(intake, &here, fault);
	}
	if (r == -EBADMSG)
		stream_reader_locate(intake->reader, fault);
	return r;
}

static int refuse(const struct intake *intake, const struct record_fault *fault, const char *advice)
{
	return report_fail(intake->report, -EBADMSG,
			   "%s is refused, nothing was changed: record %" PRIu64 ", octet %" PRIu64
			   ": %s%s",
			   intake->name, fault->record, fault->offset, fault->reason, advice);
}

uint64_t intake_count(const struct intake *intake, enum record_kind kind)
{
	return intake->nr[kind];
}

int intake_rewind(struct intake *intake)
{
	return stream_reader_rewind(intake->reader);
}

int intake_next(struct intake *intake, enum record_kind kind, struct record *in,
		struct record *here)
{
	struct record rec;
	int r;

	do
		r = stream_reader_next(intake->reader, &rec);
	while (r > 0 && rec.kind != kind);
	if (r <= 0)
		return r;
	if (in)
		*in = rec;
	r = confine_record(intake->confine, &rec, here, NULL);
	return r ? r : 1;
}

uint64_t intake_number(const struct intake *intake)
{
	struct record_fault at = { 0 };

	stream_reader_locate(intake->reader, &at);
	return at.record;
}

int intake_has_node(struct intake *intake, const char *path, size_t len)
{
	return stream_reader_has_node(intake->reader, path, len);
}

void intake_free(struct intake *intake)
{
	if (!intake)
		return;
	stream_reader_free(intake->reader);
	confine_free(intake->confine);
	free(intake);
}

static void intake_freep(struct intake **intake)
{
	intake_free(*intake);
}

int intake_open(struct intake **out, const struct intake_options *options,
		const struct report *report)
{
	__attribute__((cleanup(intake_freep))) struct intake *intake = calloc(1, sizeof(*intake));
	struct record_fault fault = { 0 };
	int r;

	if (!intake)
		return report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
	intake->name = options->file ? options->file : "standard input";
	intake->domid = options->domid;
	intake->report = report;
	r = make_confine(intake, options);
	if (r)
		return r;
	r = read_stream(intake, options, &fault);
	if (r == -EBADMSG)
		return refuse(intake, &fault, "");
	if (!r)
		r = check_records(intake, &fault);
	if (r == -EBADMSG)
		return refuse(intake, &fault, " (see --map-domid and --root)");
	if (r)
		return report_fail(report, r, "cannot read %s: %s", intake->name,
				   report_local_reason(r));
	*out = intake;
	intake = NULL;
	return 0;
}
