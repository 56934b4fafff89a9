// SPDX-License-Identifier: MIT
/*
 * control_clients - the commands that list toolstack clients, and what one has. Called by
 * control_command.c.
 */
#include <jansson.h>
#include <string.h>

#include "protocol/clock.h"
#include "proxy/control/control.h"
#include "proxy/control/control_command.h"
#include "proxy/control/control_json.h"
#include "proxy/daemon.h"
#include "proxy/host/client.h"
#include "proxy/host/clients.h"
#include "proxy/observe/tap.h"
#include "proxy/session/pending.h"
#include "proxy/session/session.h"

struct listing {
	json_t *list;
	uint32_t index; /* the first session that is wanted */
	uint32_t room;
	json_int_t next; /* the first one that there was no room for; 0: none */
};

/* The requests that it waits for, in no order. */
static json_t *under_way(const struct session *s)
{
	json_t *list = json_array();

	PENDING_EACH(s->ledger, slot)
	control_json_append(&list, json_string(message_name(s->ledger->pending[slot].type)));
	return list;
}

static json_t *describe(const struct client *client)
{
	const struct session *s = client->session;
	const struct who *who = &client->who;
	uint64_t now = clock_seconds();
	struct stats stats;

	tap_stats(s->tap, &stats);
	return json_pack("{s:i,s:i,s:I,s:o?,s:I,s:I,s:i,s:i,s:o,s:I,s:i,s:i,s:i,s:i,s:I}",
			 "session", (int)s->id, "pid", who->pid, "uid", (json_int_t)who->uid,
			 "command", *who->comm ? control_json_text(who->comm) : NULL, "seconds",
			 (json_int_t)(now > client->since ? now - client->since : 0), "asked",
			 (json_int_t)stats_sum(stats.requests, STATS_OPS), "watches",
			 (int)s->watches.count, "transactions",
			 (int)transaction_count(&s->transactions), "under_way", under_way(s),
			 "oldest_ms",
			 (json_int_t)(tap_oldest(s->tap, word_get(&s->ledger->pending_mask)) /
				      CLOCK_NS_OF_MS),
			 "queued", (int)(fifo_used(&s->fifo) + word_get(&s->ledger->fifo_fill)),
			 "events", (int)s->fifo.waiting.events, "replies",
			 (int)s->fifo.waiting.replies, "memory", (int)(s->account.used * POOL_PAGE),
			 "unread_ms", (json_int_t)(tap_full(s->tap) / CLOCK_NS_OF_MS));
}

/* Sessions have numbers that rise as clients come, as they stand in the list. */
static void add(struct client *client, void *arg)
{
	struct listing *listing = arg;
	uint32_t id = client->session->id;

	if (id < listing->index || listing->next)
		return;
	if (listing->room) {
		listing->room--;
		control_json_append(&listing->list, describe(client));
	} else {
		listing->next = id;
	}
}

/* {"clients":[...],"next":INDEX or null}; index is the first session to list */
void control_clients(struct control *control, const struct control_args *args)
{
	struct listing listing = { json_array(), args->index, CONTROL_PAGE_DOMAINS, 0 };

	clients_each(control_daemon(control)->clients, add, &listing);
	control_return(control, json_pack("{s:o,s:o}", "clients", listing.list, "next",
					  listing.next ? json_integer(listing.next) : json_null()));
}

/* --- what one has */

/* Those from number @index on, as the client spelt them; *@next: the one after those, or null. */
static json_t *watches(struct session *s, uint32_t index, json_t **next)
{
	const struct watch *watch = watches_from(&s->watches, index);
	json_t *list = json_array();
	uint32_t end = index;

	for (; watch && end < index + CONTROL_PAGE_WATCHES; watch = watch_next(watch), end++) {
		uint32_t len;
		const char *text = watch_text(&s->watches, watch, &len);

		control_json_append(&list,
				    json_pack("{s:o,s:o}", "path", control_json_text(text), "token",
					      control_json_text(text + strlen(text) + 1)));
	}
	*next = watch ? json_integer(end) : json_null();
	return list;
}

static json_t *transactions(const struct session *s)
{
	json_t *list = json_array();

	for (uint32_t slot = 0; slot < s->transactions.high; slot++) {
		const struct ledger_tx *tx = transaction_at(&s->transactions, (int)slot);

		if (transaction_live(&s->transactions, (int)slot))
			control_json_append(&list, json_integer((json_int_t)tx->guest));
	}
	return list;
}

/* As in clients, with its watches from index on, and all its transactions' ids */
void control_client(struct control *control, const struct control_args *args)
{
	const struct client *found = clients_find(control_daemon(control)->clients, args->session);
	json_t *client, *list, *next, *more;

	if (!found) {
		control_error(control, "NotFound", "there is no toolstack with the session %u",
			      args->session);
		return;
	}
	client = describe(found);
	list = watches(found->session, args->index, &next);
	more = json_pack("{s:o,s:o,s:o}", "watch_list", list, "transaction_list",
			 transactions(found->session), "next", next);
	if (!more || json_object_update(client, more)) {
		json_decref(client);
		client = NULL;
	}
	json_decref(more);
	control_return(control, client);
}
