// SPDX-License-Identifier: MIT
/*
 * libxl_items - see libxl_items.h. One pass for the nodes, and another for the rest.
 */
#include "migration/libxl_items.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The octets of all three follow in one piece. */
struct copy {
	struct record_node node;
	char octets[];
};

struct libxl_items {
	struct libxl_reader *reader;
	struct state_peer peer;
	struct copy **nodes;
	size_t nr;
	size_t room;
	size_t given; /* of the nodes */
	bool begun;   /* the connection was given */
};

static struct copy *copy_node(const struct record_node *node)
{
	size_t perms_len = node->nr_perms * sizeof(*node->perms);
	struct copy *copy = malloc(sizeof(*copy) + node->path_len + perms_len + node->value_len);
	char *p;

	if (!copy)
		return NULL;
	copy->node = *node;
	p = copy->octets;
	copy->node.path = p;
	p = mempcpy(p, node->path, node->path_len);
	copy->node.perms = (struct record_perm *)p;
	p = mempcpy(p, node->perms, perms_len);
	copy->node.value = p;
	if (node->value_len)
		memcpy(p, node->value, node->value_len);
	return copy;
}

static int keep_node(struct libxl_items *items, const struct record_node *node)
{
	if (items->nr == items->room) {
		size_t room = items->room ? 2 * items->room : 256;
		struct copy **nodes = reallocarray(items->nodes, room, sizeof(*nodes));

		if (!nodes)
			return -ENOMEM;
		items->nodes = nodes;
		items->room = room;
	}
	items->nodes[items->nr] = copy_node(node);
	if (!items->nodes[items->nr])
		return -ENOMEM;
	items->nr++;
	return 0;
}

/* A path is before all that begin with it, so each is before what is below it. */
static int compare(const void *a, const void *b)
{
	const struct record_node *x = &(*(struct copy *const *)a)->node;
	const struct record_node *y = &(*(struct copy *const *)b)->node;
	size_t len = x->path_len < y->path_len ? x->path_len : y->path_len;
	int r = memcmp(x->path, y->path, len);

	return r ? r : (x->path_len > y->path_len) - (x->path_len < y->path_len);
}

static int keep_nodes(struct libxl_items *items)
{
	struct record rec;
	int r = libxl_reader_rewind(items->reader);

	while (!r) {
		r = libxl_reader_next(items->reader, &rec);
		if (r <= 0)
			break;
		r = rec.kind == RECORD_NODE ? keep_node(items, &rec.node) : 0;
	}
	if (r)
		return r;
	if (items->nr)
		qsort(items->nodes, items->nr, sizeof(items->nodes[0]), compare);
	return libxl_reader_rewind(items->reader);
}

/* A watch or a transaction. */
static void make_item(const struct libxl_items *items, const struct record *rec,
		      struct state_item *item)
{
	if (rec->kind == RECORD_WATCH)
		*item = (struct state_item){ .kind = STATE_WATCH,
					     .watch = { .peer = items->peer,
							.path = rec->watch.path,
							.path_len = rec->watch.path_len,
							.token = rec->watch.token,
							.token_len = rec->watch.token_len } };
	else
		*item = (struct state_item){ .kind = STATE_TRANSACTION,
					     .transaction = { items->peer,
							      rec->transaction.tx_id } };
}

int libxl_items_next(struct libxl_items *items, struct state_item *item)
{
	struct record rec;
	int r;

	if (!items->begun) {
		items->begun = true;
		*item = (struct state_item){ .kind = STATE_CONNECTION,
					     .connection.peer = items->peer };
		return 1;
	}
	if (items->given < items->nr) {
		*item = (struct state_item){ .kind = STATE_NODE,
					     .node.node = items->nodes[items->given++]->node };
		return 1;
	}
	do {
		r = libxl_reader_next(items->reader, &rec);
	} while (r > 0 && rec.kind == RECORD_NODE);
	if (r > 0)
		make_item(items, &rec, item);
	return r;
}

void libxl_items_free(struct libxl_items *items)
{
	if (!items)
		return;
	for (size_t i = 0; i < items->nr; i++)
		free(items->nodes[i]);
	free(items->nodes);
	free(items);
}

int libxl_items_new(struct libxl_items **out, struct libxl_reader *reader, uint16_t domid)
{
	struct libxl_items *items = calloc(1, sizeof(*items));
	int r;

	if (!items)
		return -ENOMEM;
	items->reader = reader;
	items->peer.number = domid;
	r = keep_nodes(items);
	if (r) {
		libxl_items_free(items);
		return r;
	}
	*out = items;
	return 0;
}
