// SPDX-License-Identifier: MIT
/*
 * reading - see reading.h.
 */
#include "migration/reading.h"

#include "migration/nodes.h"
#include "text/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct reading {
	bool ox; /* that is what runs */
	struct omissions *omissions;
	reading_fn fn;
	void *arg;
	struct nodes *nodes;
	struct buffer perms;		/* of the current node */
	char failed[REPORT_OCTETS_MAX]; /* the path that could not be read, if any */
};

/* With the permissions that are none, as a reader of a state has them. */
static int join_perms(struct reading *reading, const struct node *node, struct record_node *rec)
{
	size_t nr = node->nr_perms;
	struct record_perm *perms;
	int r = buffer_reserve(&reading->perms, (nr + node->odd_len) * sizeof(*perms));

	if (r)
		return r;
	perms = reading->perms.data;
	memcpy(perms, node->perms, nr * sizeof(*perms));
	for (size_t at = 0; at < node->odd_len; at += strlen(node->odd + at) + 1, nr++) {
		perms[nr] = record_perm_make(node->odd[at], STATE_DOMID_NOBODY);
		perms[nr].pad = STATE_PERM_ODD;
	}
	rec->perms = perms;
	rec->nr_perms = nr;
	return 0;
}

static int give(struct reading *reading, const struct node *node)
{
	struct state_item item = { .kind = STATE_NODE,
				   .node.node = { .path = node->path,
						  .path_len = node->path_len,
						  .value = node->value,
						  .value_len = node->value_len } };
	int r = join_perms(reading, node, &item.node.node);

	/* As a reader of its state has them. */
	if (reading->ox && state_path_known(node->path + 1, node->path_len - 1)) {
		item.node.node.path++;
		item.node.node.path_len--;
	}
	return r ? r : reading->fn(reading->arg, &item, node->missing);
}

static void leave_out_children(struct reading *reading, const struct node *node)
{
	const struct omission omission = { .what = "a child",
					   .path = node->path,
					   .path_len = node->path_len,
					   .why = "its path fits no request" };

	omissions_add(reading->omissions, &omission);
}

static int on_node(void *arg, struct node *node)
{
	struct reading *reading = arg;
	int r = node->err;

	/* Gone by now; or the daemon has it, and serves no path of so many octets. */
	if (r == -ENOENT || (r == -EINVAL && reading->omissions))
		return 0;
	if (!r)
		r = give(reading, node);
	if (!r)
		r = nodes_want_children(reading->nodes, node, 0);
	if (r == -ENAMETOOLONG && reading->omissions) {
		leave_out_children(reading, node);
		r = 0;
	}
	if (r)
		report_octets(reading->failed, node->path, node->path_len);
	return r;
}

int reading_run(struct wire *wire, bool ox, struct omissions *omissions,
		const struct report *report, reading_fn fn, void *arg)
{
	struct reading reading = { .ox = ox, .omissions = omissions, .fn = fn, .arg = arg };
	int r = nodes_new(&reading.nodes, wire, true, on_node, &reading);

	if (!r)
		r = nodes_want(reading.nodes, "/", 1, 0);
	if (!r)
		r = nodes_run(reading.nodes, 0);
	nodes_free(reading.nodes);
	free(reading.perms.data);
	return r ? report_fail(report, r, "cannot read %s: %s",
			       reading.failed[0] ? reading.failed : "the nodes", report_reason(r))
		 : 0;
}
