// SPDX-License-Identifier: MIT
/*
 * graft - see graft.h. Each way is a few passes over the plan.
 */
#include "migration/graft.h"

#include "migration/edits.h"
#include "migration/foreign.h"
#include "migration/nodes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WHY_MAX (REPORT_OCTETS_MAX * 2) /* of a reason */

struct graft {
	struct plan *plan;
	struct wire *wire;
	struct omissions *omissions;
	const struct report *report;
	struct edits edits;
	size_t differ;	   /* of the nodes that were read again */
	char why[WHY_MAX]; /* it failed, if a node is to blame */
};

/* A function of a node; a negative errno ends the pass. */
typedef int (*pass_fn)(struct graft *graft, struct plan_node *node);

static int pass(struct graft *graft, pass_fn fn)
{
	struct plan_node *node, *next;
	int r = 0;

	HASH_ITER(hh, graft->plan->nodes, node, next)
		if (!r && node->action != PLAN_LEAVE)
			r = fn(graft, node);
	return r;
}

/* --- what the daemon refuses */

static int blame(struct graft *graft, const struct plan_node *node, const char *verb, int err)
{
	char path[REPORT_OCTETS_MAX];

	snprintf(graft->why, sizeof(graft->why), "cannot %s %s: %s", verb,
		 report_octets(path, node->path, node->path_len), report_reason(err));
	return err;
}

/* The C daemon knows no owner that is not introduced; the domain itself is. */
static bool is_unknown_owner(const struct plan_node *node, enum edit edit, int err)
{
	return edit == EDIT_PERMS && err == -ENOENT && record_perm_domid(&node->want.perms[0]);
}

static int on_refused(void *arg, struct plan_node *node, enum edit edit, int err)
{
	static const char *const verbs[] = {
		[EDIT_VALUE] = "write",
		[EDIT_PERMS] = "set permissions of",
		[EDIT_REMOVE] = "remove",
	};
	struct graft *graft = arg;
	bool unknown = is_unknown_owner(node, edit, err);
	char why[FOREIGN_WHY_MAX];
	const struct omission omission = {
		.what = edit == EDIT_VALUE ? "value" : "permissions",
		.path = node->path,
		.path_len = node->path_len,
		.why = unknown ? foreign_why(why, record_perm_domid(&node->want.perms[0]))
			       : report_reason(err)
	};

	if (!graft->omissions || !(unknown || wire_is_limit(err)))
		return blame(graft, node, verbs[edit], err);
	if (!node->refused)
		omissions_add(graft->omissions, &omission);
	node->refused = true;
	return 0;
}

/* --- reading again */

static int read_again(struct graft *graft, nodes_fn fn)
{
	return plan_read(graft->plan, graft->wire, false, fn, graft);
}

static int failed_to_read(struct graft *graft, const struct plan_node *planned,
			  const struct node *node)
{
	return node->err && node->err != -ENOENT ? blame(graft, planned, "read", node->err) : 0;
}

static int on_written(void *arg, struct node *node)
{
	struct graft *graft = arg;
	struct plan_node *planned = plan_find(graft->plan, node->path, node->path_len);

	planned->ours = planned->refused || plan_state_is(&planned->want, node);
	graft->differ += !planned->ours;
	return failed_to_read(graft, planned, node);
}

/* --- there */

static bool same_value(const struct plan_state *a, const struct plan_state *b)
{
	return a->value_len == b->value_len &&
	       (!a->value_len || !memcmp(a->value, b->value, a->value_len));
}

static bool same_perms(const struct plan_state *a, const struct plan_state *b)
{
	return a->nr_perms == b->nr_perms &&
	       !memcmp(a->perms, b->perms, a->nr_perms * sizeof(*a->perms));
}

static int write_both(struct graft *graft, struct plan_node *node, const struct plan_state *to)
{
	int r = edits_write(&graft->edits, node, EDIT_VALUE, to);

	return r ? r : edits_write(&graft->edits, node, EDIT_PERMS, to);
}

static int write_new(struct graft *graft, struct plan_node *node)
{
	int r = 0;

	if (!node->had.exists)
		return write_both(graft, node, &node->want);
	if (!same_value(&node->want, &node->had))
		r = edits_write(&graft->edits, node, EDIT_VALUE, &node->want);
	if (!r && !same_perms(&node->want, &node->had))
		r = edits_write(&graft->edits, node, EDIT_PERMS, &node->want);
	return r;
}

static int write_again(struct graft *graft, struct plan_node *node)
{
	return node->ours ? 0 : write_both(graft, node, &node->want);
}

static int list_changed(struct graft *graft, struct plan_node *node)
{
	const struct omission omission = { .what = "node",
					   .path = node->path,
					   .path_len = node->path_len,
					   .why = "somebody else keeps writing it" };

	if (!node->ours)
		omissions_add(graft->omissions, &omission);
	return 0;
}

static int pass_and_read(struct graft *graft, pass_fn fn)
{
	int r = pass(graft, fn);

	if (!r)
		r = edits_finish(&graft->edits);
	graft->differ = 0;
	return r ? r : read_again(graft, on_written);
}

static int apply(struct graft *graft)
{
	int r = pass_and_read(graft, write_new);

	if (!r && graft->differ)
		r = pass_and_read(graft, write_again);
	if (!r && graft->differ)
		r = pass(graft, list_changed);
	return r;
}

/* --- and back */

/*
 * Whether what is there now is ours to take back. It may be written in part: with another one's
 * permissions, or, if the daemon made it for a child, with no value.
 */
static int on_remaining(void *arg, struct node *node)
{
	struct graft *graft = arg;
	struct plan_node *planned = plan_find(graft->plan, node->path, node->path_len);
	const struct plan_state now = { .value = node->value, .value_len = node->value_len };
	char path[REPORT_OCTETS_MAX];

	planned->ours = false;
	if (node->err)
		return failed_to_read(graft, planned, node);
	planned->ours = same_value(&now, &planned->want) ||
			(planned->had.exists ? same_value(&now, &planned->had) : !now.value_len);
	if (!planned->ours)
		report_warn(graft->report, "%s has been changed by somebody else; it stays",
			    report_octets(path, node->path, node->path_len));
	return 0;
}

static int write_old(struct graft *graft, struct plan_node *node)
{
	return node->ours && node->had.exists ? write_both(graft, node, &node->had) : 0;
}

/* Children before parents: the daemon would remove them, too, but be busy with all at once. */
static int remove_new(struct graft *graft)
{
	struct plan_node *node = graft->plan->nodes;
	int r = 0;

	if (!node)
		return 0;
	for (node = ELMT_FROM_HH(node->hh.tbl, node->hh.tbl->tail); !r && node;
	     node = node->hh.prev)
		if (node->action == PLAN_MAKE && node->ours)
			r = edits_remove(&graft->edits, node);
	return r;
}

static int revert(struct graft *graft)
{
	int r = read_again(graft, on_remaining);

	if (!r)
		r = remove_new(graft);
	if (!r)
		r = pass(graft, write_old);
	return r ? r : edits_finish(&graft->edits);
}

/* --- both */

static int run(struct graft *graft, int (*fn)(struct graft *graft), const char *verb)
{
	int r;

	graft->edits = (struct edits){ graft->wire, on_refused, graft };
	r = fn(graft);
	if (r)
		wire_forget(graft->wire); /* what is under way points here */
	if (!r)
		return 0;
	if (graft->why[0])
		return report_fail(graft->report, r, "%s", graft->why);
	return report_fail(graft->report, r, "cannot %s the nodes: %s", verb, report_reason(r));
}

int graft_apply(struct plan *plan, struct wire *wire, struct omissions *omissions,
		const struct report *report)
{
	struct graft graft = {
		.plan = plan, .wire = wire, .omissions = omissions, .report = report
	};

	return run(&graft, apply, "write");
}

int graft_revert(struct plan *plan, struct wire *wire, const struct report *report)
{
	struct graft graft = { .plan = plan, .wire = wire, .report = report };

	return run(&graft, revert, "take back");
}
