// SPDX-License-Identifier: MIT
/*
 * conversion - see conversion.h. A function for each kind of item; nodes are conversion_node.c's.
 */
#include "migration/conversion.h"

#include "migration/conversion_node.h"
#include "migration/format/rules.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DETAIL_MAX 16

/* @detail: may be NULL */
static void leave_out(struct conversion *conversion, const char *what, const char *detail,
		      const char *why)
{
	struct omission omission = { .kind = OMISSION_LEFT_OUT,
				     .what = what,
				     .detail = detail,
				     .detail_len = detail ? strlen(detail) : 0,
				     .why = why };

	omissions_add(conversion->omissions, &omission);
}

/* --- whose it is */

static bool is_wanted(const struct conversion *conversion, struct state_peer peer)
{
	return !conversion->options->one ||
	       (!peer.socket && peer.number == conversion->options->domid);
}

/* --- what is global */

static int convert_global(struct conversion *conversion, struct state_global *global)
{
	enum state_format to = conversion->options->to;

	if (conversion->options->one)
		return 0;
	conversion->has_ports =
		global->evtchn != STATE_NO_FD &&
		(state_format_is_c(to) || (state_format_is_ox(to) && global->has_virq));
	if (global->read_only != STATE_NO_FD)
		leave_out(conversion, "read-only socket", NULL,
			  "only daemons before Xen 4.16 have one");
	global->read_only = STATE_NO_FD;
	if (state_format_is_c(to))
		global->has_virq = false;
	return 1;
}

static int convert_quotas(struct conversion *conversion, const struct state_quotas *quotas)
{
	if (conversion->options->one || !quotas->nr)
		return 0;
	if (state_format_is_c(conversion->options->to))
		return 1;
	leave_out(conversion, "quotas of the daemon", NULL,
		  "oxenstored has them in oxenstored.conf");
	return 0;
}

/* --- connections */

static void leave_out_of(struct conversion *conversion, struct state_peer peer, const char *what,
			 const char *why)
{
	char detail[STATE_PEER_TEXT_MAX];

	leave_out(conversion, what, state_peer_text(detail, peer), why);
}

/* What a daemon has read of a client and has to tell it yet. */
static void drop_queues(struct conversion *conversion, struct state_connection *connection)
{
	if (connection->in_len)
		leave_out_of(conversion, connection->peer, "requests read of",
			     "this format has no place for them");
	if (connection->out_len)
		leave_out_of(conversion, connection->peer, "replies and events for",
			     "this format has no place for them");
	connection->in_len = 0;
	connection->out_len = 0;
	connection->out_rest = 0;
}

static void drop_target(struct conversion *conversion, struct state_connection *connection)
{
	if (connection->has_target)
		leave_out_of(conversion, connection->peer, "target of",
			     "this format has no place for it; SET_TARGET sets it again");
	connection->has_target = false;
}

/* Return: whether oxenstored can have it. */
static bool convert_to_ox(struct conversion *conversion, struct state_connection *connection)
{
	if (connection->peer.socket && !connection->peer.number) {
		leave_out_of(conversion, connection->peer, "connection of",
			     "oxenstored would take its watches for domain 0's");
		return false;
	}
	drop_queues(conversion, connection);
	drop_target(conversion, connection);
	connection->has_unique_id = false;
	connection->has_local &= conversion->has_ports;
	if (connection->peer.socket || connection->has_remote)
		return true;
	/* Domain 0's are where every daemon finds them. */
	if (connection->peer.number)
		leave_out_of(
			conversion, connection->peer, "ring of",
			"its frame and the domain's port are not in the state; they are 0 now");
	connection->has_remote = true;
	connection->remote = 0;
	connection->gfn = 0;
	return true;
}

static int convert_connection(struct conversion *conversion, struct state_connection *connection)
{
	if (!is_wanted(conversion, connection->peer))
		return 0;
	if (state_format_is_ox(conversion->options->to) && !convert_to_ox(conversion, connection))
		return 0;
	if (!connection->peer.socket)
		conversion_node_owner(conversion, (uint16_t)connection->peer.number);
	if (state_format_is_ox(conversion->options->to))
		return 1;
	connection->has_remote = false;
	if (state_format_is_c(conversion->options->to)) {
		if (!connection->peer.socket && !connection->has_local)
			leave_out_of(conversion, connection->peer, "event channel of",
				     "its port is not in the state; it is 0 now");
		return 1;
	}
	drop_queues(conversion, connection);
	drop_target(conversion, connection);
	return 0;
}

/* --- watches and transactions */

static void leave_out_watch(struct conversion *conversion, const struct state_watch *watch,
			    const char *what, const char *why)
{
	struct omission omission = { .kind = OMISSION_LEFT_OUT,
				     .what = what,
				     .path = watch->path,
				     .path_len = watch->path_len,
				     .detail = watch->token,
				     .detail_len = watch->token_len,
				     .why = why };

	omissions_add(conversion->omissions, &omission);
}

static void convert_depth(struct conversion *conversion, struct state_watch *watch)
{
	enum state_format to = conversion->options->to;

	if (watch->depth_lost)
		leave_out_watch(conversion, watch, "depth of the watch",
				"the daemon that wrote the state left it out");
	if (watch->has_depth && to != STATE_C_2 && to != STATE_OX_DEPTH) {
		leave_out_watch(conversion, watch, "depth of the watch",
				"this format has no place for it");
		watch->has_depth = false;
	}
}

/* Return: whether it is one too many of its domain. */
static bool count_watch(struct conversion *conversion, const struct state_watch *watch)
{
	unsigned int max = conversion->options->max_watches;

	if (watch->peer.socket || !watch->peer.number)
		return false;
	return ++conversion->watches[watch->peer.number & UINT16_MAX] >
	       (max ? max : CONVERSION_OX_WATCHES);
}

static int convert_watch(struct conversion *conversion, struct state_watch *watch)
{
	struct record_fault fault;
	bool to_c = state_format_is_c(conversion->options->to),
	     to_ox = state_format_is_ox(conversion->options->to);

	if (!is_wanted(conversion, watch->peer))
		return 0;
	if (to_ox && watch->peer.socket && !watch->peer.number)
		leave_out_watch(conversion, watch, "watch", "its connection is left out");
	else if (!to_c && rules_watch_path(watch->path, watch->path_len, 0, &fault))
		leave_out_watch(conversion, watch, "watch", fault.reason);
	else if (to_ox && count_watch(conversion, watch))
		leave_out_watch(conversion, watch, "watch",
				"oxenstored takes no more watches of a domain");
	else {
		convert_depth(conversion, watch);
		return 1;
	}
	return 0;
}

/*
 * No daemon takes a transaction from a state: the C daemon passes over the record, and takes a node
 * in it for one that is not. So it is kept only in what no daemon starts from.
 */
static int convert_transaction(struct conversion *conversion,
			       const struct state_transaction *transaction)
{
	char detail[2 * DETAIL_MAX], peer[STATE_PEER_TEXT_MAX];

	if (!is_wanted(conversion, transaction->peer))
		return 0;
	if (conversion->options->one && !state_format_is_ox(conversion->options->to))
		return 1;
	snprintf(detail, sizeof(detail), "%s:%" PRIu32, state_peer_text(peer, transaction->peer),
		 transaction->tx_id);
	leave_out(conversion, "transaction", detail, "no daemon takes it from a state");
	return 0;
}

/* --- domains */

/* Version 2 has no way to say that a domain's features are not known: 0 would take them away. */
static int convert_to_c2(struct conversion *conversion, const struct state_domain *domain)
{
	struct state_peer peer = { .number = domain->domid };

	if (domain->has_features)
		return 1;
	if (domain->quotas.nr)
		leave_out_of(conversion, peer, "quotas of",
			     "version 2 has them with the domain's features, which are not known");
	return 0;
}

static int convert_domain(struct conversion *conversion, struct state_domain *domain)
{
	enum state_format to = conversion->options->to;
	struct state_peer peer = { .number = domain->domid };

	if (!is_wanted(conversion, peer))
		return 0;
	if (to == STATE_C_2)
		return convert_to_c2(conversion, domain);
	if (domain->has_features && domain->features)
		leave_out_of(conversion, peer, "features of", "this format has no place for them");
	domain->has_features = false;
	if (state_format_is_c(to))
		return 1;
	if (domain->quotas.nr)
		leave_out_of(conversion, peer, "quotas of", "this format has no place for them");
	return 0;
}

/* --- the rest */

static int convert_unknown(struct conversion *conversion, const struct state_unknown *unknown)
{
	char detail[DETAIL_MAX];

	snprintf(detail, sizeof(detail), "%" PRIu32, unknown->type);
	leave_out(conversion, "record of type", detail, "nothing is known about this type");
	return 0;
}

int conversion_item(struct conversion *conversion, struct state_item *item)
{
	switch (item->kind) {
	case STATE_GLOBAL:
		return convert_global(conversion, &item->global);
	case STATE_QUOTAS:
		return convert_quotas(conversion, &item->quotas);
	case STATE_CONNECTION:
		return convert_connection(conversion, &item->connection);
	case STATE_WATCH:
		return convert_watch(conversion, &item->watch);
	case STATE_TRANSACTION:
		return convert_transaction(conversion, &item->transaction);
	case STATE_NODE:
		return conversion_node(conversion, &item->node);
	case STATE_DOMAIN:
		return convert_domain(conversion, &item->domain);
	case STATE_UNKNOWN:
		break;
	}
	return convert_unknown(conversion, &item->unknown);
}

void conversion_free(struct conversion *conversion)
{
	if (!conversion)
		return;
	pathset_clear(&conversion->left_out);
	free(conversion->perms.data);
	free(conversion);
}

int conversion_new(struct conversion **out, const struct conversion_options *options,
		   struct omissions *omissions)
{
	struct conversion *conversion = calloc(1, sizeof(*conversion));

	if (!conversion)
		return -ENOMEM;
	conversion->options = options;
	conversion->omissions = omissions;
	*out = conversion;
	return 0;
}
