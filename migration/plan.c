// SPDX-License-Identifier: MIT
/*
 * plan - see plan.h.
 */
#include "migration/plan.h"

#include "migration/pathset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BACKLOG 64 /* nodes asked for at a time */

/* --- states */

static void state_clear(struct plan_state *state)
{
	free(state->value);
	free(state->perms);
	*state = (struct plan_state){ 0 };
}

static int state_set(struct plan_state *state, const struct record_node *node)
{
	state_clear(state);
	state->value = malloc(node->value_len + 1); /* never of 0 octets */
	state->perms = calloc(node->nr_perms, sizeof(*state->perms));
	if (!state->value || !state->perms)
		return -ENOMEM;
	if (node->value_len)
		memcpy(state->value, node->value, node->value_len);
	memcpy(state->perms, node->perms, node->nr_perms * sizeof(*state->perms));
	state->value_len = node->value_len;
	state->nr_perms = node->nr_perms;
	state->exists = true;
	return 0;
}

static bool same(const struct plan_state *state, const char *value, size_t value_len,
		 const struct record_perm *perms, size_t nr_perms)
{
	return state->value_len == value_len && state->nr_perms == nr_perms &&
	       (!value_len || !memcmp(state->value, value, value_len)) &&
	       !memcmp(state->perms, perms, nr_perms * sizeof(*perms));
}

bool plan_state_is(const struct plan_state *state, const struct node *node)
{
	return state->exists && !node->err &&
	       same(state, node->value, node->value_len, node->perms, node->nr_perms);
}

struct record_node plan_record(const struct plan_node *node, const struct plan_state *state)
{
	return (struct record_node){ node->path,      node->path_len, state->perms,
				     state->nr_perms, state->value,   state->value_len };
}

/* --- the table */

struct plan_node *plan_find(const struct plan *plan, const char *path, size_t len)
{
	struct plan_node *node;

	HASH_FIND(hh, plan->nodes, path, len, node);
	return node;
}

/* The node at @path, which may be new; NULL when memory ran out. */
static struct plan_node *node_get(struct plan *plan, const char *path, size_t len)
{
	struct plan_node *node = plan_find(plan, path, len);

	if (node)
		return node;
	node = calloc(1, sizeof(*node) + len + 1);
	if (!node)
		return NULL;
	node->path_len = len;
	memcpy(node->path, path, len);
	HASH_ADD_KEYPTR(hh, plan->nodes, node->path, node->path_len, node);
	if (node->hh.tbl)
		return node;
	free(node);
	return NULL;
}

static int by_path(const struct plan_node *a, const struct plan_node *b)
{
	return strcmp(a->path, b->path);
}

void plan_sort(struct plan *plan)
{
	HASH_SORT(plan->nodes, by_path);
}

int plan_add(struct plan *plan, const struct record_node *want, const struct record_node *had)
{
	struct plan_node *node = node_get(plan, want->path, want->path_len);
	int r = node ? state_set(&node->want, want) : -ENOMEM;

	if (!r && had)
		r = state_set(&node->had, had);
	if (r)
		return r;
	node->action = had ? PLAN_WRITE : PLAN_MAKE;
	plan->nr++;
	return 0;
}

void plan_clear(struct plan *plan)
{
	struct plan_node *node, *next;

	HASH_ITER(hh, plan->nodes, node, next) {
		HASH_DEL(plan->nodes, node);
		state_clear(&node->want);
		state_clear(&node->had);
		free(node);
	}
	plan->nr = 0;
}

/* --- what the stream wants, and what is here */

static int take_records(struct plan *plan, struct intake *intake)
{
	struct record rec;
	int r = intake_rewind(intake);

	while (!r && (r = intake_next(intake, RECORD_NODE, &rec)) > 0) {
		size_t parent = pathset_parent(rec.node.path, rec.node.path_len);
		struct plan_node *node = node_get(plan, rec.node.path, rec.node.path_len);

		r = node ? state_set(&node->want, &rec.node) : -ENOMEM;
		if (!r && !node_get(plan, rec.node.path, parent))
			r = -ENOMEM;
	}
	return r;
}

static int on_node(void *arg, struct node *node)
{
	struct plan *plan = arg;
	const struct record_node rec = { node->path,	 node->path_len, node->perms,
					 node->nr_perms, node->value,	 node->value_len };

	struct plan_node *here = plan_find(plan, node->path, node->path_len);

	if (node->err == -ENOENT)
		return 0;
	if (!node->err)
		return state_set(&here->had, &rec);
	here->err = node->err;
	return wire_is_limit(node->err) ? 0 : node->err;
}

int plan_read(const struct plan *plan, struct wire *wire, bool all, nodes_fn fn, void *arg)
{
	struct plan_node *node, *next;
	struct nodes *nodes = NULL;
	int r = nodes_new(&nodes, wire, false, fn, arg);

	HASH_ITER(hh, plan->nodes, node, next) {
		if (r || !(all || node->action != PLAN_LEAVE))
			continue;
		r = nodes_want(nodes, node->path, node->path_len, 0);
		if (!r)
			r = nodes_run(nodes, BACKLOG);
	}
	if (!r)
		r = nodes_run(nodes, 0);
	nodes_free(nodes);
	return r;
}

int plan_make(struct plan *plan, struct intake *intake, struct wire *wire)
{
	int r = take_records(plan, intake);

	if (r)
		return r;
	plan_sort(plan);
	return plan_read(plan, wire, true, on_node, plan);
}

/* --- decisions */

/* As the daemons decide it. */
static bool may_write(const struct plan_state *state, uint16_t domid)
{
	char letter = (char)state->perms[0].letter;

	if (record_perm_domid(&state->perms[0]) == domid)
		return true;
	for (size_t i = 1; i < state->nr_perms; i++) {
		if (record_perm_domid(&state->perms[i]) != domid)
			continue;
		letter = (char)state->perms[i].letter;
		break;
	}
	return letter == 'w' || letter == 'b';
}

static void leave(struct plan_node *node, enum omission_kind kind, const char *why,
		  struct omissions *omissions)
{
	const struct omission omission = { .kind = kind,
					   .what = "node",
					   .path = node->path,
					   .path_len = node->path_len,
					   .why = why };

	node->why_not = kind;
	omissions_add(omissions, &omission);
}

static void decide_existing(struct plan_node *node, uint16_t domid, bool overwrite,
			    struct omissions *omissions)
{
	if (same(&node->want, node->had.value, node->had.value_len, node->had.perms,
		 node->had.nr_perms))
		return;
	if (overwrite || record_perm_domid(&node->had.perms[0]) == domid)
		node->action = PLAN_WRITE;
	else
		leave(node, OMISSION_KEPT, "it belongs to the toolstack here (--overwrite)",
		      omissions);
}

/* @free: where the domain itself could not */
static void decide_new(const struct plan *plan, struct plan_node *node, uint16_t domid, bool free,
		       struct omissions *omissions)
{
	const struct plan_node *parent =
		plan_find(plan, node->path, pathset_parent(node->path, node->path_len));
	const struct plan_state *above = parent->had.exists ? &parent->had : &parent->want;

	if (!above->exists)
		leave(node, OMISSION_LEFT_OUT, "what it is below is neither here nor in the stream",
		      omissions);
	else if (!parent->had.exists && parent->action != PLAN_MAKE)
		leave(node, parent->why_not, "so is what it is below", omissions);
	else if (free || parent->free || may_write(above, domid))
		node->action = PLAN_MAKE;
	else
		leave(node, OMISSION_KEPT, "only the toolstack makes nodes there (--overwrite)",
		      omissions);
	node->free = node->action == PLAN_MAKE;
}

/* The home is made as libxl makes it. Its children are decided as if it had been there. */
static int decide_home(struct plan_node *node, uint16_t domid, bool overwrite,
		       struct omissions *omissions)
{
	struct record_perm perms[] = { record_perm_make('n', 0), record_perm_make('r', domid) };
	struct record_node home = { node->path, node->path_len, perms, 2, NULL, 0 };

	if (!node->had.exists) {
		node->action = PLAN_MAKE;
		return state_set(&node->want, &home);
	}
	if (same(&node->want, node->had.value, node->had.value_len, node->had.perms,
		 node->had.nr_perms))
		return 0;
	if (overwrite && !record_perm_domid(&node->want.perms[0]))
		node->action = PLAN_WRITE;
	else
		leave(node, OMISSION_KEPT, "it is the domain's home", omissions);
	return 0;
}

int plan_decide(struct plan *plan, uint16_t domid, const struct confine *confine, bool overwrite,
		struct omissions *omissions)
{
	struct plan_node *node, *next;
	int r = 0;

	HASH_ITER(hh, plan->nodes, node, next) {
		bool asked = confine_is_asked(confine, node->path, node->path_len);

		if (r || !node->want.exists || node->foreign)
			continue;
		if (confine_is_home(confine, node->path, node->path_len))
			r = decide_home(node, domid, overwrite, omissions);
		else if (node->had.exists)
			decide_existing(node, domid, overwrite, omissions);
		else if (node->err)
			leave(node, OMISSION_LEFT_OUT, report_reason(node->err), omissions);
		else
			decide_new(plan, node, domid, overwrite || asked, omissions);
		plan->nr += node->action != PLAN_LEAVE;
	}
	return r;
}
