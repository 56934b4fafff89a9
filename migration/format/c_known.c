// SPDX-License-Identifier: MIT
/* c_known - see c_known.h. Each is in two tables: by its number, and by whose it is. */
#include "migration/format/c_known.h"

#include "protocol/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Without holes: it is hashed as it lies. */
struct peer_key {
	uint32_t socket;
	uint32_t number;
};

struct known {
	uint32_t id;
	struct peer_key peer;
	UT_hash_handle by_id;
	UT_hash_handle by_peer;
};

struct tables {
	struct known *ids;
	struct known *peers;
};

static struct peer_key peer_key(struct state_peer peer)
{
	return (struct peer_key){ peer.socket, peer.number };
}

static int tables_get(void **table)
{
	if (!*table)
		*table = calloc(1, sizeof(struct tables));
	return *table ? 0 : -ENOMEM;
}

int c_known_add(void **table, uint32_t id, struct state_peer peer)
{
	struct tables *tables;
	struct known *known;
	int r = tables_get(table);

	if (r)
		return r;
	tables = *table;
	known = calloc(1, sizeof(*known));
	if (!known)
		return -ENOMEM;
	known->id = id;
	known->peer = peer_key(peer);
	HASH_ADD(by_id, tables->ids, id, sizeof(known->id), known);
	if (!known->by_id.tbl) {
		free(known);
		return -ENOMEM;
	}
	HASH_ADD(by_peer, tables->peers, peer, sizeof(known->peer), known);
	if (known->by_peer.tbl)
		return 0;
	HASH_DELETE(by_id, tables->ids, known);
	free(known);
	return -ENOMEM;
}

bool c_known_find(const void *table, uint32_t id, struct state_peer *peer)
{
	const struct tables *tables = table;
	struct known *known = NULL;

	if (tables)
		HASH_FIND(by_id, tables->ids, &id, sizeof(id), known);
	if (known)
		*peer = (struct state_peer){ known->peer.socket, known->peer.number };
	return known;
}

uint32_t c_known_id(const void *table, struct state_peer peer)
{
	const struct tables *tables = table;
	struct peer_key key = peer_key(peer);
	struct known *known = NULL;

	if (tables)
		HASH_FIND(by_peer, tables->peers, &key, sizeof(key), known);
	return known ? known->id : 0;
}

void c_known_clear(void **table)
{
	struct tables *tables = *table;
	struct known *known, *next;

	if (!tables)
		return;
	HASH_CLEAR(by_peer, tables->peers);
	HASH_ITER(by_id, tables->ids, known, next) {
		HASH_DELETE(by_id, tables->ids, known);
		free(known);
	}
	free(tables);
	*table = NULL;
}
