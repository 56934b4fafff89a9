/* SPDX-License-Identifier: MIT */
/*
 * graft - see graft.h. Both ways are passes over the stream, inside one loop of tries.
 */
#include "migration/graft.h"

#include "migration/edits.h"
#include "migration/nodes.h"
#include "migration/pathset.h"
#include "migration/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 1024			/* nodes asked for at a time */
#define OLD_MAX ((uint64_t)16 << 30)	/* octets; in a file, like the stream */
#define WHY_MAX (REPORT_OCTETS_MAX * 2) /* of a reason */

struct graft {
	struct intake *intake;
	const struct report *report;
	bool applied;

	/* What was there before the last try */
	FILE *old_file;
	struct stream_writer *old;
	struct stream_reader *old_reader; /* once it is needed */

	/* This try */
	struct edits edits;
	char why[WHY_MAX]; /* it failed, if a node is to blame */
};

/* --- transactions */

static int fail_read(struct graft *graft, int err, const struct node *node)
{
	char path[REPORT_OCTETS_MAX];

	report_octets(path, node->path, node->path_len);
	if (err == -ENOENT)
		snprintf(graft->why, sizeof(graft->why),
			 "%s is neither in the stream nor in the store", path);
	else
		snprintf(graft->why, sizeof(graft->why), "cannot read %s: %s", path,
			 report_reason(err));
	return err;
}

/* An edit of @node, if that is not NULL, has failed. */
static int fail_edit(struct graft *graft, int err, const struct record_node *node)
{
	char path[REPORT_OCTETS_MAX];

	if (node)
		snprintf(graft->why, sizeof(graft->why), "cannot %s %s: %s", graft->edits.verb,
			 report_octets(path, node->path, node->path_len), report_reason(err));
	return err;
}

/* Edits of the stream's nodes are done with @r: if one has failed look up again which. */
static int end_edits(struct graft *graft, int r)
{
	struct record rec;
	bool found = false;

	if (!r)
		r = edits_finish(&graft->edits);
	if (!r || !graft->edits.verb || intake_rewind(graft->intake))
		return r;
	while (!found && intake_next(graft->intake, RECORD_NODE, NULL, &rec) > 0)
		found = intake_number(graft->intake) == graft->edits.number;
	return fail_edit(graft, r, found ? &rec.node : NULL);
}

/*
 * Do @once, which leaves a transaction open, until that can be committed. @done: gets whether it is
 * committed, or may be, as nobody has answered.
 */
static int transact(struct graft *graft, struct wire *wire,
		    int (*once)(struct graft *graft, struct wire *wire), bool *done)
{
	int r = -EAGAIN;

	*done = false;
	graft->why[0] = '\0';
	for (int i = 0; r == -EAGAIN && i < GRAFT_TRIES; i++) {
		r = once(graft, wire);
		if (r)
			break;
		r = edits_commit(&graft->edits);
		*done = !r || !wire_answered(r);
	}
	if (r)
		wire_forget(wire);
	return r;
}

/* --- what is there */

static void old_free(struct graft *graft)
{
	stream_reader_free(graft->old_reader);
	stream_writer_free(graft->old);
	if (graft->old_file)
		fclose(graft->old_file);
	graft->old_reader = NULL;
	graft->old = NULL;
	graft->old_file = NULL;
}

static int old_new(struct graft *graft)
{
	old_free(graft);
	graft->old_file = tmpfile();
	if (!graft->old_file)
		return -errno;
	return stream_writer_new(&graft->old, graft->old_file);
}

static int old_open(struct graft *graft)
{
	if (graft->old_reader)
		return 0;
	if (lseek(fileno(graft->old_file), 0, SEEK_SET) < 0)
		return -errno;
	return stream_reader_open(&graft->old_reader, fileno(graft->old_file), OLD_MAX, NULL);
}

static int on_old(void *arg, struct node *node)
{
	struct record rec = { .kind = RECORD_NODE,
			      .node = { node->path, node->path_len, node->perms, node->nr_perms,
					node->value, node->value_len } };
	struct graft *graft = arg;
	int r = node->err;

	if (r == -ENOENT)
		return 0;
	if (!r)
		r = stream_writer_append(graft->old, &rec, NULL);
	return r ? fail_read(graft, r, node) : 0;
}

static int on_parent(void *arg, struct node *node)
{
	return node->err ? fail_read(arg, node->err, node) : 0;
}

/* Ask for a node's parent, unless that is in the stream as well. */
static int want_parent(struct graft *graft, struct nodes *nodes, const struct record_node *in,
		       const struct record_node *here)
{
	size_t above = pathset_parent(in->path, in->path_len);
	int r;

	if (above == in->path_len)
		return 0;
	r = intake_has_node(graft->intake, in->path, above);
	if (r)
		return r < 0 ? r : 0;
	return nodes_want(nodes, here->path, pathset_parent(here->path, here->path_len), 0);
}

/* Have @nodes read each node of the stream, or each one's parent. */
static int read_pass(struct graft *graft, struct nodes *nodes, bool parents)
{
	struct record in, here;
	int r = intake_rewind(graft->intake);

	while (!r && (r = intake_next(graft->intake, RECORD_NODE, &in, &here)) > 0) {
		if (parents)
			r = want_parent(graft, nodes, &in.node, &here.node);
		else
			r = nodes_want(nodes, here.node.path, here.node.path_len, 0);
		if (!r)
			r = nodes_run(nodes, BACKLOG);
	}
	return r ? r : nodes_run(nodes, 0);
}

static int note_old(struct graft *graft, struct wire *wire)
{
	struct nodes *nodes = NULL;
	int r = old_new(graft);

	if (!r)
		r = nodes_new(&nodes, wire, 0, false, on_old, graft);
	if (!r)
		r = read_pass(graft, nodes, false);
	nodes_free(nodes);
	return r ? r : stream_writer_finish(graft->old);
}

static int check_parents(struct graft *graft)
{
	struct nodes *nodes = NULL;
	int r = nodes_new(&nodes, graft->edits.wire, graft->edits.tx_id, false, on_parent, graft);

	if (!r)
		r = read_pass(graft, nodes, true);
	nodes_free(nodes);
	return r;
}

/* --- there and back */

static int write_new(struct graft *graft)
{
	struct record rec;
	int r = intake_rewind(graft->intake);

	while (!r && (r = intake_next(graft->intake, RECORD_NODE, NULL, &rec)) > 0)
		r = edits_write(&graft->edits, &rec.node, intake_number(graft->intake));
	return end_edits(graft, r);
}

static int remove_new(struct graft *graft)
{
	struct record rec;
	int r = intake_rewind(graft->intake);

	while (!r && (r = intake_next(graft->intake, RECORD_NODE, NULL, &rec)) > 0) {
		r = stream_reader_has_node(graft->old_reader, rec.node.path, rec.node.path_len);
		if (!r)
			r = edits_remove(&graft->edits, rec.node.path, rec.node.path_len,
					 intake_number(graft->intake));
		else if (r > 0)
			r = 0;
	}
	return end_edits(graft, r);
}

/* One by one, as there are few: what a toolstack makes for a new domain. */
static int write_old(struct graft *graft)
{
	struct record rec;
	int r = stream_reader_rewind(graft->old_reader);

	while (!r && (r = stream_reader_next(graft->old_reader, &rec)) > 0) {
		r = edits_write(&graft->edits, &rec.node, 0);
		if (!r)
			r = edits_finish(&graft->edits);
		if (r && graft->edits.verb)
			fail_edit(graft, r, &rec.node);
	}
	return r;
}

static int apply_once(struct graft *graft, struct wire *wire)
{
	int r = note_old(graft, wire);

	if (!r)
		r = edits_begin(&graft->edits, wire);
	if (!r)
		r = check_parents(graft);
	return r ? r : write_new(graft);
}

static int revert_once(struct graft *graft, struct wire *wire)
{
	int r = edits_begin(&graft->edits, wire);

	if (!r)
		r = remove_new(graft);
	return r ? r : write_old(graft);
}

static int report_result(struct graft *graft, int r, const char *doing)
{
	if (!r)
		return 0;
	if (graft->why[0])
		return report_fail(graft->report, r, "%s", graft->why);
	if (r == -EAGAIN)
		return report_fail(graft->report, r,
				   "cannot %s the nodes: others changed them in each of %d tries; "
				   "try again",
				   doing, GRAFT_TRIES);
	return report_fail(graft->report, r, "cannot %s the nodes: %s", doing, report_reason(r));
}

bool graft_is_applied(const struct graft *graft)
{
	return graft->applied;
}

int graft_apply(struct graft *graft, struct wire *wire)
{
	int r = transact(graft, wire, apply_once, &graft->applied);

	return report_result(graft, r, "write");
}

int graft_revert(struct graft *graft, struct wire *wire)
{
	bool reverted;
	int r = old_open(graft);

	if (!r)
		r = transact(graft, wire, revert_once, &reverted);
	if (!r)
		graft->applied = false;
	return report_result(graft, r, "take back");
}

void graft_free(struct graft *graft)
{
	if (!graft)
		return;
	old_free(graft);
	free(graft);
}

int graft_new(struct graft **out, struct intake *intake, const struct report *report)
{
	struct graft *graft = calloc(1, sizeof(*graft));

	if (!graft)
		return -ENOMEM;
	graft->intake = intake;
	graft->report = report;
	*out = graft;
	return 0;
}
