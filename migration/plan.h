/* SPDX-License-Identifier: MIT */
/*
 * plan - what an import does to the nodes of this host, decided before anything is done.
 *
 * For each node of the stream it has what the stream wants and what is here, and one of a few
 * actions. The rules, in this order:
 *
 *	1. the home itself is the toolstack's: it stays as it is, and if there is none one is made
 *	   that belongs to domain 0 and that the domain may read, whatever the stream says;
 *	2. a node that is here is written if the domain owns it, and left as it is otherwise;
 *	3. a node that is not here is made only where the domain could make it itself, below a node
 *	   that it owns or may write; or in a root of the command line; or below a node that this
 *	   import makes.
 *
 * So <home>/vm, domid, name, console/tty and all the others that libxl, xenconsoled and qemu
 * follow or remove as dom0 are never planted by a stream, without a list of their names: libxl
 * gives the home to domain 0, and no guest may write there. Who wants them asks for the rules to be
 * left aside (@overwrite); even then the home belongs to domain 0.
 *
 * It is kept in memory: intake bounds how many nodes there are.
 *
 * Called by import and migration/graft; migration/journal keeps what was decided. Must never write
 * to the store.
 */
#ifndef XSPROXY_MIGRATION_PLAN_H
#define XSPROXY_MIGRATION_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migration/format/record.h"
#include "migration/intake.h"
#include "migration/nodes.h"
#include "migration/omissions.h"
#include "migration/wire.h"

#include "protocol/table.h"

struct edits;

/* A node at one time. */
struct plan_state {
	bool exists;
	char *value;
	size_t value_len;
	struct record_perm *perms;
	size_t nr_perms;
};

enum plan_action {
	PLAN_LEAVE, /* also parents, which are only looked at */
	PLAN_WRITE, /* it is here */
	PLAN_MAKE,  /* it is not */
};

struct plan_node {
	UT_hash_handle hh;
	enum plan_action action;
	int err;	     /* why the daemon does not take its path */
	bool free;	     /* whatever is below may be made */
	bool foreign;	     /* left out, for its owner is not here (foreign.h) */
	bool refused;	     /* in part, by the daemon */
	bool ours;	     /* for migration/graft */
	struct edits *edits; /* that a request of this node is under way for */
	struct plan_state want;
	struct plan_state had; /* before the import */
	enum omission_kind why_not;
	size_t path_len;
	char path[];
};

struct plan {
	struct plan_node *nodes; /* once they are decided: parents before children */
	size_t nr;		 /* that are not left */
};

/**
 * plan_make() - take the nodes of a stream, and read what is here.
 * @plan: empty; plan_clear() it
 *
 * Return: 0; -ENOMEM; or what reading the stream or the store failed with.
 */
int plan_make(struct plan *plan, struct intake *intake, struct wire *wire);

/**
 * plan_decide() - decide what is done to each.
 * @domid: the domain's, here
 * @overwrite: the rules are left aside
 * @omissions: told what is left as it is and differs, and what has no place
 *
 * Return: 0, or -ENOMEM.
 */
int plan_decide(struct plan *plan, uint16_t domid, const struct confine *confine, bool overwrite,
		struct omissions *omissions);

/**
 * plan_add() - add a node as migration/journal has it.
 * @had: NULL: it did not exist
 *
 * Return: 0 or -ENOMEM.
 */
int plan_add(struct plan *plan, const struct record_node *want, const struct record_node *had);

/** plan_find() - the node at a path, or NULL. */
struct plan_node *plan_find(const struct plan *plan, const char *path, size_t len);

/**
 * plan_read() - read what is in the store of the nodes that are not left, or of @all, and hand each
 * to @fn.
 *
 * Return: 0, -ENOMEM, or as nodes_run().
 */
int plan_read(const struct plan *plan, struct wire *wire, bool all, nodes_fn fn, void *arg);

/** plan_sort() - put parents before children. */
void plan_sort(struct plan *plan);

/** plan_state_is() - whether what was read is @state: value and permissions. */
bool plan_state_is(const struct plan_state *state, const struct node *node);

/** plan_record() - a state as a record; points into both. */
struct record_node plan_record(const struct plan_node *node, const struct plan_state *state);

/** plan_clear() - free what is in it. */
void plan_clear(struct plan *plan);

#endif
