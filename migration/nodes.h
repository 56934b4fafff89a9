/* SPDX-License-Identifier: MIT */
/*
 * nodes - reads nodes of the store, many at a time.
 *
 * A node takes two requests (READ, GET_PERMS), or three with the names of its children (DIRECTORY,
 * with DIRECTORY_PART where the C daemon's reply does not fit). libxenstore would wait for each;
 * here the requests of many nodes are under way at once. Callers ask for paths, in any number, and
 * get each node by a function that may ask for more.
 *
 * What guests write is taken as far as it goes: both daemons keep permissions for any number that
 * they can parse, such as r-1 and r65536. Those are set apart; an owner of that kind gives way to
 * domain 0, lest the next one in the list becomes the owner.
 *
 * Called by migration/walk (export), migration/reading, and by migration/plan and migration/graft
 * (import). Must never interpret a value or write to the store.
 */
#ifndef XSPROXY_MIGRATION_NODES_H
#define XSPROXY_MIGRATION_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migration/format/record.h"
#include "migration/wire.h"

struct nodes;

/* What of a node there is but could not be had, for what somebody wrote there. */
enum node_part {
	NODE_VALUE = 1 << 0,	/* longer than any reply */
	NODE_PERMS = 1 << 1,	/* likewise; domain 0 takes the owner's place */
	NODE_CHILDREN = 1 << 2, /* they keep changing: some may be missing */
};

/*
 * What was read. It is gone when the function that gets it returns, but for what that function
 * takes over: it sets the pointer to NULL and calls free() some day.
 */
struct node {
	const char *path;
	size_t path_len;
	int tag; /* as asked for */
	int err; /* 0; -ENOENT: it does not exist; or why it could not be read */
	char *value;
	size_t value_len;
	struct record_perm *perms; /* the owner first */
	size_t nr_perms;
	char *odd; /* permissions that are no struct record_perm, @odd_len octets; NULL: none */
	size_t odd_len;
	unsigned int missing; /* bits of enum node_part */
	char *children;	      /* names that end in NUL, @children_len octets; NULL: none */
	size_t children_len;
};

/* Return: 0, or a negative errno that ends nodes_run(). */
typedef int (*nodes_fn)(void *arg, struct node *node);

/**
 * nodes_new() - a reader of nodes.
 * @out: gets the reader; nodes_free() it
 * @wire: a connection that outlives it
 * @children: whether names of children are wanted
 * @fn: called with each node, and @arg
 *
 * Return: 0 or -ENOMEM.
 */
int nodes_new(struct nodes **out, struct wire *wire, bool children, nodes_fn fn, void *arg);

/** nodes_free() - free @nodes, which may be NULL, and what is under way on its connection. */
void nodes_free(struct nodes *nodes);

/**
 * nodes_want() - ask for the node at @path of @len octets; nothing happens until nodes_run().
 * @tag: for the caller, comes back with the node
 *
 * Return: 0; -ENAMETOOLONG for a path that fits no request; or -ENOMEM.
 */
int nodes_want(struct nodes *nodes, const char *path, size_t len, int tag);

/**
 * nodes_want_children() - ask for all children of a node that has come.
 * @tag: as of nodes_want()
 *
 * Return: 0; -ENAMETOOLONG if the path of one fits no request: all others were asked for; or
 * -ENOMEM.
 */
int nodes_want_children(struct nodes *nodes, const struct node *node, int tag);

/**
 * nodes_run() - read nodes until no more than @most of those asked for are left.
 *
 * Return: 0; what @fn returned; or as wire_wait(). After a failure only nodes_free() is allowed.
 */
int nodes_run(struct nodes *nodes, size_t most);

#endif
