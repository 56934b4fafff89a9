// SPDX-License-Identifier: MIT
/*
 * ox_dump_writer - oxenstored's dump, written.
 */
#include "migration/format/ox_format.h"
#include "migration/format/state_codec.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define refuse(sink, ...) record_refuse((sink)->fault, (sink)->offset, __VA_ARGS__)

static int put_text(struct state_sink *sink, const char *text)
{
	return state_put(sink, text, strlen(text));
}

static int put_number(struct state_sink *sink, int64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), ",%" PRId64, number);
	return put_text(sink, text);
}

static int put_hex(struct state_sink *sink, const char *octets, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	int r = 0;

	for (size_t i = 0; !r && i < len; i++) {
		unsigned char c = (unsigned char)octets[i];
		char hex[] = { digits[c >> 4], digits[c & 0xf] };

		r = state_put(sink, hex, sizeof(hex));
	}
	return r;
}

static int put_octets(struct state_sink *sink, const char *octets, size_t len)
{
	int r = put_text(sink, ",");

	return r ? r : put_hex(sink, octets, len);
}

/* --- items, by kind */

static int put_global(struct state_sink *sink, const struct state_global *global)
{
	int r = put_text(sink, "global");

	if (!r)
		r = put_number(sink, global->socket);
	if (r || global->evtchn == STATE_NO_FD || !global->has_virq)
		return r;
	r = put_text(sink, "\nevtchn-dev");
	if (!r)
		r = put_number(sink, global->evtchn);
	return r ? r : put_number(sink, global->virq);
}

static int put_socket(struct state_sink *sink, const struct state_connection *connection)
{
	int r;

	/* Its watches would be domain 0's. */
	if (!connection->peer.number || connection->peer.number > INT32_MAX)
		return refuse(sink, "a socket of descriptor %" PRIu32, connection->peer.number);
	r = put_text(sink, "socket");
	return r ? r : put_number(sink, connection->peer.number);
}

static int put_dom(struct state_sink *sink, const struct state_connection *connection)
{
	int r;

	if (!connection->has_remote)
		return refuse(sink, "domain %" PRIu32 " without its frame and port",
			      connection->peer.number);
	r = put_text(sink, "dom");
	if (!r)
		r = put_number(sink, connection->peer.number);
	if (!r)
		r = put_number(sink, connection->gfn);
	if (!r)
		r = put_number(sink, connection->remote);
	if (!r && connection->has_local)
		r = put_number(sink, connection->local);
	return r;
}

static int put_connection(struct state_sink *sink, const struct state_connection *connection)
{
	if (connection->has_target)
		return refuse(sink, "a target");
	if (connection->has_unique_id)
		return refuse(sink, "a unique id");
	if (connection->in_len || connection->out_len)
		return refuse(sink, "messages read or to be sent");
	return connection->peer.socket ? put_socket(sink, connection) : put_dom(sink, connection);
}

static int put_watch(struct state_sink *sink, const struct state_watch *watch)
{
	int64_t number = watch->peer.number;
	int r = state_check_watch(watch, sink->offset, sink->offset, sink->fault);

	if (!r && watch->has_depth && sink->format != STATE_OX_DEPTH)
		r = refuse(sink, "a watch with a depth, which only XAPI's oxenstored takes");
	if (!r)
		r = put_text(sink, "watch");
	if (!r)
		r = put_number(sink, watch->peer.socket ? -number : number);
	if (!r)
		r = put_octets(sink, watch->path, watch->path_len);
	if (!r)
		r = put_octets(sink, watch->token, watch->token_len);
	if (!r && watch->has_depth)
		r = put_number(sink, (int64_t)watch->depth);
	return r;
}

static int put_perms(struct state_sink *sink, const struct record_node *node)
{
	int r = put_text(sink, ",");

	for (size_t i = 0; !r && i < node->nr_perms; i++) {
		char text[OX_PERM_MAX];
		int len = snprintf(text, sizeof(text), "%c%u", node->perms[i].letter,
				   record_perm_domid(&node->perms[i]));

		if (node->perms[i].pad)
			return refuse(sink, "a permission that is stale");
		r = put_hex(sink, text, (size_t)len);
		if (!r && i + 1 < node->nr_perms)
			r = put_hex(sink, "", 1); /* a NUL */
	}
	return r;
}

static int put_path(struct state_sink *sink, const struct record_node *node)
{
	int r = put_text(sink, ",");

	if (!r && state_path_special(node->path, node->path_len))
		r = put_hex(sink, "/", 1);
	return r ? r : put_hex(sink, node->path, node->path_len);
}

static int put_store(struct state_sink *sink, const struct state_node *node)
{
	int r;

	if (node->pending)
		return refuse(sink, "a node in a transaction");
	if (!node->node.nr_perms)
		return refuse(sink, "a node without permissions");
	r = put_text(sink, "store");
	if (!r)
		r = put_path(sink, &node->node);
	if (!r)
		r = put_perms(sink, &node->node);
	return r ? r : put_octets(sink, node->node.value, node->node.value_len);
}

static int put_item(struct state_sink *sink, const struct state_item *item)
{
	switch (item->kind) {
	case STATE_GLOBAL:
		return put_global(sink, &item->global);
	case STATE_CONNECTION:
		return put_connection(sink, &item->connection);
	case STATE_WATCH:
		return put_watch(sink, &item->watch);
	case STATE_NODE:
		return put_store(sink, &item->node);
	case STATE_TRANSACTION:
	case STATE_QUOTAS:
	case STATE_DOMAIN:
	case STATE_UNKNOWN:
		break;
	}
	return refuse(sink, "%s, which a dump does not hold", state_kind_name(item->kind));
}

static int ox_append(struct state_sink *sink, const struct state_item *item)
{
	int r = put_item(sink, item);

	return r ? r : put_text(sink, "\n");
}

static int ox_start(struct state_sink *sink)
{
	return put_text(sink, OX_HEADER "\n");
}

/* A dump has no end of its own. */
static int ox_finish(struct state_sink *sink)
{
	(void)sink;
	return 0;
}

static void ox_stop(struct state_sink *sink)
{
	(void)sink;
}

const struct state_writing ox_state_writing = { ox_start, ox_append, ox_finish, ox_stop };
