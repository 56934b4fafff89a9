// SPDX-License-Identifier: MIT
/*
 * exchange_sessions - what an exchange of xenstored has sessions do: they come to rest and part
 * from one daemon, and make anew with another one what they had.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "link/link.h"
#include "protocol/clock.h"
#include "protocol/message.h"
#include "proxy/daemon.h"
#include "proxy/exchange/exchange_parts.h"
#include "proxy/exchange/own.h"
#include "proxy/host/client.h"
#include "proxy/host/clients.h"
#include "proxy/host/domain.h"
#include "proxy/host/keeper.h"
#include "proxy/host/memory.h"
#include "proxy/host/upstream.h"
#include "proxy/toolstack/target.h"

#define NS_A_MS 1000000u
#define REST_MS 5000 /* who is slower than this keeps xenstored */
#define ASK_MS	10000

/* --- all sessions */

struct each {
	void (*fn)(struct session *s, void *arg);
	void *arg;
};

static void each_client(struct client *client, void *arg)
{
	const struct each *each = arg;

	each->fn(client->session, each->arg);
}

static void for_each(struct daemon *daemon, void (*fn)(struct session *s, void *arg), void *arg)
{
	struct each each = { fn, arg };

	for (struct session *s = domains_next_session(daemon->domains, 0); s;
	     s = domains_next_session(daemon->domains, s->domid + 1))
		fn(s, arg);
	clients_each(daemon->clients, each_client, &each);
}

static void forget_one(struct session *s, void *arg)
{
	(void)arg;
	renew_forget(s);
}

void exchange_forget_all(struct daemon *daemon)
{
	for_each(daemon, forget_one, NULL);
}

static void wake_one(struct session *s, void *arg)
{
	(void)arg;
	session_ready(s);
}

void exchange_wake_all(struct daemon *daemon)
{
	for_each(daemon, wake_one, NULL);
	clients_upstream_up(daemon->clients);
}

/* Rings that are not bound are not run, and have nothing under way. */
static void find_restless(struct session *s, void *arg)
{
	const struct session **found = arg;

	if (!*found && !s->unbound && !renew_rests(s))
		*found = s;
}

/* One that has not come to rest, or NULL. */
static const struct session *restless(struct daemon *daemon)
{
	const struct session *found = NULL;

	for_each(daemon, find_restless, &found);
	return found;
}

static void part_one(struct session *s, void *arg)
{
	(void)arg;
	if (transaction_count(&s->transactions) && session_state(s) != LEDGER_ENDED)
		renew_part(s);
}

/* --- before */

static bool is_late(struct exchange *exchange, uint32_t ms)
{
	if (!exchange->begun)
		exchange->deadline = clock_monotonic() + (uint64_t)ms * NS_A_MS;
	exchange->begun = true;
	return clock_monotonic() > exchange->deadline;
}

static void blame_session(struct exchange *exchange, const struct session *s)
{
	char text[WHO_TEXT_MAX];

	if (s->socket)
		exchange_blame(exchange, "xenstored owes %s an answer; try again",
			       who_text(&s->who, text));
	else
		exchange_blame(exchange, "xenstored owes domain %u an answer; try again", s->domid);
}

/* All rest, with the transactions that there are or without. Return: whether to look again. */
static bool look_at_rest(struct exchange *exchange)
{
	const struct session *s = restless(exchange->daemon);

	if (s && !is_late(exchange, REST_MS))
		return true;
	if (s) {
		blame_session(exchange, s);
		exchange_undo(exchange);
	} else if (exchange_stage(exchange) == EXCHANGE_REST) {
		exchange_enter(exchange, EXCHANGE_PART);
		for_each(exchange->daemon, part_one, NULL);
	} else {
		exchange_enter(exchange, EXCHANGE_ASKED);
	}
	return false;
}

#define START_WORDS             \
	"live-update\0-s\0-t\0" \
	"5"

static int ask_for_state(struct exchange *exchange)
{
	const char *program = exchange->daemon->config.live_update;
	char words[CONFIG_PATH_MAX + 32];
	int n = snprintf(words, sizeof(words), "live-update%c-f%c%s", 0, 0, program);
	int err = own_ask(exchange->own, XS_CONTROL, words, (uint32_t)n + 1);

	if (!err)
		err = own_ask(exchange->own, XS_CONTROL, START_WORDS, sizeof(START_WORDS));
	exchange->asked = 2;
	exchange->answers = 0;
	return err;
}

/*
 * The first answer is about the program. To the second request "OK" need not come; any other answer
 * says what is in the way, for now.
 */
static void live_update_reply(struct exchange *exchange, const struct message *msg)
{
	const char *text = (const char *)msg->payload;
	int len = (int)strnlen(text, msg->hdr.len);

	exchange->answers++;
	if (msg->hdr.type != XS_ERROR && len == 2 && !memcmp(text, "OK", 2))
		return;
	exchange_blame(exchange, "xenstored does not write its state: %.*s",
		       (int)strcspn(text, "\n") < len ? (int)strcspn(text, "\n") : len, text);
	if (msg->hdr.type == XS_ERROR || exchange->answers == 1)
		exchange->deadline = 0;
	else
		own_ask(exchange->own, XS_CONTROL, START_WORDS, sizeof(START_WORDS));
}

static void own_reply(void *arg, const struct message *msg)
{
	struct exchange *exchange = arg;

	if (!msg)
		exchange->own = own_close(exchange->own);
	else if (exchange_stage(exchange) == EXCHANGE_ASKED)
		live_update_reply(exchange, msg);
	else
		exchange->answers++;
}

static bool look_at_asked(struct exchange *exchange)
{
	bool begun = exchange->begun, late = is_late(exchange, ASK_MS);
	int err = 0;

	if (!begun)
		err = own_open(&exchange->own, exchange->daemon, own_reply, exchange);
	if (!begun && !err)
		err = ask_for_state(exchange);
	exchange->begun = !err;
	if (!late)
		return true;
	if (err)
		exchange_blame(exchange, "cannot ask xenstored: %s", strerror(-err));
	if (!*exchange->result.why)
		exchange_blame(exchange, "xenstored does not write its state");
	if (exchange->own)
		own_ask(exchange->own, XS_CONTROL, "live-update\0-a", sizeof("live-update\0-a"));
	exchange_undo(exchange);
	return false;
}

bool exchange_look_before(struct exchange *exchange)
{
	return exchange_stage(exchange) == EXCHANGE_ASKED ? look_at_asked(exchange)
							  : look_at_rest(exchange);
}

/* --- after */

/* Those that the new daemon has not mapped: they ended meanwhile. */
static void sift_domains(struct daemon *daemon)
{
	const struct rings *rings = &upstream_memory(daemon->upstream)->rings;

	for (uint32_t domid = 0; domid < ARENA_DOMID_MAX; domid++) {
		const struct session *s = domains_session(daemon->domains, domid);
		const struct link_msg gone = { .type = LINK_UNMAP, .domid = domid };

		if (s && s->ledger->map_gen != atomic_load(&rings_attach(rings, domid)->map_gen))
			domains_change(daemon->domains, &gone);
	}
}

static void part_client(struct client *client, void *arg)
{
	(void)arg;
	client->parted = true;
}

void exchange_return(struct exchange *exchange)
{
	exchange->daemon->parted = true;
	sift_domains(exchange->daemon);
	clients_each(exchange->daemon->clients, part_client, NULL);
	exchange_enter(exchange, EXCHANGE_RETURN);
}

/* oxenstored's state does not say who has whom as a target. */
static int put_targets_back(struct exchange *exchange)
{
	struct domains *domains = exchange->daemon->domains;

	for (struct session *s = domains_next_session(domains, 0); s;
	     s = domains_next_session(domains, s->domid + 1)) {
		int user = target_user(s), len, err;
		char words[32];

		if (user < 0)
			continue;
		len = snprintf(words, sizeof(words), "%d%c%u", user, 0, s->domid);
		err = own_ask(exchange->own, XS_SET_TARGET, words, (uint32_t)len + 1);
		if (err)
			return err;
		exchange->asked++;
	}
	return 0;
}

static int begin_return(struct exchange *exchange)
{
	struct daemon *daemon = exchange->daemon;
	int err = 0;

	exchange->asked = exchange->answers = 0;
	if (daemon->flavour == RINGS_FLAVOUR_OCAML) {
		exchange->own = own_close(exchange->own);
		err = own_open(&exchange->own, daemon, own_reply, exchange);
		if (!err)
			err = put_targets_back(exchange);
	}
	if (err)
		return err;
	for (struct session *s = domains_next_session(daemon->domains, 0); s;
	     s = domains_next_session(daemon->domains, s->domid + 1))
		renew_begin(s, true);
	return 0;
}

struct again {
	struct keeper *keeper;
	bool full; /* xenstored's backlog is */
	uint32_t left;
};

static void again_one(struct client *client, void *arg)
{
	struct again *again = arg;

	if (!client->parted)
		return;
	again->full = again->full || client_again(client, again->keeper);
	if (again->full)
		again->left++;
	else
		renew_begin(client->session, true);
}

static bool look_at_return(struct exchange *exchange)
{
	struct again again = { .keeper = exchange->daemon->keeper };

	if (!exchange->begun && begin_return(exchange))
		return true;
	exchange->begun = true;
	clients_each(exchange->daemon->clients, again_one, &again);
	if (again.left || restless(exchange->daemon) || !keeper_told(again.keeper) ||
	    (exchange->own && exchange->answers < exchange->asked))
		return true;
	exchange_end(exchange);
	return false;
}

static void undo_one(struct session *s, void *arg)
{
	(void)arg;
	if (transaction_count(&s->transactions))
		renew_begin(s, false);
}

static bool look_at_undo(struct exchange *exchange)
{
	if (!upstream_serves(exchange->daemon->upstream))
		return true;
	if (!exchange->begun)
		for_each(exchange->daemon, undo_one, NULL);
	exchange->begun = true;
	if (restless(exchange->daemon))
		return true;
	exchange_end(exchange);
	return false;
}

bool exchange_look_after(struct exchange *exchange)
{
	return exchange_stage(exchange) == EXCHANGE_RETURN ? look_at_return(exchange)
							   : look_at_undo(exchange);
}
