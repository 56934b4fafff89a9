// SPDX-License-Identifier: MIT
#include "proxy/exchange/leave.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "link/start.h"
#include "protocol/clock.h"
#include "protocol/message.h"
#include "proxy/daemon.h"
#include "proxy/exchange/exchange_parts.h"
#include "proxy/exchange/leave_give.h"
#include "proxy/host/client.h"
#include "proxy/host/clients.h"
#include "proxy/host/domain.h"
#include "proxy/host/keeper.h"
#include "proxy/host/mark.h"
#include "proxy/host/memory.h"
#include "proxy/host/own.h"
#include "proxy/host/sessions.h"
#include "proxy/host/upstream.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/session/hand.h"
#include "proxy/session/ledgers.h"
#include "proxy/session/pending.h"
#include "proxy/session/session.h"

#define DRAIN_MS 5000 /* for transactions, and for requests that clients have sent */

struct leave {
	char native[LEDGERS_DAEMON_MAX];
	bool force;
	bool whole;
	bool targets; /* the daemon has been told who has whom as a target */
	int pidfd;    /* of the program, which becomes the daemon; -1: of an xsproxyd's before us */
};

/* --- before */

struct leave *leave_free(struct leave *leave)
{
	if (leave && leave->pidfd >= 0)
		close(leave->pidfd);
	free(leave);
	return NULL;
}

static struct leave *leave_new(void)
{
	struct leave *leave = calloc(1, sizeof(*leave));

	if (leave)
		leave->pidfd = -1;
	return leave;
}

/* A native daemon would serve them at once. */
static bool stands_still(const struct daemon *daemon)
{
	const struct memory *memory = upstream_memory(daemon->upstream);

	ARENA_EACH(memory->ledgers.held, domid)
		return domid < ARENA_DOMIDS;
	DOMAINS_EACH_SESSION(daemon->domains, s)
		if (session_state(s) == LEDGER_QUIET)
			return true;
	return false;
}

const char *leave_hindrance(const struct exchange *exchange, const char *native, bool reads)
{
	const char *hinders = exchange_hindrance(exchange, native, reads);

	if (hinders)
		return hinders;
	if (*native != '/')
		return "the path of the daemon is no absolute one";
	if (stands_still(exchange->daemon))
		return "a domain is quiesced or held; let it go on before";
	return NULL;
}

const char *leave_begin(struct exchange *exchange, const struct leave_options *options,
			const struct exchange_waiter *waiter, void *arg)
{
	const char *hinders = leave_hindrance(exchange, options->native, options->reads);

	if (hinders)
		return hinders;
	exchange->leave = leave_new();
	if (!exchange->leave)
		return "there is no memory";
	strcpy(exchange->leave->native, options->native);
	exchange->leave->force = options->force;
	exchange->leave->whole = options->whole;
	exchange->waiter = waiter;
	exchange->arg = arg;
	exchange->result = (struct exchange_result){ .why = "" };
	exchange->since = clock_monotonic();
	exchange->deadline = exchange->since + (uint64_t)DRAIN_MS * CLOCK_NS_OF_MS;
	exchange->daemon->drains = true;
	exchange_wake_sessions(exchange->daemon);
	log_line(LOG_NOTICE, "leaving: waiting for open transactions");
	waiter->stage(arg, "waiting for open transactions");
	loop_timer(exchange->timer, EXCHANGE_LOOK_MS);
	return NULL;
}

/* Also one that xenstored is asked for: before its answer is there nobody can end it. */
static bool has_transaction(const struct session *s)
{
	if (session_state(s) == LEDGER_ENDED)
		return false;
	PENDING_EACH(s->ledger, slot)
	{
		if (s->ledger->pending[slot].type == XS_TRANSACTION_START)
			return true;
	}
	return transaction_count(&s->transactions);
}

static void find_transactions(struct session *s, void *arg)
{
	const struct session **found = arg;

	if (!*found && has_transaction(s))
		*found = s;
}

/* Who is to be heard still, where all is to become whole. */
static bool is_engaged_or_unclear(const struct session *s)
{
	return has_transaction(s) || !hand_is_clear(s);
}

static void find_unserved(struct session *s, void *arg)
{
	const struct session **found = arg;

	if (!*found && hand_waits(s))
		*found = s;
}

static void find_unclear(struct session *s, void *arg)
{
	const struct session **found = arg;

	if (!*found && !s->unbound && session_state(s) != LEDGER_ENDED && !hand_is_clear(s))
		*found = s;
}

static void find_unclear_socket(struct session *s, void *arg)
{
	if (s->socket)
		find_unclear(s, arg);
}

static void blame(struct exchange *exchange, const struct session *s, const char *why)
{
	char text[WHO_TEXT_MAX];

	if (s->socket)
		exchange_blame(exchange, "%s %s", who_text(&s->who, text), why);
	else
		exchange_blame(exchange, "domain %u %s", s->domid, why);
}

static const struct session *find(const struct exchange *exchange,
				  void (*fn)(struct session *s, void *arg))
{
	const struct session *s = NULL;

	sessions_each(exchange->daemon, fn, &s);
	return s;
}

const struct session *leave_ebbs(struct exchange *exchange)
{
	exchange->daemon->ebbs = exchange->leave->whole;
	return exchange->daemon->ebbs ? find(exchange, find_unclear) : NULL;
}

static const char OPEN[] = "has an open transaction, which would get lost; wait, or --force";

bool leave_allows(struct exchange *exchange)
{
	const struct session *s = find(exchange, find_transactions);

	if (!s || exchange->leave->force)
		return true;
	blame(exchange, s, OPEN);
	return false;
}

void leave_forgotten(struct exchange *exchange)
{
	exchange_blame(exchange, "who asked for it has gone");
	exchange->result.outcome = EXCHANGE_UNCHANGED;
	exchange_end(exchange);
}

static const char UNCLEAR[] = "has sent a request in part, or does not take what it is to get, and "
			      "oxenstored has no place for that; try again, or --with c";

void leave_blame(struct exchange *exchange, const struct session *s)
{
	blame(exchange, s, UNCLEAR);
}

/* Return: a session for which to wait, or NULL. @late: it has had its time; @why: set */
static const struct session *find_engaged(const struct exchange *exchange, bool late,
					  const char **why)
{
	const struct leave *leave = exchange->leave;
	const struct session *s = leave->force && late ? NULL : find(exchange, find_transactions);

	*why = OPEN;
	if (s)
		return s;
	*why = "has sent more than it takes the answers of; try again";
	s = find(exchange, find_unserved);
	if (s)
		return s;
	*why = UNCLEAR;
	return leave->whole ? find(exchange, find_unclear_socket) : NULL;
}

bool leave_look_before(struct exchange *exchange)
{
	bool late = clock_monotonic() > exchange->deadline, whole = exchange->leave->whole;
	const struct session *s;
	const char *why;

	/* What has come is served; what comes from now on waits with the kernel. */
	if (late)
		clients_halt(exchange->daemon->clients, SOCK_UNREAD);
	else
		clients_ebb(exchange->daemon->clients,
			    whole ? is_engaged_or_unclear : has_transaction);
	s = find_engaged(exchange, late, &why);
	if (s && !late)
		return true;
	if (s) {
		blame(exchange, s, why);
		exchange->result.outcome = EXCHANGE_UNCHANGED;
		exchange_end(exchange);
	} else {
		exchange_start(exchange, NULL);
	}
	return false;
}

void leave_over(struct exchange *exchange)
{
	exchange->leave = leave_free(exchange->leave);
	clients_halt(exchange->daemon->clients, SOCK_MOVES);
	domains_rest(exchange->daemon->domains, false);
}

/* --- the second half */

/* As if it had been an exchange for a daemon of the kind before. */
static void come_back(struct exchange *exchange)
{
	exchange->own = own_close(exchange->own);
	/* What it may have bound for itself nobody else could bind. */
	domains_anew(exchange->daemon->domains);
	leave_over(exchange);
	exchange_enter(exchange, EXCHANGE_HAVE);
}

void leave_tell(struct exchange *exchange)
{
	struct leave *leave = exchange->leave;
	struct daemon *daemon = exchange->daemon;
	int err;

	leave->pidfd = starters_pidfd(exchange->starters);
	/* The C daemon has a place for messages in part. */
	if (!leave->whole)
		DOMAINS_EACH_SESSION(daemon->domains, s)
			hand_withdraw(s);
	/* From here on nothing is touched. */
	clients_halt(daemon->clients, SOCK_HALTED);
	domains_rest(daemon->domains, true);
	exchange_enter(exchange, EXCHANGE_LEAVING);
	err = leave_give(daemon, exchange->starters, exchange->state, leave->native);
	if (!err)
		return;
	exchange_blame(exchange, "cannot hand over what connections have: %s", strerror(-err));
	come_back(exchange);
	starters_tell(exchange->starters, START_ENOUGH, NULL, 0);
}

void leave_missed(struct exchange *exchange)
{
	exchange_blame(exchange, "the program that takes xenstored's state has ended");
	leave_over(exchange);
}

void leave_failed(struct exchange *exchange, const char *why)
{
	exchange_blame(exchange, "the native xenstored cannot be started: %s", why);
	log_line(LOG_ERR, "leaving: %s", exchange->result.why);
	come_back(exchange);
	starters_tell(exchange->starters, START_ENOUGH, NULL, 0);
}

static bool has_ended(const struct leave *leave)
{
	struct pollfd look = { .fd = leave->pidfd, .events = POLLIN };

	return leave->pidfd >= 0 && poll(&look, 1, 0) > 0;
}

/* Who listens at the public socket is that daemon, or nobody yet. */
static void ask(struct exchange *exchange)
{
	const struct daemon *daemon = exchange->daemon;
	int fd = client_connect_to(daemon->config.socket);

	exchange->leave->targets = false;
	if (own_over(&exchange->own, exchange->daemon, fd, exchange_reply, exchange))
		return;
	if (own_ask(exchange->own, XS_DIRECTORY, "/", sizeof("/")))
		exchange->own = own_close(exchange->own);
}

bool leave_look(struct exchange *exchange)
{
	if (has_ended(exchange->leave)) {
		exchange_blame(exchange, "the native xenstored ended at its start");
		come_back(exchange);
		return false;
	}
	if (!exchange->own)
		ask(exchange);
	return true;
}

static void finish(struct exchange *exchange)
{
	struct daemon *daemon = exchange->daemon;
	const struct exchange_waiter *waiter = exchange->waiter;
	int err = mark_set(&daemon->config, LINK_LEFT);

	if (err)
		log_line(LOG_ERR, "leaving: cannot note that in %s: %s; stop xsproxy now",
			 daemon->config.run_dir, strerror(-err));
	else
		mark_clear(&daemon->config, LINK_SERVED);
	daemon->left = true;
	keeper_drop_all(daemon->keeper);
	exchange->leave = leave_free(exchange->leave);
	exchange->result.outcome = EXCHANGE_DONE;
	exchange->result.pause_ms = (uint32_t)exchange_ms(exchange);
	log_line(LOG_NOTICE,
		 "a native xenstored has all; nobody was served for %u ms; xsproxyd can be stopped",
		 exchange->result.pause_ms);
	exchange->waiter = NULL;
	if (waiter)
		waiter->done(exchange->arg, &exchange->result);
}

void leave_answered(struct exchange *exchange)
{
	struct leave *leave = exchange->leave;

	if (!leave->targets) {
		leave->targets = true;
		exchange->answers = exchange->asked = 0;
		exchange_put_targets(exchange);
	}
	if (exchange->answers < exchange->asked)
		return;
	exchange->own = own_close(exchange->own);
	finish(exchange);
}

/* --- after the end of an xsproxyd */

int leave_go_on(struct exchange *exchange)
{
	exchange->leave = leave_new();
	if (!exchange->leave)
		return -ENOMEM;
	exchange->daemon->leaving = true;
	clients_halt(exchange->daemon->clients, SOCK_HALTED);
	loop_timer(exchange->timer, EXCHANGE_LOOK_MS);
	return 0;
}

void leave_back(struct exchange *exchange)
{
	struct daemon *daemon = exchange->daemon;

	if (daemon->leaving) {
		daemon->leaving = false;
		exchange->own = own_close(exchange->own);
		leave_over(exchange);
		if (exchange_resume(exchange, EXCHANGE_LEAVING))
			return;
		exchange_enter(exchange, EXCHANGE_HAVE);
	} else {
		come_back(exchange);
	}
	exchange_blame(exchange, "the native xenstored ended at its start");
}
