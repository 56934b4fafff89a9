// SPDX-License-Identifier: MIT
#include "proxy/exchange/exchange.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/room.h"
#include "link/keep.h"
#include "link/start.h"
#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/exchange/entry.h"
#include "proxy/exchange/exchange_parts.h"
#include "proxy/exchange/leave.h"
#include "proxy/exchange/outcome.h"
#include "proxy/host/clients.h"
#include "proxy/host/domain.h"
#include "proxy/host/keeper.h"
#include "proxy/host/mark.h"
#include "proxy/host/memory.h"
#include "proxy/host/own.h"
#include "proxy/host/upstream.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/mend/mend.h"
#include "proxy/mend/pour.h"
#include "proxy/session/session.h"
#include "proxy/toolstack/target.h"

struct ledgers_exchange *exchange_words(const struct exchange *exchange)
{
	const struct memory *memory = upstream_memory(exchange->daemon->upstream);

	return memory && !memory->old ? ledgers_exchange(&memory->ledgers) : NULL;
}

/* A word that is no stage is none: another xsproxyd, or chance, may have left it. */
static enum exchange_stage stage_of(const struct ledgers_exchange *at)
{
	uint32_t stage = atomic_load(&at->stage);

	if (stage == EXCHANGE_CRASHED || stage == EXCHANGE_AGAIN)
		return (enum exchange_stage)stage;
	return stage <= EXCHANGE_UNDO ? (enum exchange_stage)stage : EXCHANGE_NONE;
}

enum exchange_stage exchange_stage(const struct exchange *exchange)
{
	const struct ledgers_exchange *at = exchange_words(exchange);

	if (at && exchange->entry && atomic_load(&at->stage) == EXCHANGE_ENTRY)
		return EXCHANGE_ENTRY;
	if (at && exchange->leave && atomic_load(&at->stage) == EXCHANGE_LEAVING)
		return EXCHANGE_LEAVING;
	return at ? stage_of(at) : EXCHANGE_NONE;
}

#define HAVE_WAITS "the state waits for a starter; if none comes, start xsproxy-xenstored.service"

static const char *const doing[] = {
	[EXCHANGE_REST] = "connections are coming to rest",
	[EXCHANGE_PART] = "transactions are being ended",
	[EXCHANGE_ASKED] = "xenstored was asked for its state",
	[EXCHANGE_HAVE] = HAVE_WAITS,
	[EXCHANGE_STARTED] = "a starter has the state",
	[EXCHANGE_RETURN] = "the new xenstored is told of watches and transactions",
	[EXCHANGE_ENTRY] = "the native xenstored's state is being taken",
	[EXCHANGE_LEAVING] = "a native xenstored is given all",
	[EXCHANGE_CRASHED] = "xenstored has ended; what it has not answered is taken back",
	[EXCHANGE_AGAIN] = "the new xenstored is asked what the one before has not answered",
	[EXCHANGE_UNDO] = "xenstored stays; transactions are opened again",
};

static const char *doing_in(const struct exchange *exchange, enum exchange_stage stage)
{
	return stage == EXCHANGE_ASKED && exchange->reads ? EXCHANGE_READS : doing[stage];
}

void exchange_enter(struct exchange *exchange, enum exchange_stage stage)
{
	atomic_store(&exchange_words(exchange)->stage, stage);
	exchange->begun = false;
	exchange->deadline = 0;
	/* From then on nothing is to come, nor can any of it go. */
	if (stage != EXCHANGE_PART && stage != EXCHANGE_ASKED)
		exchange->daemon->ebbs = false;
	if (stage == EXCHANGE_NONE)
		return;
	log_line(LOG_NOTICE, "exchange of xenstored: %s", doing_in(exchange, stage));
	if (exchange->waiter)
		exchange->waiter->stage(exchange->arg, doing_in(exchange, stage));
	loop_timer(exchange->timer, EXCHANGE_LOOK_MS);
}

const char *exchange_doing(const struct exchange *exchange)
{
	enum exchange_stage stage = exchange_stage(exchange);

	if (stage == EXCHANGE_NONE && exchange->entry)
		return ENTRY_EXPECTS;
	return doing_in(exchange, stage);
}

/* --- stages that are looked at from time to time */

/* It has not begun, or is that of an xsproxyd before us. */
static bool look_at_leave(struct exchange *exchange)
{
	return exchange->daemon->leaving ? leave_look(exchange) : leave_look_before(exchange);
}

static void look_cb(evutil_socket_t fd, short what, void *arg)
{
	struct exchange *exchange = arg;
	bool again = false;

	(void)fd;
	(void)what;
	if (exchange->untold) {
		exchange_hand_over(exchange);
		return;
	}
	switch (exchange_stage(exchange)) {
	case EXCHANGE_REST:
	case EXCHANGE_PART:
	case EXCHANGE_ASKED:
		again = exchange_look_before(exchange);
		break;
	case EXCHANGE_RETURN:
	case EXCHANGE_UNDO:
		again = exchange_look_after(exchange);
		break;
	case EXCHANGE_ENTRY:
		again = entry_look(exchange);
		break;
	case EXCHANGE_LEAVING:
		again = leave_look(exchange);
		break;
	case EXCHANGE_NONE:
		exchange_let_late(exchange);
		again = exchange->leave && look_at_leave(exchange);
		break;
	case EXCHANGE_STARTED:
		again = exchange_look_started(exchange);
		break;
	case EXCHANGE_CRASHED:
		again = exchange_look_crashed(exchange);
		break;
	case EXCHANGE_AGAIN:
		again = exchange_look_again(exchange);
		break;
	case EXCHANGE_HAVE:
		break;
	}
	if (again)
		loop_timer(exchange->timer, EXCHANGE_LOOK_MS);
}

/* --- bridges */

static void bridge_came(void *arg)
{
	struct exchange *exchange = arg;
	enum exchange_stage stage = exchange_stage(exchange);

	mend_up(exchange->daemon->mend);
	/* Starters wait for us from now on, whatever happens. */
	mark_set(&exchange->daemon->config, LINK_SERVED);
	if (mark_is_set(&exchange->daemon->config, LINK_LEFT)) {
		mark_clear(&exchange->daemon->config, LINK_LEFT);
		clients_halt(exchange->daemon->clients, SOCK_MOVES);
	}
	if (stage == EXCHANGE_NONE && exchange->daemon->paused)
		exchange_lost(exchange,
			      "a xenstored was started that knows nothing of the one before");
	if (stage == EXCHANGE_NONE) {
		/* Toolstacks' connections are taken up after this. */
		loop_timer(exchange->timer, EXCHANGE_LOOK_MS);
		return;
	}
	/* An xsproxyd before us had begun. */
	exchange->daemon->paused = true;
	if (stage == EXCHANGE_STARTED || stage == EXCHANGE_RETURN) {
		exchange_return(exchange);
		return;
	}
	if (stage == EXCHANGE_AGAIN) {
		clients_upstream_up(exchange->daemon->clients);
		exchange_begin_again(exchange);
		return;
	}
	/* The daemon is there still. */
	exchange->abort = stage >= EXCHANGE_ASKED;
	exchange_blame(exchange, "xsproxyd was started anew before xenstored had ended");
	exchange_enter(exchange, EXCHANGE_UNDO);
}

static bool bridge_gone(void *arg)
{
	struct exchange *exchange = arg;
	enum exchange_stage stage = exchange_stage(exchange);

	exchange->own = own_close(exchange->own);
	mend_down(exchange->daemon->mend);
	if (stage == EXCHANGE_RETURN) {
		exchange_poured_out(exchange);
		exchange_know(exchange, -1);
		exchange_enter(exchange, EXCHANGE_STARTED);
	}
	if (stage >= EXCHANGE_ASKED && stage != EXCHANGE_AGAIN)
		return true;
	if (exchange_crashed(exchange))
		return true;
	if (stage != EXCHANGE_NONE)
		exchange_lost(exchange, "xenstored ended before it was asked for its state");
	else
		exchange_wait_no_more(exchange);
	return false;
}

static void bridge_again(void *arg)
{
	struct exchange *exchange = arg;
	enum exchange_stage stage = exchange_stage(exchange);

	mend_up(exchange->daemon->mend);
	exchange->abort = stage == EXCHANGE_ASKED || stage == EXCHANGE_UNDO;
	if (exchange->abort)
		exchange_enter(exchange, EXCHANGE_UNDO);
	else if (stage == EXCHANGE_HAVE || stage == EXCHANGE_CRASHED)
		/* No other one can be there yet: an xsproxyd before us was about to end it. */
		exchange_end_daemon(exchange);
	else
		exchange_return(exchange);
}

/* --- */

static const struct upstream_watcher watcher = { bridge_came, bridge_gone, bridge_again };

/* oxenstored writes nothing down as long as it is so, for its state does not say so. */
bool exchange_reads(const struct daemon *daemon)
{
	if (daemon->flavour != RINGS_FLAVOUR_OCAML)
		return false;
	DOMAINS_EACH_SESSION(daemon->domains, s)
		if (target_user(s) >= 0)
			return true;
	return false;
}

const char *exchange_hindrance(const struct exchange *exchange, const char *with, bool reads)
{
	const struct daemon *daemon = exchange->daemon;

	if (exchange_stage(exchange) || exchange->entry || exchange->leave)
		return "one is under way already";
	if (strlen(with) >= LEDGERS_DAEMON_MAX)
		return "the path of the daemon is too long";
	if (!upstream_serves(daemon->upstream))
		return "there is no xenstored with the bridge; see xsproxyctl status";
	if (!exchange_words(exchange))
		return "the bridge in the running xenstored is that of xsproxy 0.1; reboot dom0 "
		       "once";
	if (!keeper_there(daemon->keeper))
		return "there is no keeper; start xsproxy-keeper";
	if (!domains_session(daemon->domains, 0))
		return "dom0's own ring is not relayed (XSPROXY_DOM0=0)";
	if (!reads && exchange_reads(daemon))
		return "oxenstored does not write its state as long as a stubdomain serves another "
		       "domain (SET_TARGET)";
	if (!exchange_reads(daemon) && access(daemon->config.live_update, X_OK))
		return "the program that takes xenstored's state cannot be executed; see "
		       "[xenstored] live-update";
	return room_of(rings_header(&upstream_memory(daemon->upstream)->rings)->pid);
}

void exchange_start(struct exchange *exchange, const char *with)
{
	struct ledgers_exchange *at = exchange_words(exchange);

	/* Without words there is a hindrance. */
	if (!at)
		return;
	memcpy(at->was, at->with, sizeof(at->was));
	atomic_store(&at->tries, 0);
	atomic_store(&at->unasked, 0);
	atomic_store(&at->bare, 0);
	exchange->result = (struct exchange_result){ .why = "" };
	exchange->since = clock_monotonic();
	exchange->reads = exchange_reads(exchange->daemon);
	outcome_begin(at, exchange->since);
	exchange->daemon->paused = true;
	exchange->daemon->drains = false;
	exchange_enter(exchange, EXCHANGE_REST);
	/* Now settle() takes it back if nothing comes of it. */
	if (with)
		strcpy(at->with, with);
}

const char *exchange_begin(struct exchange *exchange, const char *with, bool reads,
			   const struct exchange_waiter *waiter, void *arg)
{
	const char *hinders = exchange_hindrance(exchange, with, reads);

	if (hinders)
		return hinders;
	exchange->waiter = waiter;
	exchange->arg = arg;
	exchange_start(exchange, with);
	return NULL;
}

void exchange_forget(struct exchange *exchange, const void *arg)
{
	if (!exchange || !exchange->waiter || exchange->arg != arg)
		return;
	exchange->waiter = NULL;
	if (exchange->reads && exchange_stage(exchange) == EXCHANGE_ASKED && exchange->state < 0)
		exchange_unread(exchange, "who was to read the store has gone");
	if (exchange->entry)
		entry_forgotten(exchange);
	else if (exchange->leave && !exchange_stage(exchange) && !exchange->daemon->left)
		leave_forgotten(exchange);
}

/* Where an xsproxyd before us was. */
static enum exchange_stage stage_left(struct exchange *exchange)
{
	const struct ledgers_exchange *at;
	enum exchange_stage stage;
	struct ledgers left;

	if (!upstream_left(exchange->daemon->upstream, &left))
		return EXCHANGE_NONE;
	at = ledgers_exchange(&left);
	stage = atomic_load(&at->stage) == EXCHANGE_LEAVING ? EXCHANGE_LEAVING : stage_of(at);
	if (stage)
		exchange->since = outcome_left(at, &exchange->result);
	ledgers_close(&left);
	return stage;
}

int exchange_resume(struct exchange *exchange, enum exchange_stage stage)
{
	struct daemon *daemon = exchange->daemon;
	int err;

	daemon->paused = true;
	daemon->parted = stage >= EXCHANGE_HAVE && stage != EXCHANGE_UNDO;
	err = daemon->parted && exchange->state < 0 ? -ENOENT : upstream_restore(daemon->upstream);
	if (err) {
		log_line(LOG_ERR, "cannot go on with the exchange of xenstored: %s",
			 strerror(-err));
		daemon->paused = daemon->parted = false;
		return err;
	}
	log_line(LOG_NOTICE, "goes on with the exchange of xenstored: %s", doing[stage]);
	if (stage == EXCHANGE_RETURN)
		exchange_expect(daemon);
	if (stage == EXCHANGE_STARTED)
		loop_timer(exchange->timer, EXCHANGE_LOOK_MS);
	/* Sessions speak to xenstored from here on, and one may have to be told it. */
	mend_take(daemon->mend);
	clients_upstream_up(daemon->clients);
	return 0;
}

/* An xsproxyd before us had one under way; without xenstored domains are taken up from what the
 * keeper has. */
static int go_on(struct exchange *exchange)
{
	struct daemon *daemon = exchange->daemon;
	enum exchange_stage stage = stage_left(exchange);
	int fds[LINK_PUT_FDS];

	keeper_take(daemon->keeper, KEEP_STATE, fds);
	exchange->state = fds[0];
	exchange->pidfd = fds[1];
	if (mark_is_set(&daemon->config, LINK_LEFT))
		clients_halt(daemon->clients, SOCK_HALTED);
	if (stage == EXCHANGE_LEAVING)
		return leave_go_on(exchange);
	if (stage == EXCHANGE_NONE || stage >= EXCHANGE_CRASHED)
		exchange_drop_state(exchange);
	if (stage >= EXCHANGE_CRASHED)
		exchange_found_dead(exchange);
	else if (stage >= EXCHANGE_ASKED)
		exchange_resume(exchange, stage);
	return 0;
}

int exchange_new(struct exchange **out, struct daemon *daemon)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));
	int err;

	if (!exchange)
		return -ENOMEM;
	exchange->daemon = daemon;
	exchange->state = exchange->pidfd = -1;
	exchange->since = clock_monotonic();
	exchange->timer = evtimer_new(daemon->base, look_cb, exchange);
	err = exchange->timer ? starters_new(&exchange->starters, daemon, &exchange_news, exchange)
			      : -ENOMEM;
	if (err) {
		exchange_free(exchange);
		return err;
	}
	upstream_watch(daemon->upstream, &watcher, exchange);
	daemon->update_hooks = &exchange_update_hooks;
	daemon->again_answered = exchange_again_answered;
	err = go_on(exchange);
	if (err) {
		exchange_free(exchange);
		return err;
	}
	*out = exchange;
	return 0;
}

struct exchange *exchange_free(struct exchange *exchange)
{
	if (!exchange)
		return NULL;
	upstream_watch(exchange->daemon->upstream, NULL, NULL);
	exchange->daemon->again_answered = NULL;
	starters_free(exchange->starters);
	entry_free(exchange->entry);
	leave_free(exchange->leave);
	own_close(exchange->own);
	pour_free(exchange->pour);
	if (exchange->state >= 0)
		close(exchange->state);
	if (exchange->pidfd >= 0)
		close(exchange->pidfd);
	if (exchange->timer)
		event_free(exchange->timer);
	free(exchange);
	return NULL;
}
