// SPDX-License-Identifier: MIT
/*
 * c_state_writer - the C daemon's state stream, written. Connections get numbers in their order, as
 * a daemon's have, so what a daemon wrote comes out octet by octet as it was.
 */
#include "migration/format/c_format.h"
#include "migration/format/c_known.h"
#include "migration/format/state_codec.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define NR(pieces) (sizeof(pieces) / sizeof((pieces)[0]))

/* What is in a record, piece by piece. */
struct piece {
	const void *octets;
	size_t len;
};

#define refuse(sink, ...) record_refuse((sink)->fault, (sink)->offset, __VA_ARGS__)

static int put_record(struct state_sink *sink, enum c_type type, const struct piece *pieces,
		      size_t nr)
{
	static const char zeroes[C_ALIGNMENT] = "";
	struct c_header header = { .type = htole32(type) };
	uint64_t len = 0;
	int r;

	for (size_t i = 0; i < nr; i++)
		len += pieces[i].len;
	if (c_aligned(len) > UINT32_MAX)
		return refuse(sink, "a record of %" PRIu64 " octets", len);
	header.length = htole32((uint32_t)c_aligned(len));
	r = state_put(sink, &header, sizeof(header));
	for (size_t i = 0; !r && i < nr; i++)
		r = state_put(sink, pieces[i].octets, pieces[i].len);
	return r ? r : state_put(sink, zeroes, c_aligned(len) - len);
}

/* Lengths of strings count a NUL. */
static int check_string(struct state_sink *sink, size_t len, const char *what)
{
	return len < UINT16_MAX ? 0 : refuse(sink, "the %s has %zu octets", what, len);
}

static uint32_t peer_id(const struct state_sink *sink, struct state_peer peer)
{
	return htole32(c_known_id(sink->memory, peer));
}

/* --- items, by kind */

static int put_global(struct state_sink *sink, const struct state_global *global)
{
	struct c_global raw = { htole32((uint32_t)global->socket),
				htole32((uint32_t)global->evtchn) };
	struct piece piece = { &raw, sizeof(raw) };

	return put_record(sink, C_GLOBAL, &piece, 1);
}

static int check_connection(struct state_sink *sink, const struct state_connection *connection)
{
	if (connection->peer.number > (connection->peer.socket ? INT32_MAX : UINT16_MAX))
		return refuse(sink, "a connection of %s %" PRIu32,
			      connection->peer.socket ? "descriptor" : "domain",
			      connection->peer.number);
	if (connection->in_len > UINT16_MAX || connection->out_len > UINT32_MAX / 2)
		return refuse(sink, "%zu octets read and %zu to be sent", connection->in_len,
			      connection->out_len);
	return state_check_queues(connection, sink->offset, sink->offset, sink->fault);
}

static struct c_connection make_connection(const struct state_connection *connection, uint32_t id)
{
	struct c_connection raw = {
		.id = htole32(id),
		.in_len = htole16((uint16_t)connection->in_len),
		.rest_len = htole16((uint16_t)connection->out_rest),
		.out_len = htole32((uint32_t)connection->out_len),
	};

	if (connection->peer.socket) {
		raw.type = htole16(C_CONNECTION_SOCKET);
		raw.spec.fd = htole32(connection->peer.number);
		return raw;
	}
	raw.type = htole16(C_CONNECTION_RING);
	raw.fields = htole16(connection->has_unique_id ? C_FIELD_UNIQUE_ID : 0);
	raw.spec.ring.domid = htole16((uint16_t)connection->peer.number);
	raw.spec.ring.target =
		htole16(connection->has_target ? connection->target : STATE_DOMID_NOBODY);
	raw.spec.ring.port = htole32(connection->has_local ? connection->local : 0);
	return raw;
}

static int put_connection(struct state_sink *sink, const struct state_connection *connection)
{
	static const char zeroes[C_ALIGNMENT] = "";
	struct c_connection raw;
	size_t len = sizeof(raw) + connection->in_len + connection->out_len;
	uint64_t unique_id = htole64(connection->unique_id);
	bool has_id = connection->has_unique_id && !connection->peer.socket;
	struct piece pieces[] = { { &raw, sizeof(raw) },
				  { connection->in, connection->in_len },
				  { connection->out, connection->out_len },
				  { zeroes, c_aligned(len) - len },
				  { &unique_id, has_id ? sizeof(unique_id) : 0 } };
	int r = check_connection(sink, connection);

	if (!r)
		r = c_known_add(&sink->memory, ++sink->connections, connection->peer);
	if (r)
		return r;
	raw = make_connection(connection, sink->connections);
	return put_record(sink, C_CONNECTION, pieces, NR(pieces));
}

static int put_watch(struct state_sink *sink, const struct state_watch *watch)
{
	uint16_t depth =
		htole16(watch->depth < C_DEPTH_UNLIMITED ? watch->depth : C_DEPTH_UNLIMITED);
	struct c_watch raw = { .id = peer_id(sink, watch->peer),
			       .path_len = htole16((uint16_t)(watch->path_len + 1)),
			       .token_len = htole16((uint16_t)(watch->token_len + 1)) };
	struct piece pieces[] = { { &raw, sizeof(raw) },
				  { &depth, watch->has_depth ? sizeof(depth) : 0 },
				  { watch->path, watch->path_len },
				  { "", 1 },
				  { watch->token, watch->token_len },
				  { "", 1 } };
	int r = check_string(sink, watch->path_len, "path");

	if (!r)
		r = check_string(sink, watch->token_len, "token");
	if (!r)
		r = state_check_watch(watch, sink->offset, sink->offset, sink->fault);
	if (!r && watch->has_depth && sink->format != STATE_C_2)
		r = refuse(sink, "a watch with a depth, which version 1 does not hold");
	return r ? r
		 : put_record(sink, watch->has_depth ? C_WATCH_EXTENDED : C_WATCH, pieces,
			      NR(pieces));
}

static int put_transaction(struct state_sink *sink, const struct state_transaction *transaction)
{
	struct c_transaction raw = { peer_id(sink, transaction->peer),
				     htole32(transaction->tx_id) };
	struct piece piece = { &raw, sizeof(raw) };

	return put_record(sink, C_TRANSACTION, &piece, 1);
}

static int check_node(struct state_sink *sink, const struct state_node *node)
{
	int r = check_string(sink, node->node.path_len, "path");

	if (!r && (node->node.value_len > UINT16_MAX || node->node.nr_perms > UINT16_MAX))
		r = refuse(sink, "a value of %zu octets and %zu permissions", node->node.value_len,
			   node->node.nr_perms);
	if (!r && !node->node.nr_perms && !node->pending)
		r = refuse(sink, "a node without permissions");
	for (size_t i = 0; !r && i < node->node.nr_perms; i++)
		if (node->node.perms[i].pad & ~STATE_PERM_STALE)
			r = refuse(sink, "a permission for what is no domain");
	return r;
}

static int put_node(struct state_sink *sink, const struct state_node *node)
{
	struct c_node raw = { .path_len = htole16((uint16_t)(node->node.path_len + 1)),
			      .value_len = htole16((uint16_t)node->node.value_len),
			      .nr_perms = htole16((uint16_t)node->node.nr_perms) };
	struct piece pieces[] = { { &raw, sizeof(raw) },
				  { node->node.perms,
				    node->node.nr_perms * sizeof(*node->node.perms) },
				  { node->node.path, node->node.path_len },
				  { "", 1 },
				  { node->node.value, node->node.value_len } };
	int r = check_node(sink, node);

	if (r)
		return r;
	if (node->pending) {
		raw.id = peer_id(sink, node->peer);
		raw.tx_id = htole32(node->tx_id);
		raw.access = htole16(node->access);
	}
	return put_record(sink, C_NODE, pieces, NR(pieces));
}

static size_t names_len(const struct state_quotas *quotas)
{
	size_t index = 0, len = 0;
	const char *name = NULL;
	uint32_t value;

	while (state_quotas_next(quotas, &index, &name, &value))
		len += strlen(name) + 1;
	return len;
}

static int put_quotas(struct state_sink *sink, enum c_type type, const void *raw, size_t len,
		      const struct state_quotas *quotas)
{
	struct piece pieces[] = { { raw, len },
				  { quotas->values, quotas->nr * sizeof(uint32_t) },
				  { quotas->names, names_len(quotas) } };

	if (quotas->nr - quotas->nr_domain > UINT16_MAX || quotas->nr_domain > UINT16_MAX)
		return refuse(sink, "%zu quotas", quotas->nr);
	return put_record(sink, type, pieces, NR(pieces));
}

static int put_domain(struct state_sink *sink, const struct state_domain *domain)
{
	struct c_domain raw = { .domid = htole16(domain->domid),
				.nr_quotas = htole16((uint16_t)domain->quotas.nr) };

	if (domain->has_features && sink->format != STATE_C_2)
		return refuse(sink, "features, which version 1 does not hold");
	if (!domain->has_features && sink->format == STATE_C_2)
		return refuse(sink, "a domain without features, which version 2 takes for none");
	raw.features = htole32(domain->has_features ? domain->features : 0);
	return put_quotas(sink, C_DOMAIN, &raw, sizeof(raw), &domain->quotas);
}

static int c_append(struct state_sink *sink, const struct state_item *item)
{
	struct c_quotas quotas;

	switch (item->kind) {
	case STATE_GLOBAL:
		return put_global(sink, &item->global);
	case STATE_QUOTAS:
		quotas.nr_domain = htole16((uint16_t)item->quotas.nr_domain);
		quotas.nr_global = htole16((uint16_t)(item->quotas.nr - item->quotas.nr_domain));
		return put_quotas(sink, C_QUOTAS, &quotas, sizeof(quotas), &item->quotas);
	case STATE_CONNECTION:
		return put_connection(sink, &item->connection);
	case STATE_WATCH:
		return put_watch(sink, &item->watch);
	case STATE_TRANSACTION:
		return put_transaction(sink, &item->transaction);
	case STATE_NODE:
		return put_node(sink, &item->node);
	case STATE_DOMAIN:
		return put_domain(sink, &item->domain);
	case STATE_UNKNOWN:
		break;
	}
	return refuse(sink, "a record of unknown type");
}

static int c_start(struct state_sink *sink)
{
	struct c_preamble preamble = { .version = htobe32(sink->format == STATE_C ? 1 : 2) };

	memcpy(preamble.ident, C_IDENT, sizeof(preamble.ident));
	return state_put(sink, &preamble, sizeof(preamble));
}

static int c_finish(struct state_sink *sink)
{
	return put_record(sink, C_END, NULL, 0);
}

static void c_stop(struct state_sink *sink)
{
	c_known_clear(&sink->memory);
}

const struct state_writing c_state_writing = { c_start, c_append, c_finish, c_stop };
