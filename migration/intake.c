// SPDX-License-Identifier: MIT
/*
 * intake - see intake.h.
 */
#include "migration/intake.h"

#include "migration/format/libxl_stream.h"
#include "migration/perms.h"
#include "migration/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#define WHY_MAX	  128
#define WATCH_MAX 4064 /* octets; docs/protocol.md, "GET_DOMAIN_WATCHES" */

struct intake {
	const char *name; /* of the stream */
	uint16_t domid;
	const struct report *report;
	struct libxl_reader *reader;
	struct confine *confine;
	uint64_t nr[RECORD_TRANSACTION + 1];
	uint64_t max_nodes;
	bool drop_foreign;
	uint64_t own, others; /* nodes since the start: the domain's, and not */
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
	r = libxl_reader_open(&intake->reader, fd, options->max_stream, fault);
	if (options->file)
		close(fd);
	return r;
}

static int make_confine(struct intake *intake, const struct intake_options *options)
{
	int r = confine_new(&intake->confine, options->domid);

	if (!r && options->keep_perms)
		confine_keep_perms(intake->confine);
	if (!r && options->map_values)
		confine_map_values(intake->confine);
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

/* --- one record */

static void leave_out(struct omissions *omissions, const struct record *rec, const char *what,
		      const char *why)
{
	struct omission omission = { .what = what, .why = why };

	if (!omissions)
		return;
	if (rec->kind == RECORD_NODE) {
		omission.path = rec->node.path;
		omission.path_len = rec->node.path_len;
	} else {
		omission.path = rec->watch.path;
		omission.path_len = rec->watch.path_len;
		omission.detail = rec->watch.token;
		omission.detail_len = rec->watch.token_len;
	}
	omissions_add(omissions, &omission);
}

/* What of a node fits no request is left out. The node stays, for what is below it. */
static void fit_node(struct record *rec, struct omissions *omissions)
{
	struct record_node *node = &rec->node;
	char perms[PERMS_PAYLOAD_MAX];
	size_t nr_perms = node->nr_perms, len;

	if (node->path_len + 1 + node->value_len > XENSTORE_PAYLOAD_MAX) {
		leave_out(omissions, rec, "value", "path and value fit no request");
		node->value_len = 0;
	}
	while (node->nr_perms > 1 && perms_format(node, perms, &len))
		node->nr_perms--;
	if (node->nr_perms < nr_perms)
		leave_out(omissions, rec, "permissions", "not all of them fit a request");
}

/* @in: as it is in the stream, with its owner's number there */
static void leave_out_foreign(struct omissions *omissions, const struct record *in)
{
	char why[WHY_MAX];

	snprintf(why, sizeof(why), "domain %u, which owns it, is not mapped (--map-domid)",
		 record_perm_domid(&in->node.perms[0]));
	leave_out(omissions, in, "node", why);
}

/* Whether there may be one more node of its owner's. */
static bool count_node(struct intake *intake, const struct record_node *node)
{
	bool own = record_perm_domid(&node->perms[0]) == intake->domid;
	uint64_t *nr = own ? &intake->own : &intake->others;

	return (*nr)++ < intake->max_nodes;
}

static bool watch_fits(const struct intake *intake, const struct record_watch *watch)
{
	size_t most = remote_watches_max(intake->domid);

	return watch->path_len + 1 + watch->token_len + 1 <= (most < WATCH_MAX ? most : WATCH_MAX);
}

/*
 * A record as it will be imported. @omissions, @fault: may be NULL. Return: 1; 0 if it is left out;
 * or as confine_record().
 */
static int take(struct intake *intake, const struct record *in, struct record *here,
		struct omissions *omissions, struct record_fault *fault)
{
	static const char *const what[] = { [RECORD_NODE] = "node", [RECORD_WATCH] = "watch" };
	bool foreign = intake->drop_foreign && in->kind == RECORD_NODE &&
		       confine_is_foreign(intake->confine, &in->node);
	int r = confine_record(intake->confine, in, here, foreign ? NULL : omissions, fault);

	if (r == -ENAMETOOLONG) {
		leave_out(omissions, in, what[in->kind], "its path is too long once it is mapped");
		return 0;
	}
	if (r)
		return r;
	if (foreign) {
		leave_out_foreign(omissions, in);
		return 0;
	}
	if (here->kind == RECORD_NODE) {
		if (!count_node(intake, &here->node)) {
			leave_out(omissions, here, "node", "there are too many (--max-nodes)");
			return 0;
		}
		fit_node(here, omissions);
	}
	if (here->kind == RECORD_WATCH && !watch_fits(intake, &here->watch)) {
		leave_out(omissions, here, "watch", "path and token fit no request");
		return 0;
	}
	return 1;
}

/* --- all of them */

/* Every record as it will be imported. */
static int check_records(struct intake *intake, struct omissions *omissions,
			 struct record_fault *fault)
{
	struct record in, here;
	int r = intake_rewind(intake);

	while (!r && (r = libxl_reader_next(intake->reader, &in)) > 0) {
		r = take(intake, &in, &here, omissions, fault);
		if (r > 0) {
			intake->nr[in.kind]++;
			r = 0;
		}
	}
	if (r == -EBADMSG)
		libxl_reader_locate(intake->reader, fault);
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
	intake->own = 0;
	intake->others = 0;
	return libxl_reader_rewind(intake->reader);
}

int intake_next(struct intake *intake, enum record_kind kind, struct record *rec)
{
	struct record in;
	int r;

	while ((r = libxl_reader_next(intake->reader, &in)) > 0) {
		if (in.kind != kind)
			continue;
		r = take(intake, &in, rec, NULL, NULL);
		if (r)
			break;
	}
	return r;
}

void intake_drop_any(struct intake *intake, struct omissions *omissions)
{
	confine_drop_any(intake->confine, omissions);
}

const struct confine *intake_confine(const struct intake *intake)
{
	return intake->confine;
}

void intake_free(struct intake *intake)
{
	if (!intake)
		return;
	libxl_reader_free(intake->reader);
	confine_free(intake->confine);
	free(intake);
}

static void intake_freep(struct intake **intake)
{
	intake_free(*intake);
}

int intake_open(struct intake **out, const struct intake_options *options,
		struct omissions *omissions, const struct report *report)
{
	__attribute__((cleanup(intake_freep))) struct intake *intake = calloc(1, sizeof(*intake));
	struct record_fault fault = { 0 };
	int r;

	if (!intake)
		return report_fail(report, -ENOMEM, "%s", report_reason(-ENOMEM));
	intake->name = options->file ? options->file : "standard input";
	intake->domid = options->domid;
	intake->report = report;
	intake->max_nodes = options->max_nodes;
	intake->drop_foreign = options->drop_foreign;
	r = make_confine(intake, options);
	if (r)
		return r;
	r = read_stream(intake, options, &fault);
	if (r == -EBADMSG)
		return refuse(intake, &fault, "");
	if (!r)
		r = check_records(intake, omissions, &fault);
	if (r == -EBADMSG)
		return refuse(intake, &fault, " (see --map-domid and --root)");
	if (r)
		return report_fail(report, r, "cannot read %s: %s", intake->name,
				   report_local_reason(r));
	*out = intake;
	intake = NULL;
	return 0;
}
