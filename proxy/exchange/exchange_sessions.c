// SPDX-License-Identifier: MIT
/*
 * exchange_sessions - what an exchange of xenstored has sessions do: they come to rest and part
 * from one daemon, and make anew with another one what they had.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "link/link.h"
#include "protocol/message.h"
#include "proxy/daemon.h"
#include "proxy/exchange/exchange_parts.h"
#include "proxy/host/client.h"
#include "proxy/host/clients.h"
#include "proxy/host/domain.h"
#include "proxy/host/keeper.h"
#include "proxy/host/lasting.h"
#include "proxy/host/memory.h"
#include "proxy/host/own.h"
#include "proxy/host/sessions.h"
#include "proxy/host/upstream.h"
#include "proxy/toolstack/target.h"

#define CALL_OFF "live-update\0-a"

/* --- all sessions */

static void forget_one(struct session *s, void *arg)
{
	(void)arg;
	renew_forget(s);
}

void exchange_forget_all(struct daemon *daemon)
{
	sessions_each(daemon, forget_one, NULL);
}

static void wake_one(struct session *s, void *arg)
{
	(void)arg;
	session_ready(s);
}

void exchange_wake_sessions(struct daemon *daemon)
{
	sessions_each(daemon, wake_one, NULL);
}

void exchange_wake_all(struct daemon *daemon)
{
	exchange_wake_sessions(daemon);
	clients_upstream_up(daemon->clients);
}

/* One that is not bound goes on when it is. */
static void find_busy(struct session *s, void *arg)
{
	bool *busy = arg;

	*busy |= renew_busy(s) && !s->unbound;
}

/* Whether a session still makes anew what it had. */
static bool are_busy(struct daemon *daemon)
{
	bool busy = false;

	sessions_each(daemon, find_busy, &busy);
	return busy;
}

/* Rings that are not bound are not run, and have nothing under way. */
static void find_restless(struct session *s, void *arg)
{
	const struct session **found = arg;

	if (!*found && !s->unbound && !renew_rests(s))
		*found = s;
}

const struct session *exchange_restless(struct daemon *daemon)
{
	const struct session *found = NULL;

	sessions_each(daemon, find_restless, &found);
	return found;
}

/* --- after */

/* Those that the new daemon has not mapped: they ended meanwhile. */
static bool sift_domains(struct daemon *daemon)
{
	const struct rings *rings = &upstream_memory(daemon->upstream)->rings;
	bool some = false;

	for (uint32_t domid = 0; domid < ARENA_DOMID_MAX; domid++) {
		const struct session *s = domains_session(daemon->domains, domid);
		const struct link_msg gone = { .type = LINK_UNMAP, .domid = domid };

		if (s && s->ledger->map_gen != atomic_load(&rings_attach(rings, domid)->map_gen)) {
			domains_change(daemon->domains, &gone);
			some = true;
		}
	}
	return some;
}

static void part_client(struct client *client, void *arg)
{
	(void)arg;
	client->parted = true;
}

/* Clients get new connections. */
void exchange_expect(struct daemon *daemon)
{
	DOMAINS_EACH_SESSION(daemon->domains, s)
		renew_expect(s);
}

void exchange_return(struct exchange *exchange)
{
	exchange->daemon->parted = true;
	exchange->sifted = sift_domains(exchange->daemon) || exchange->some_gone;
	/* Events that were queued in the one that has crashed are lost. */
	exchange->sifted |= atomic_load(&exchange_words(exchange)->unasked) != 0;
	exchange->told = false;
	exchange_expect(exchange->daemon);
	clients_each(exchange->daemon->clients, part_client, NULL);
	exchange_enter(exchange, EXCHANGE_RETURN);
}

/* oxenstored's state does not say who has whom as a target. */
int exchange_put_targets(struct exchange *exchange)
{
	struct domains *domains = exchange->daemon->domains;

	DOMAINS_EACH_SESSION(domains, s) {
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

static int say_again(void *arg, uint32_t type, const char *payload, uint32_t len)
{
	struct exchange *exchange = arg;
	int err = own_ask(exchange->own, type, payload, len);

	exchange->asked += !err;
	return err;
}

/* What no state has. The C daemon's has who has whom as a target. */
static int tell_daemon(struct exchange *exchange)
{
	struct daemon *daemon = exchange->daemon;
	int err;

	exchange->asked = exchange->answers = 0;
	exchange->own = own_close(exchange->own);
	err = own_open(&exchange->own, daemon, exchange_reply, exchange);
	if (err)
		return err;
	return daemon->flavour == RINGS_FLAVOUR_OCAML ? exchange_put_targets(exchange)
						      : lasting_each(daemon, say_again, exchange);
}

static void renew_one(struct session *s, bool pass)
{
	renew_begin(s, true);
	if (pass)
		renew_pass(s);
}

/* What it is told first may be how many watches a domain may have. Return: whether it is. */
static bool is_told(struct exchange *exchange)
{
	struct domains *domains = exchange->daemon->domains;

	if (!exchange_pour(exchange) || (!exchange->begun && tell_daemon(exchange)))
		return false;
	exchange->begun = true;
	if (exchange->told || (exchange->own && exchange->answers < exchange->asked))
		return exchange->told;
	DOMAINS_EACH_SESSION(domains, s)
		renew_one(s, exchange->sifted);
	exchange->told = true;
	return true;
}

struct again {
	struct keeper *keeper;
	bool pass;
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
		renew_one(client->session, again->pass);
}

static bool look_at_return(struct exchange *exchange)
{
	struct again again = { .keeper = exchange->daemon->keeper, .pass = exchange->sifted };

	if (!is_told(exchange))
		return true;
	clients_each(exchange->daemon->clients, again_one, &again);
	if (again.left || are_busy(exchange->daemon) || !keeper_told(again.keeper))
		return true;
	if (exchange_begin_again(exchange))
		return false;
	exchange_end(exchange);
	return false;
}

/* Who kept xenstored at REST has not parted from it, and may owe it for ever what it does not read.
 */
static void undo_one(struct session *s, void *arg)
{
	(void)arg;
	if (renew_parted(s))
		renew_begin(s, false);
}

/*
 * The daemon must not write its state after all, with us serving. Until it has answered it may yet
 * be about to; then its bridge goes, and a starter comes. Return: 0 or why it cannot be asked yet.
 */
static int call_off(struct exchange *exchange)
{
	int err;

	exchange->answers = exchange->asked = 0;
	if (!exchange->abort)
		return 0;
	exchange->own = own_close(exchange->own);
	err = own_open(&exchange->own, exchange->daemon, exchange_reply, exchange);
	if (!err)
		err = own_ask(exchange->own, XS_CONTROL, CALL_OFF, sizeof(CALL_OFF));
	exchange->asked = !err;
	return err;
}

static bool look_at_undo(struct exchange *exchange)
{
	/* Somebody comes, or has to be waited for. */
	if (!upstream_serves(exchange->daemon->upstream))
		return false;
	if (!exchange->begun) {
		if (call_off(exchange))
			return true;
		sessions_each(exchange->daemon, undo_one, NULL);
	}
	exchange->begun = true;
	if (exchange->answers < exchange->asked || are_busy(exchange->daemon))
		return true;
	exchange->abort = false;
	exchange_end(exchange);
	return false;
}

bool exchange_look_after(struct exchange *exchange)
{
	return exchange_stage(exchange) == EXCHANGE_RETURN ? look_at_return(exchange)
							   : look_at_undo(exchange);
}
