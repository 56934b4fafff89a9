// SPDX-License-Identifier: MIT
/*
 * inventory - see inventory.h.
 */
#include "starter/inventory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/conns.h"
#include "migration/format/state_stream.h"
#include "starter/exchange_plan.h"
#include "starter/memfd.h"
#include "starter/ring_ref.h"
#include "starter/say.h"

#define NO_DESCRIPTOR (-1)
#define NOBODY	      SIZE_MAX
#define DEPTH_MAX     21 /* octets: a decimal of 64 bits and its NUL */

/* A connection, and what it has. */
struct holder {
	struct conns_record record;
	char *octets; /* in, then out */
	char *watches;
};

struct reading {
	struct inventory *inventory;
	struct reason *reason;
	struct state_reader *reader;
	struct holder *holders;
	size_t nr;
	inventory_remote_fn *remote;
	void *opaque;
};

static int fail(const struct reading *reading, int r)
{
	return reason_set(reading->reason, r, "cannot read what connections have: %s",
			  strerror(-r));
}

/* --- descriptors */

static int option(int fd, int name)
{
	socklen_t len = sizeof(int);
	int value;

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) ? -errno : value;
}

/* Inherited, so not one that we have opened; and of the kind that daemons have. */
static int check_socket(const struct reading *reading, int fd, bool listens)
{
	if (fcntl(fd, F_GETFD) == 0 && option(fd, SO_DOMAIN) == AF_UNIX &&
	    option(fd, SO_TYPE) == SOCK_STREAM && option(fd, SO_ACCEPTCONN) == listens)
		return 0;
	return reason_set(reading->reason, -EBADMSG,
			  "the state names descriptor %d for a socket, which it is not", fd);
}

static int take_global(const struct reading *reading, const struct state_global *global)
{
	reading->inventory->listener = global->socket;
	reading->inventory->event_channels = global->evtchn;
	if (global->evtchn != NO_DESCRIPTOR && fcntl(global->evtchn, F_GETFD))
		return reason_set(reading->reason, -EBADMSG,
				  "the state names descriptor %d for event channels, which it "
				  "cannot be",
				  global->evtchn);
	return check_socket(reading, global->socket, true);
}

/* --- connections */

static bool is_of(const struct holder *holder, const struct reading *reading,
		  const struct state_peer *peer)
{
	uint32_t number = holder->record.number;

	if (peer->socket != (holder->record.kind == CONNS_SOCKET))
		return false;
	return peer->number ==
	       (peer->socket ? (uint32_t)reading->inventory->sockets[number] : number);
}

/* The last one is asked for nearly always. Return: its place, or NOBODY. */
static size_t find(const struct reading *reading, const struct state_peer *peer)
{
	for (size_t i = reading->nr; i > 0; i--)
		if (is_of(&reading->holders[i - 1], reading, peer))
			return i - 1;
	return NOBODY;
}

static int add_socket(const struct reading *reading, struct holder *holder, uint32_t number)
{
	struct inventory *inventory = reading->inventory;
	int fd = (int)number, r = check_socket(reading, fd, false);
	int *sockets;

	if (r)
		return r;
	sockets = reallocarray(inventory->sockets, inventory->nr_sockets + 1, sizeof(*sockets));
	if (!sockets)
		return fail(reading, -ENOMEM);
	holder->record.kind = CONNS_SOCKET;
	holder->record.number = (uint32_t)inventory->nr_sockets;
	sockets[inventory->nr_sockets++] = fd;
	inventory->sockets = sockets;
	return 0;
}

/* What Xen says is so now; what the state says was. */
static int find_port(const struct reading *reading, const struct state_connection *connection,
		     uint32_t *port)
{
	uint32_t domid = connection->peer.number;
	int r;

	if (!connection->has_local) {
		*port = connection->has_remote ? connection->remote : 0;
		return 0;
	}
	r = reading->remote(reading->opaque, (uint16_t)domid, connection->local);
	if (r < 0)
		return reason_set(reading->reason, r,
				  "cannot ask Xen for the event channel of domain %" PRIu32 ": %s",
				  domid, strerror(-r));
	*port = (uint32_t)r;
	return 0;
}

static int add_ring(const struct reading *reading, struct holder *holder,
		    const struct state_connection *connection)
{
	struct conns_record *record = &holder->record;

	if (connection->peer.number >= EXCHANGE_DOMIDS)
		return reason_set(reading->reason, -EBADMSG,
				  "the state has a ring of domain %" PRIu32 ", which no domain is",
				  connection->peer.number);
	record->kind = CONNS_RING;
	record->number = connection->peer.number;
	if (connection->has_target)
		record->target = connection->target;
	if (connection->gfn > 0)
		record->gfn = (uint64_t)connection->gfn;
	return find_port(reading, connection, &record->port);
}

static char *put(char *to, const char *from, size_t len)
{
	return len ? mempcpy(to, from, len) : to;
}

static int add_octets(const struct reading *reading, struct holder *holder,
		      const struct state_connection *connection)
{
	size_t len = connection->in_len + connection->out_len;

	if (!len)
		return 0;
	holder->octets = malloc(len);
	if (!holder->octets)
		return fail(reading, -ENOMEM);
	put(put(holder->octets, connection->in, connection->in_len), connection->out,
	    connection->out_len);
	holder->record.in_len = (uint32_t)connection->in_len;
	holder->record.out_len = (uint32_t)connection->out_len;
	holder->record.out_rest = (uint32_t)connection->out_rest;
	return 0;
}

static int add_connection(struct reading *reading, const struct state_connection *connection)
{
	struct holder *holders, *holder;
	int r;

	holders = reallocarray(reading->holders, reading->nr + 1, sizeof(*holders));
	if (!holders)
		return fail(reading, -ENOMEM);
	reading->holders = holders;
	holder = &holders[reading->nr++];
	*holder = (struct holder){ .record.target = CONNS_NO_TARGET };
	r = connection->peer.socket ? add_socket(reading, holder, connection->peer.number)
				    : add_ring(reading, holder, connection);
	return r ? r : add_octets(reading, holder, connection);
}

/* --- what they have */

static char *put_word(char *to, const char *word, size_t len)
{
	to = put(to, word, len);
	*to++ = '\0';
	return to;
}

static void say_depth_lost(const struct state_watch *watch)
{
	char peer[STATE_PEER_TEXT_MAX];

	starter_say("a watch of %s has no depth any more, for xenstored has not written it",
		    state_peer_text(peer, watch->peer));
}

static int add_watch(const struct reading *reading, const struct state_watch *watch)
{
	size_t at = find(reading, &watch->peer);
	char depth[DEPTH_MAX] = "", *watches, *to;
	struct holder *holder;
	size_t len;

	if (at == NOBODY)
		return fail(reading, -EBADMSG);
	if (watch->has_depth)
		snprintf(depth, sizeof(depth), "%" PRIu64, watch->depth);
	if (watch->depth_lost)
		say_depth_lost(watch);
	holder = &reading->holders[at];
	len = watch->path_len + watch->token_len + strlen(depth) + 3; /* NULs */
	watches = realloc(holder->watches, holder->record.watches_len + len);
	if (!watches)
		return fail(reading, -ENOMEM);
	to = put_word(watches + holder->record.watches_len, watch->path, watch->path_len);
	to = put_word(to, watch->token, watch->token_len);
	put_word(to, depth, strlen(depth));
	holder->watches = watches;
	holder->record.watches_len += (uint32_t)len;
	holder->record.nr_watches++;
	return 0;
}

/* Connections come before nodes. */
static void add_gfn(const struct reading *reading, const struct record_node *node)
{
	struct state_peer peer = { .socket = false };
	uint64_t gfn;
	size_t at;

	if (!ring_ref_read(node, &peer.number, &gfn))
		return;
	at = find(reading, &peer);
	if (at != NOBODY && !reading->holders[at].record.gfn)
		reading->holders[at].record.gfn = gfn;
}

/* --- all of it */

static int add_item(struct reading *reading, const struct state_item *item)
{
	switch (item->kind) {
	case STATE_GLOBAL:
		return take_global(reading, &item->global);
	case STATE_CONNECTION:
		return add_connection(reading, &item->connection);
	case STATE_WATCH:
		return add_watch(reading, &item->watch);
	case STATE_NODE:
		if (!item->node.pending)
			add_gfn(reading, &item->node.node);
		return 0;
	default:
		return 0;
	}
}

static int read_all(struct reading *reading, int state)
{
	struct record_fault fault;
	struct state_item item;
	int r = state_reader_open(&reading->reader, state, LIBXL_STREAM_MAX, &fault);

	if (r == -EBADMSG)
		return reason_set(reading->reason, r, "the state: record %" PRIu64 ": %s",
				  fault.record, fault.reason);
	if (!r && state_reader_format(reading->reader) == STATE_LIBXL)
		r = -EBADMSG;
	if (r)
		return fail(reading, r);
	while ((r = state_reader_next(reading->reader, &item)) > 0) {
		r = add_item(reading, &item);
		if (r)
			return r;
	}
	if (r)
		return fail(reading, r);
	return reading->inventory->listener == NO_DESCRIPTOR
		       ? reason_set(reading->reason, -EBADMSG, "the state names no socket")
		       : 0;
}

static int put_all(const struct reading *reading, FILE *file)
{
	for (size_t i = 0; i < reading->nr; i++) {
		const struct holder *holder = &reading->holders[i];
		const char *octets = holder->octets ? holder->octets : "";
		const struct conns_view view = {
			.record = holder->record,
			.in = (const uint8_t *)octets,
			.out = (const uint8_t *)octets + holder->record.in_len,
			.watches = holder->watches ? holder->watches : "",
		};
		int r = conns_put(file, &view);

		if (r)
			return r;
	}
	return 0;
}

static int write_all(const struct reading *reading)
{
	FILE *file;
	int memfd = memfd_file(&file), r;

	if (memfd < 0)
		return fail(reading, memfd);
	reading->inventory->conns = memfd;
	r = put_all(reading, file);
	if (fclose(file) && !r)
		r = -errno;
	if (!r)
		r = memfd_seal(memfd);
	return r ? fail(reading, r) : 0;
}

static void clear(struct reading *reading)
{
	state_reader_free(reading->reader);
	for (size_t i = 0; i < reading->nr; i++) {
		free(reading->holders[i].octets);
		free(reading->holders[i].watches);
	}
	free(reading->holders);
}

int inventory_new(struct inventory **out, int state, inventory_remote_fn *remote, void *opaque,
		  struct reason *reason)
{
	struct reading reading = { .reason = reason, .remote = remote, .opaque = opaque };
	int r;

	reading.inventory = calloc(1, sizeof(*reading.inventory));
	if (!reading.inventory)
		return fail(&reading, -ENOMEM);
	reading.inventory->conns = NO_DESCRIPTOR;
	reading.inventory->listener = NO_DESCRIPTOR;
	reading.inventory->event_channels = NO_DESCRIPTOR;
	r = read_all(&reading, state);
	if (!r)
		r = write_all(&reading);
	clear(&reading);
	if (r) {
		inventory_free(reading.inventory);
		return r;
	}
	*out = reading.inventory;
	return 0;
}

void inventory_free(struct inventory *inventory)
{
	if (!inventory)
		return;
	if (inventory->conns >= 0)
		close(inventory->conns);
	free(inventory->sockets);
	free(inventory);
}
