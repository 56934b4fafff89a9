// SPDX-License-Identifier: MIT
/*
 * show_state_json - see show_state_json.h. A function for each kind makes the object, or NULL when
 * memory ran out; jansson passes a NULL on, so only the last one is looked at.
 */
#include "migration/show_state_json.h"

#include "migration/show_parts.h"
#include "text/escape.h"

#include <errno.h>
#include <string.h>

/* Only if @is. Return: 0, or -1 when memory ran out. */
static int put_integer(json_t *object, bool is, const char *key, uint64_t value)
{
	return is ? json_object_set_new(object, key, json_integer((json_int_t)value)) : 0;
}

static int put_octets(json_t *object, const char *key, struct buffer *scratch, const char *octets,
		      size_t len)
{
	return json_object_set_new(object, key, escape_json(scratch, octets, len));
}

/* Whose it is: "domain" or "socket". */
static int put_peer(json_t *object, struct state_peer peer)
{
	return put_integer(object, true, peer.socket ? "socket" : "domain", peer.number);
}

/* Takes over @object; @failed: what has been put into it does not all stand there. */
static json_t *wrap(const char *key, json_t *object, int failed)
{
	if (failed) {
		json_decref(object);
		return NULL;
	}
	return json_pack("{s:o}", key, object);
}

static json_t *json_global(const struct state_global *global)
{
	json_t *object =
		json_pack("{s:i,s:i}", "socket", global->socket, "event_channels", global->evtchn);
	int r = put_integer(object, global->has_virq, "virq_port", global->virq);

	if (!r && global->read_only != STATE_NO_FD)
		r = json_object_set_new(object, "read_only_socket",
					json_integer(global->read_only));
	return wrap("global", object, r);
}

/* Those from @from up to @to. */
static json_t *quotas_object(const struct state_quotas *quotas, size_t from, size_t to,
			     struct buffer *scratch)
{
	json_t *object = json_object();
	const char *name = NULL;
	size_t index = 0;
	uint32_t value;

	while (object && state_quotas_next(quotas, &index, &name, &value)) {
		json_t *key = escape_json(scratch, name, strlen(name));
		int r = 0;

		if (index > from && index <= to)
			r = key ? json_object_set_new(object, json_string_value(key),
						      json_integer(value))
				: -1;
		json_decref(key);
		if (r) {
			json_decref(object);
			object = NULL;
		}
	}
	return object;
}

static json_t *json_quotas(const struct state_quotas *quotas, struct buffer *scratch)
{
	return json_pack("{s:{s:o,s:o}}", "quotas", "domain",
			 quotas_object(quotas, 0, quotas->nr_domain, scratch), "global",
			 quotas_object(quotas, quotas->nr_domain, quotas->nr, scratch));
}

static json_t *json_connection(const struct state_connection *connection, struct buffer *scratch)
{
	json_t *object = json_object();
	int r = put_peer(object, connection->peer);

	r |= put_integer(object, connection->has_local, "port", connection->local);
	r |= put_integer(object, connection->has_remote, "remote_port", connection->remote);
	r |= put_integer(object, connection->has_remote, "gfn", (uint64_t)connection->gfn);
	r |= put_integer(object, connection->has_target, "target", connection->target);
	r |= put_integer(object, connection->has_unique_id, "unique_id", connection->unique_id);
	if (connection->in_len)
		r |= put_octets(object, "read", scratch, connection->in, connection->in_len);
	if (connection->out_len)
		r |= put_octets(object, "unsent", scratch, connection->out, connection->out_len);
	r |= put_integer(object, connection->out_rest, "unsent_rest", connection->out_rest);
	return wrap("connection", object, r);
}

static json_t *json_watch(const struct state_watch *watch, struct buffer *scratch)
{
	json_t *object = json_object();
	int r = put_peer(object, watch->peer);

	r |= put_octets(object, "path", scratch, watch->path, watch->path_len);
	r |= put_octets(object, "token", scratch, watch->token, watch->token_len);
	r |= put_integer(object, watch->has_depth, "depth", watch->depth);
	if (watch->depth_lost)
		r |= json_object_set_new(object, "depth_lost", json_true());
	return wrap("watch", object, r);
}

static json_t *json_transaction(const struct state_transaction *transaction)
{
	json_t *object = json_object();
	int r = put_peer(object, transaction->peer);

	r |= put_integer(object, true, "id", transaction->tx_id);
	return wrap("transaction", object, r);
}

static json_t *json_pending(const struct state_node *node)
{
	json_t *object = json_object();
	int r = put_peer(object, node->peer);

	r |= put_integer(object, true, "id", node->tx_id);
	r |= json_object_set_new(object, "read", json_boolean(node->access & STATE_ACCESS_READ));
	r |= json_object_set_new(object, "written",
				 json_boolean(node->access & STATE_ACCESS_WRITTEN));
	r |= json_object_set_new(object, "deleted", json_boolean(!node->node.nr_perms));
	if (!r)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *json_node(const struct state_node *node, struct buffer *scratch)
{
	json_t *object = json_object();
	int r = put_octets(object, "path", scratch, node->node.path, node->node.path_len);

	r |= json_object_set_new(object, "permissions", show_json_perms(&node->node));
	r |= put_octets(object, "value", scratch, node->node.value, node->node.value_len);
	if (node->pending)
		r |= json_object_set_new(object, "transaction", json_pending(node));
	return wrap("node", object, r);
}

static json_t *json_domain(const struct state_domain *domain, struct buffer *scratch)
{
	json_t *object = json_object();
	int r = put_integer(object, true, "domain", domain->domid);

	r |= put_integer(object, domain->has_features, "features", domain->features);
	r |= json_object_set_new(object, "quotas",
				 quotas_object(&domain->quotas, 0, domain->quotas.nr, scratch));
	return wrap("domain", object, r);
}

static json_t *json_item(const struct state_item *item, struct buffer *scratch)
{
	switch (item->kind) {
	case STATE_GLOBAL:
		return json_global(&item->global);
	case STATE_QUOTAS:
		return json_quotas(&item->quotas, scratch);
	case STATE_CONNECTION:
		return json_connection(&item->connection, scratch);
	case STATE_WATCH:
		return json_watch(&item->watch, scratch);
	case STATE_TRANSACTION:
		return json_transaction(&item->transaction);
	case STATE_NODE:
		return json_node(&item->node, scratch);
	case STATE_DOMAIN:
		return json_domain(&item->domain, scratch);
	case STATE_UNKNOWN:
		break;
	}
	return json_pack("{s:{s:I,s:I}}", "unknown", "type", (json_int_t)item->unknown.type,
			 "octets", (json_int_t)item->unknown.length);
}

int show_state_json(FILE *out, struct buffer *scratch, const struct state_item *item)
{
	return show_json_line(out, json_item(item, scratch));
}

int show_state_json_summary(FILE *out, const struct show_totals *totals)
{
	json_t *object = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I}", "format", totals->format,
				   "connections", (json_int_t)totals->kinds[STATE_CONNECTION],
				   "nodes", (json_int_t)totals->kinds[STATE_NODE], "watches",
				   (json_int_t)totals->kinds[STATE_WATCH], "transactions",
				   (json_int_t)totals->kinds[STATE_TRANSACTION], "octets",
				   (json_int_t)totals->octets);
	int r = put_integer(object, totals->version, "version", totals->version);

	return show_json_line(out, wrap("summary", object, r));
}
