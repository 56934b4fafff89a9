// SPDX-License-Identifier: MIT
/*
 * c_state_decode - see c_state_decode.h. What a body may have, by type; the table is at the end.
 */
#include "migration/format/c_state_decode.h"

#include "migration/format/c_format.h"
#include "migration/format/c_known.h"
#include "migration/format/rules.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A body; offsets in it count from its first octet until a refusal adds where that lies. */
struct body {
	struct state_source *source;
	const uint8_t *octets;
	size_t size;
	size_t at; /* in the stream */
};

#define refuse(body, pos, ...) record_refuse((body)->source->fault, (body)->at + (pos), __VA_ARGS__)

/* Where the variable part begins that must lie in the body with @size octets. */
static int check_inside(const struct body *body, uint64_t end, const char *what)
{
	return end <= body->size ? 0
				 : refuse(body, body->size, "the record ends inside the %s", what);
}

/* Nothing is left over but what fills the record up. */
static int check_end(const struct body *body, uint64_t end)
{
	if (body->size - end < C_ALIGNMENT)
		return 0;
	return refuse(body, end, "%" PRIu64 " octets are left over in the record",
		      body->size - end);
}

/* @len counts the NUL, which is not part of what comes back. */
static int get_string(const struct body *body, size_t pos, size_t len, const char *what,
		      const char **string, size_t *string_len)
{
	const char *octets = (const char *)body->octets + pos;

	if (!len)
		return refuse(body, pos, "the %s has no NUL", what);
	if (octets[len - 1])
		return refuse(body, pos + len - 1, "the %s does not end with a NUL", what);
	*string = octets;
	*string_len = len - 1;
	return 0;
}

static int get_peer(const struct body *body, size_t pos, uint32_t id, struct state_peer *peer)
{
	if (c_known_find(body->source->memory, id, peer))
		return 0;
	return refuse(body, pos, "there is no connection %" PRIu32 " before it", id);
}

/* --- records, by type */

static int decode_global(const struct body *body, struct state_item *item)
{
	struct c_global global;
	int r = check_inside(body, sizeof(global), "descriptors");

	if (r)
		return r;
	memcpy(&global, body->octets, sizeof(global));
	item->global = (struct state_global){ .socket = (int32_t)le32toh(global.socket),
					      .evtchn = (int32_t)le32toh(global.evtchn),
					      .read_only = STATE_NO_FD };
	if (item->global.socket < STATE_NO_FD || item->global.evtchn < STATE_NO_FD)
		return refuse(body, 0, "descriptors %" PRId32 " and %" PRId32, item->global.socket,
			      item->global.evtchn);
	return check_end(body, sizeof(global));
}

static int decode_spec(const struct body *body, const struct c_connection *raw,
		       struct state_connection *connection)
{
	size_t pos = offsetof(struct c_connection, spec);

	switch (le16toh(raw->type)) {
	case C_CONNECTION_RING:
		connection->peer.number = le16toh(raw->spec.ring.domid);
		connection->target = le16toh(raw->spec.ring.target);
		connection->has_target = connection->target != STATE_DOMID_NOBODY;
		connection->local = le32toh(raw->spec.ring.port);
		connection->has_local = true;
		return 0;
	case C_CONNECTION_SOCKET:
		connection->peer = (struct state_peer){ true, le32toh(raw->spec.fd) };
		if (connection->peer.number > INT32_MAX)
			return refuse(body, pos, "descriptor %d", (int)connection->peer.number);
		return 0;
	default:
		return refuse(body, offsetof(struct c_connection, type), "connection type %u",
			      le16toh(raw->type));
	}
}

static int decode_unique_id(const struct body *body, size_t pos,
			    struct state_connection *connection)
{
	uint64_t le;
	int r = check_inside(body, pos + sizeof(le), "unique id");

	if (r)
		return r;
	memcpy(&le, body->octets + pos, sizeof(le));
	connection->unique_id = le64toh(le);
	connection->has_unique_id = true;
	return check_end(body, pos + sizeof(le));
}

static int check_connection(const struct body *body, const struct c_connection *raw, uint64_t end)
{
	struct state_peer other;
	unsigned int fields = le16toh(raw->fields) & ~C_FIELD_UNIQUE_ID;

	if (!raw->id)
		return refuse(body, 0, "the connection's id is 0");
	if (c_known_find(body->source->memory, le32toh(raw->id), &other))
		return refuse(body, 0, "connection %" PRIu32 " was given before", le32toh(raw->id));
	if (fields)
		return refuse(body, offsetof(struct c_connection, fields), "unknown fields 0x%04x",
			      fields);
	return check_inside(body, end, "data");
}

static int decode_connection(const struct body *body, struct state_item *item)
{
	struct state_connection *connection = &item->connection;
	struct c_connection raw;
	size_t in = sizeof(raw), out;
	int r = check_inside(body, sizeof(raw), "connection");

	if (r)
		return r;
	memcpy(&raw, body->octets, sizeof(raw));
	out = in + le16toh(raw.in_len);
	*connection = (struct state_connection){ .in = (const char *)body->octets + in,
						 .in_len = le16toh(raw.in_len),
						 .out = (const char *)body->octets + out,
						 .out_len = le32toh(raw.out_len),
						 .out_rest = le16toh(raw.rest_len) };
	r = check_connection(body, &raw, (uint64_t)out + connection->out_len);
	if (!r)
		r = decode_spec(body, &raw, connection);
	if (!r)
		r = state_check_queues(connection, body->at + in, body->at + out,
				       body->source->fault);
	if (!r && le16toh(raw.fields) & C_FIELD_UNIQUE_ID)
		r = decode_unique_id(body, c_aligned(out + connection->out_len), connection);
	else if (!r)
		r = check_end(body, out + connection->out_len);
	return r ? r : c_known_add(&body->source->memory, le32toh(raw.id), connection->peer);
}

/* A watch's strings, from @pos on. */
static int get_watch(const struct body *body, size_t pos, const struct c_watch *raw,
		     struct state_watch *watch)
{
	size_t path_len = le16toh(raw->path_len), token_len = le16toh(raw->token_len);
	int r = check_inside(body, pos + path_len + token_len, "watch");

	if (!r)
		r = get_string(body, pos, path_len, "path", &watch->path, &watch->path_len);
	if (!r)
		r = get_string(body, pos + path_len, token_len, "token", &watch->token,
			       &watch->token_len);
	if (!r)
		r = state_check_watch(watch, body->at + pos, body->at + pos + path_len,
				      body->source->fault);
	return r;
}

static int decode_watch(const struct body *body, struct state_item *item)
{
	struct c_watch raw;
	int r = check_inside(body, sizeof(raw), "watch");

	if (r)
		return r;
	memcpy(&raw, body->octets, sizeof(raw));
	item->watch = (struct state_watch){ 0 };
	r = get_peer(body, 0, le32toh(raw.id), &item->watch.peer);
	if (!r)
		r = get_watch(body, sizeof(raw), &raw, &item->watch);
	return r ? r
		 : check_end(body, sizeof(raw) + le16toh(raw.path_len) + le16toh(raw.token_len));
}

/*
 * Where the path begins. Daemons read it behind the depth; the document has two octets more between
 * them, zeroes, which no path begins with.
 */
static size_t extended_start(const struct body *body)
{
	static const uint8_t pad[C_WATCH_EXT_DOCUMENT - C_WATCH_EXT_DATA];

	if (body->size >= C_WATCH_EXT_DOCUMENT &&
	    !memcmp(body->octets + C_WATCH_EXT_DATA, pad, sizeof(pad)))
		return C_WATCH_EXT_DOCUMENT;
	return C_WATCH_EXT_DATA;
}

static int decode_extended(const struct body *body, struct state_item *item)
{
	struct state_watch *watch = &item->watch;
	struct c_watch raw;
	uint16_t depth;
	int r = check_inside(body, C_WATCH_EXT_DATA, "watch");

	if (r)
		return r;
	memcpy(&raw, body->octets, sizeof(raw));
	memcpy(&depth, body->octets + sizeof(raw), sizeof(depth));
	*watch = (struct state_watch){ .depth = le16toh(depth),
				       .has_depth = le16toh(depth) != C_DEPTH_UNLIMITED };
	r = get_peer(body, 0, le32toh(raw.id), &watch->peer);
	if (!r)
		r = get_watch(body, extended_start(body), &raw, watch);
	return r ? r
		 : check_end(body,
			     extended_start(body) + le16toh(raw.path_len) + le16toh(raw.token_len));
}

static int decode_transaction(const struct body *body, struct state_item *item)
{
	struct c_transaction raw;
	int r = check_inside(body, sizeof(raw), "transaction");

	if (r)
		return r;
	memcpy(&raw, body->octets, sizeof(raw));
	item->transaction = (struct state_transaction){ .tx_id = le32toh(raw.tx_id) };
	if (!raw.tx_id)
		return refuse(body, offsetof(struct c_transaction, tx_id), "the id is 0");
	r = get_peer(body, 0, le32toh(raw.id), &item->transaction.peer);
	return r ? r : check_end(body, sizeof(raw));
}

static int check_perms(const struct body *body, size_t pos, const struct state_node *node)
{
	if (!node->node.nr_perms && !node->pending)
		return refuse(body, pos, "the node has no permissions");
	for (size_t i = 0; i < node->node.nr_perms; i++, pos += sizeof(struct record_perm)) {
		const struct record_perm *perm = &node->node.perms[i];

		if (!perm->letter || !strchr("wrbn", perm->letter))
			return refuse(body, pos, "permission letter 0x%02x", perm->letter);
		if (perm->pad & ~STATE_PERM_STALE)
			return refuse(body, pos + offsetof(struct record_perm, pad),
				      "unknown flags 0x%02x of a permission", perm->pad);
	}
	return 0;
}

static int check_path(const struct body *body, size_t pos, const struct record_node *node)
{
	if (!state_path_special(node->path, node->path_len))
		return rules_node_path(node->path, node->path_len, body->at + pos,
				       body->source->fault);
	return rules_token(node->path, node->path_len, body->at + pos, body->source->fault);
}

static int decode_pending(const struct body *body, const struct c_node *raw,
			  struct state_node *node)
{
	node->pending = true;
	node->tx_id = le32toh(raw->tx_id);
	node->access = le16toh(raw->access);
	if (node->access & ~C_ACCESS_KNOWN)
		return refuse(body, offsetof(struct c_node, access), "unknown access 0x%04x",
			      node->access);
	return get_peer(body, 0, le32toh(raw->id), &node->peer);
}

static int decode_node(const struct body *body, struct state_item *item)
{
	struct state_node *node = &item->node;
	struct c_node raw;
	size_t path, value;
	uint64_t end;
	int r = check_inside(body, sizeof(raw), "node");

	if (r)
		return r;
	memcpy(&raw, body->octets, sizeof(raw));
	*node = (struct state_node){ .node = { .perms = (const struct record_perm *)(body->octets +
										     sizeof(raw)),
					       .nr_perms = le16toh(raw.nr_perms),
					       .value_len = le16toh(raw.value_len) } };
	path = sizeof(raw) + node->node.nr_perms * sizeof(struct record_perm);
	value = path + le16toh(raw.path_len);
	end = value + node->node.value_len;
	r = check_inside(body, end, "node");
	if (!r && raw.id)
		r = decode_pending(body, &raw, node);
	if (!r)
		r = check_perms(body, sizeof(raw), node);
	if (!r)
		r = get_string(body, path, le16toh(raw.path_len), "path", &node->node.path,
			       &node->node.path_len);
	if (!r)
		r = check_path(body, path, &node->node);
	node->node.value = (const char *)body->octets + value;
	return r ? r : check_end(body, end);
}

/* @nr values from @pos on, and as many names. */
static int get_quotas(const struct body *body, size_t pos, size_t nr, struct state_quotas *quotas)
{
	size_t names = pos + nr * sizeof(uint32_t), end = names;
	int r = check_inside(body, names, "quotas' values");

	if (r)
		return r;
	quotas->nr = nr;
	quotas->values = body->octets + pos;
	quotas->names = (const char *)body->octets + names;
	for (size_t i = 0; i < nr; i++) {
		const uint8_t *nul = memchr(body->octets + end, 0, body->size - end);

		if (!nul)
			return check_inside(body, (uint64_t)body->size + 1, "quotas' names");
		end = (size_t)(nul - body->octets) + 1;
	}
	return check_end(body, end);
}

static int decode_quotas(const struct body *body, struct state_item *item)
{
	struct c_quotas raw;
	int r = check_inside(body, sizeof(raw), "quotas");

	if (r)
		return r;
	memcpy(&raw, body->octets, sizeof(raw));
	item->quotas = (struct state_quotas){ .nr_domain = le16toh(raw.nr_domain) };
	return get_quotas(body, sizeof(raw), item->quotas.nr_domain + le16toh(raw.nr_global),
			  &item->quotas);
}

static int decode_domain(const struct body *body, struct state_item *item)
{
	struct state_domain *domain = &item->domain;
	struct c_domain raw;
	int r = check_inside(body, sizeof(raw), "domain");

	if (r)
		return r;
	memcpy(&raw, body->octets, sizeof(raw));
	*domain = (struct state_domain){ .domid = le16toh(raw.domid) };
	if (body->source->format == STATE_C_2) {
		domain->has_features = true;
		domain->features = le32toh(raw.features);
	}
	return get_quotas(body, sizeof(raw), le16toh(raw.nr_quotas), &domain->quotas);
}

static const struct {
	enum state_kind kind;
	int (*decode)(const struct body *body, struct state_item *item);
} types[] = {
	[C_GLOBAL] = { STATE_GLOBAL, decode_global },
	[C_CONNECTION] = { STATE_CONNECTION, decode_connection },
	[C_WATCH] = { STATE_WATCH, decode_watch },
	[C_TRANSACTION] = { STATE_TRANSACTION, decode_transaction },
	[C_NODE] = { STATE_NODE, decode_node },
	[C_QUOTAS] = { STATE_QUOTAS, decode_quotas },
	[C_DOMAIN] = { STATE_DOMAIN, decode_domain },
	[C_WATCH_EXTENDED] = { STATE_WATCH, decode_extended },
};

#define NR_TYPES (sizeof(types) / sizeof(types[0]))

int c_state_decode(struct state_source *source, uint32_t type, size_t size, struct state_item *item)
{
	struct body body = { .source = source,
			     .octets = source->body.data,
			     .size = size,
			     .at = source->start + sizeof(struct c_header) };

	if (type >= NR_TYPES || !types[type].decode) {
		*item = (struct state_item){ .kind = STATE_UNKNOWN,
					     .unknown = { type, (uint32_t)size } };
		return 0;
	}
	item->kind = types[type].kind;
	return types[type].decode(&body, item);
}
