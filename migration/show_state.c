// SPDX-License-Identifier: MIT
/*
 * show_state - see show_state.h: text, the totals, and the pass over the items. JSON is
 * show_state_json.c's.
 */
#include "migration/show_state.h"

#include "migration/show_parts.h"
#include "migration/show_state_json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- text, by kind */

static void text_peer(FILE *out, struct state_peer peer)
{
	char text[STATE_PEER_TEXT_MAX];

	fputs(state_peer_text(text, peer), out);
}

static void text_global(FILE *out, const struct state_global *global)
{
	fprintf(out, "global socket %" PRId32 ", event channels %" PRId32, global->socket,
		global->evtchn);
	if (global->has_virq)
		fprintf(out, ", VIRQ port %" PRIu32, global->virq);
	if (global->read_only != STATE_NO_FD)
		fprintf(out, ", read-only socket %" PRId32, global->read_only);
}

static void text_quotas(FILE *out, const struct state_quotas *quotas, size_t nr_domain)
{
	const char *name = NULL;
	size_t index = 0;
	uint32_t value;

	fputs("quotas", out);
	while (state_quotas_next(quotas, &index, &name, &value)) {
		fputs(index == nr_domain + 1 ? "; global: " : index > 1 ? ", " : " ", out);
		show_octets(out, name, strlen(name));
		fprintf(out, " %" PRIu32, value);
	}
}

/* What one thing has, with commas between. Return: where to print the next. */
static FILE *next(FILE *out, bool *any)
{
	fputs(*any ? ", " : " ", out);
	*any = true;
	return out;
}

static void text_queues(FILE *out, const struct state_connection *connection, bool *any)
{
	if (connection->in_len) {
		fputs("read ", next(out, any));
		show_quoted(out, connection->in, connection->in_len);
	}
	if (!connection->out_len)
		return;
	fputs("unsent ", next(out, any));
	if (connection->out_rest)
		fprintf(out, "%zu+", connection->out_rest);
	show_quoted(out, connection->out, connection->out_len);
}

static void text_connection(FILE *out, const struct state_connection *connection)
{
	bool any = false;

	fprintf(out, "%s %" PRIu32, connection->peer.socket ? "socket" : "ring",
		connection->peer.number);
	if (connection->has_local)
		fprintf(next(out, &any), "port %" PRIu32, connection->local);
	if (connection->has_remote)
		fprintf(next(out, &any), "remote port %" PRIu32 ", gfn %" PRId64,
			connection->remote, connection->gfn);
	if (connection->has_target)
		fprintf(next(out, &any), "target %u", connection->target);
	if (connection->has_unique_id)
		fprintf(next(out, &any), "unique id %" PRIu64, connection->unique_id);
	text_queues(out, connection, &any);
}

static void text_watch(FILE *out, const struct state_watch *watch)
{
	fputs("watch ", out);
	text_peer(out, watch->peer);
	fputc(' ', out);
	show_octets(out, watch->path, watch->path_len);
	fputc(' ', out);
	show_quoted(out, watch->token, watch->token_len);
	if (watch->has_depth)
		fprintf(out, " depth %" PRIu64, watch->depth);
	else if (watch->depth_lost)
		fputs(" depth lost", out);
}

static void text_pending(FILE *out, const struct state_node *node)
{
	fputs(" in ", out);
	text_peer(out, node->peer);
	fprintf(out, " %" PRIu32 "%s%s%s", node->tx_id,
		node->access & STATE_ACCESS_READ ? ", read" : "",
		node->access & STATE_ACCESS_WRITTEN ? ", written" : "",
		node->node.nr_perms ? "" : ", deleted");
}

static void text_node(FILE *out, const struct state_node *node)
{
	show_path(out, "node", node->node.path, node->node.path_len);
	show_perms(out, &node->node);
	fputc(' ', out);
	show_quoted(out, node->node.value, node->node.value_len);
	if (node->pending)
		text_pending(out, node);
}

static void text_domain(FILE *out, const struct state_domain *domain)
{
	bool any = false;

	fprintf(out, "domain %u", domain->domid);
	if (domain->has_features)
		fprintf(next(out, &any), "features 0x%" PRIx32, domain->features);
	if (domain->quotas.nr)
		text_quotas(next(out, &any), &domain->quotas, domain->quotas.nr);
}

static void text_item(FILE *out, const struct state_item *item)
{
	switch (item->kind) {
	case STATE_GLOBAL:
		text_global(out, &item->global);
		break;
	case STATE_QUOTAS:
		text_quotas(out, &item->quotas, item->quotas.nr_domain);
		break;
	case STATE_CONNECTION:
		text_connection(out, &item->connection);
		break;
	case STATE_WATCH:
		text_watch(out, &item->watch);
		break;
	case STATE_TRANSACTION:
		fputs("transaction ", out);
		text_peer(out, item->transaction.peer);
		fprintf(out, " %" PRIu32, item->transaction.tx_id);
		break;
	case STATE_NODE:
		text_node(out, &item->node);
		break;
	case STATE_DOMAIN:
		text_domain(out, &item->domain);
		break;
	case STATE_UNKNOWN:
		fprintf(out, "unknown record %" PRIu32 ", %" PRIu32 " octets", item->unknown.type,
			item->unknown.length);
		break;
	}
	fputc('\n', out);
}

static void text_summary(FILE *out, const struct show_totals *totals)
{
	fprintf(out, "format: %s", totals->format);
	if (totals->version)
		fprintf(out, ", version: %u", totals->version);
	fprintf(out,
		", connections: %" PRIu64 ", nodes: %" PRIu64 ", watches: %" PRIu64
		", transactions: %" PRIu64 ", octets: %" PRIu64 "\n",
		totals->kinds[STATE_CONNECTION], totals->kinds[STATE_NODE],
		totals->kinds[STATE_WATCH], totals->kinds[STATE_TRANSACTION], totals->octets);
}

/* --- all of it */

static void totals_start(struct show_totals *totals, enum state_format format)
{
	*totals = (struct show_totals){ .format = format == STATE_OX ? "oxenstored" : "C" };
	if (format != STATE_OX)
		totals->version = format == STATE_C ? 1 : 2;
}

static int show_item(FILE *out, bool json, struct buffer *scratch, const struct state_item *item)
{
	int r = 0;

	if (json)
		r = show_state_json(out, scratch, item);
	else
		text_item(out, item);
	return !r && ferror(out) ? show_error() : r;
}

static int show_items(struct state_reader *reader, FILE *out, bool json, struct buffer *scratch)
{
	struct show_totals totals;
	struct record_fault end;
	struct state_item item;
	int r = state_reader_rewind(reader);

	totals_start(&totals, state_reader_format(reader));
	while (!r) {
		r = state_reader_next(reader, &item);
		if (r <= 0)
			break;
		totals.kinds[item.kind]++;
		r = show_item(out, json, scratch, &item);
	}
	if (r)
		return r;
	state_reader_locate(reader, &end);
	/* A dump's end is where it ends, a stream's is a header. */
	totals.octets = end.offset + (totals.version ? 8 : 0);
	if (json)
		return show_state_json_summary(out, &totals);
	text_summary(out, &totals);
	return 0;
}

int show_state(struct state_reader *reader, FILE *out, bool json)
{
	struct buffer scratch = { 0 };
	int r;

	errno = 0;
	r = show_items(reader, out, json, &scratch);
	free(scratch.data);
	return show_finish(out, r);
}
