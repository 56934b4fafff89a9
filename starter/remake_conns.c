// SPDX-License-Identifier: MIT
/*
 * remake_conns - see remake_conns.h.
 */
#include "starter/remake_conns.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "starter/ring_ref.h"

/* --- what a connection has */

static int refuse_octets(const struct remake *remake, const struct conns_record *record)
{
	return reason_set(remake->reason, -EBUSY,
			  "oxenstored has no place for what %s%" PRIu32
			  " has sent in part, or is to get yet",
			  record->kind == CONNS_RING ? "d" : "socket ", record->number);
}

static int put_watch(struct remake *remake, struct state_peer peer, const char *words[3])
{
	struct state_item item = { .kind = STATE_WATCH,
				   .watch = { .peer = peer,
					      .path = words[0],
					      .path_len = strlen(words[0]),
					      .token = words[1],
					      .token_len = strlen(words[1]),
					      .has_depth = *words[2] } };
	char *end;

	item.watch.depth = strtoull(words[2], &end, 10);
	if (*end)
		return reason_set(remake->reason, -EBADMSG, "a watch has a depth that is none");
	return remake_put(remake, &item);
}

/* @item: the connection, but for what it has */
static int put_connection(struct remake *remake, struct state_item *item,
			  const struct conns_view *has)
{
	struct state_connection *connection = &item->connection;
	struct state_peer peer = connection->peer;
	const char *words[3];
	size_t at = 0;
	int r;

	connection->in = (const char *)has->in;
	connection->in_len = has->record.in_len;
	connection->out = (const char *)has->out;
	connection->out_len = has->record.out_len;
	connection->out_rest = has->record.out_rest;
	if (!remake_to_c(remake) && (connection->in_len || connection->out_len))
		return refuse_octets(remake, &has->record);
	r = remake_put(remake, item);
	while (!r && conns_watch(has, &at, words))
		r = put_watch(remake, peer, words);
	return r;
}

/* --- rings */

static struct remake_known *known_of(const struct remake *remake, const struct exchange_ring *ring)
{
	return &remake->known[ring - remake->options->plan->rings];
}

void remake_conns_learn(const struct remake *remake, const struct state_connection *connection)
{
	const struct exchange_ring *ring =
		exchange_plan_ring(remake->options->plan, connection->peer.number);
	struct remake_known *known;

	if (connection->peer.socket || !ring)
		return;
	known = known_of(remake, ring);
	known->has_target = connection->has_target;
	known->target = connection->target;
	known->has_unique_id = connection->has_unique_id;
	known->unique_id = connection->unique_id;
}

void remake_conns_learn_node(const struct remake *remake, const struct record_node *node)
{
	const struct exchange_ring *ring;
	uint32_t domid;
	uint64_t gfn;

	if (!ring_ref_read(node, &domid, &gfn))
		return;
	ring = exchange_plan_ring(remake->options->plan, domid);
	if (ring)
		known_of(remake, ring)->gfn = gfn;
}

/* The plan knows better than the state. */
static void use_plan(const struct remake *remake)
{
	const struct exchange_plan *plan = remake->options->plan;

	for (size_t i = 0; i < plan->nr_rings; i++)
		if (plan->rings[i].has_target) {
			remake->known[i].has_target = true;
			remake->known[i].target = plan->rings[i].target;
		}
}

/* Behind a bridge oxenstored is told of them later, and otherwise that they are lost is said. */
static bool has_targets(const struct remake *remake)
{
	return remake_to_c(remake) || remake->options->evtchn != STATE_NO_FD;
}

/* Without a bridge oxenstored maps them by these. */
static bool maps_frames(const struct remake *remake)
{
	return !remake_to_c(remake) && remake->options->evtchn != STATE_NO_FD;
}

static int put_ring(struct remake *remake, const struct exchange_ring *ring, bool with_target)
{
	struct remake_known *known = known_of(remake, ring);
	struct state_item item = {
		.kind = STATE_CONNECTION,
		.connection = { .peer = { .number = ring->domid },
				.has_target = with_target && has_targets(remake),
				.target = known->target,
				.has_local = true, /* left out where it has to bind it itself */
				.local = ring->local,
				.has_remote = true,
				.remote = ring->port,
				.gfn = ring->gfn,
				.has_unique_id = known->has_unique_id,
				.unique_id = known->unique_id },
	};

	known->written = true;
	/* It refuses an INTRODUCE with another frame than it has. */
	if (!item.connection.gfn && !remake_to_c(remake)) {
		item.connection.gfn = (int64_t)known->gfn;
		if (ring->domid && !known->gfn && maps_frames(remake))
			return reason_set(remake->reason, -EBUSY,
					  "oxenstored needs the frame of d%u's ring, which nobody "
					  "has noted in /local/domain/%u/store/ring-ref",
					  ring->domid, ring->domid);
	}
	return put_connection(remake, &item, &ring->has);
}

/* Whether the C daemon would find the ring's target: it must have read that one before. */
static bool is_ready(const struct remake *remake, const struct remake_known *known)
{
	const struct exchange_ring *target;

	if (!known->has_target)
		return true;
	target = exchange_plan_ring(remake->options->plan, known->target);
	return target && known_of(remake, target)->written;
}

/* Return: how many rings are written now, or a negative errno. */
static int put_ready_once(struct remake *remake)
{
	const struct exchange_plan *plan = remake->options->plan;
	int nr = 0;

	for (size_t i = 0; i < plan->nr_rings; i++) {
		const struct remake_known *known = &remake->known[i];
		int r;

		if (known->written || !is_ready(remake, known))
			continue;
		r = put_ring(remake, &plan->rings[i], known->has_target);
		if (r)
			return r;
		nr++;
	}
	return nr;
}

/* Targets first, and those of targets. */
static int put_ready(struct remake *remake)
{
	int r;

	do {
		r = put_ready_once(remake);
	} while (r > 0);
	return r;
}

static int put_rings(struct remake *remake)
{
	const struct exchange_plan *plan = remake->options->plan;
	int r;

	use_plan(remake);
	r = put_ready(remake);
	for (size_t i = 0; !r && i < plan->nr_rings; i++) {
		if (remake->known[i].written)
			continue;
		remake_lose(remake, plan->rings[i].domid, "target of",
			    "it has no ring, or targets this one");
		r = put_ring(remake, &plan->rings[i], false);
		if (!r)
			r = put_ready(remake);
	}
	return r;
}

/* --- all of them */

static int put_sockets(struct remake *remake)
{
	const struct exchange_plan *plan = remake->options->plan;
	int r = 0;

	for (size_t i = 0; !r && i < plan->nr_sockets; i++) {
		const struct exchange_socket *sock = &plan->sockets[i];
		struct state_item item = {
			.kind = STATE_CONNECTION,
			.connection = { .peer = { true, (uint32_t)sock->fd } },
		};

		r = put_connection(remake, &item, &sock->has);
	}
	return r;
}

int remake_conns_put(struct remake *remake)
{
	int r = put_rings(remake);

	return r ? r : put_sockets(remake);
}
