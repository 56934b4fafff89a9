// SPDX-License-Identifier: MIT
/*
 * exchange_handing - what starters of xenstored are told in an exchange: give what you have, here
 * is the state, you are not needed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/exchange/exchange_parts.h"
#include "proxy/exchange/own.h"
#include "proxy/exchange/plan.h"
#include "proxy/host/keeper.h"
#include "proxy/host/memory.h"
#include "proxy/host/upstream.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/session/ledgers.h"

#define AFTER_MS 1000 /* between two attempts with the daemon that was there before */

/* @with: of the words, and so maybe without an end */
static int make_plan(const struct exchange *exchange, const char with[LEDGERS_DAEMON_MAX])
{
	char text[LEDGERS_DAEMON_MAX];

	memcpy(text, with, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	return plan_make(exchange->daemon, text);
}

/* Give the state to the starter that is there. @at: exchange_words() */
static void hand_out(struct exchange *exchange, struct ledgers_exchange *at)
{
	uint32_t tries = atomic_load(&at->tries);
	int fds[START_RESTORE_FDS] = {
		exchange->state,
		make_plan(exchange, tries ? at->was : at->with),
		upstream_memory(exchange->daemon->upstream)->rings.arena.fd,
	};
	int err = fds[1] < 0 ? fds[1] : 0;

	exchange_forget_all(exchange->daemon);
	if (!err && lseek(exchange->state, 0, SEEK_SET))
		err = -errno;
	if (!err)
		err = starters_tell(exchange->starters, START_RESTORE, fds, START_RESTORE_FDS);
	if (fds[1] >= 0)
		close(fds[1]);
	if (err) {
		/* It comes again, or the next one does. */
		log_line(LOG_ERR, "cannot give the state to the starter of xenstored: %s",
			 strerror(-err));
		exchange->untold = true;
		loop_timer(exchange->timer, AFTER_MS);
		return;
	}
	exchange->untold = false;
	exchange->result.outcome = tries ? EXCHANGE_RESTORED : 0;
	atomic_store(&at->tries, tries + 1);
	exchange_enter(exchange, EXCHANGE_STARTED);
}

void exchange_hand_over(struct exchange *exchange)
{
	struct ledgers_exchange *at = exchange_words(exchange);

	/* From here on the daemon may end: what it had must outlive us. */
	exchange->untold = !at || !keeper_told(exchange->daemon->keeper);
	if (exchange->untold) {
		loop_timer(exchange->timer, EXCHANGE_LOOK_MS);
		return;
	}
	if (exchange_stage(exchange) != EXCHANGE_HAVE)
		exchange_enter(exchange, EXCHANGE_HAVE);
	if (exchange->role == START_DAEMON)
		hand_out(exchange, at);
	else
		starters_tell(exchange->starters, START_ENOUGH, NULL, 0);
}

static void came_cb(void *arg, enum start_role role)
{
	struct exchange *exchange = arg;
	enum exchange_stage stage = exchange_stage(exchange);

	exchange->role = role;
	if (stage >= EXCHANGE_HAVE && stage <= EXCHANGE_RETURN) {
		if (stage != EXCHANGE_HAVE && role == START_DAEMON) {
			if (!*exchange->result.why)
				exchange_blame(exchange, "the new xenstored ended at its start");
			exchange_enter(exchange, EXCHANGE_HAVE);
		}
		exchange_hand_over(exchange);
		return;
	}
	/* Also where nothing was to come of it, and the daemon was quicker. */
	if (stage == EXCHANGE_ASKED || stage == EXCHANGE_UNDO)
		starters_tell(exchange->starters, START_WANT, NULL, 0);
	else
		starters_tell(exchange->starters, START_AFRESH, NULL, 0);
}

/* It was written before anybody was asked: after a live update that failed one may be left. */
static bool is_old(const struct exchange *exchange, uint32_t age)
{
	uint64_t since = (clock_monotonic() - exchange->since) / CLOCK_NS_OF_S;

	return exchange->role == START_DAEMON && exchange->ours && age > since + 1;
}

static void state_cb(void *arg, int fd, uint32_t age)
{
	struct exchange *exchange = arg;
	enum exchange_stage stage = exchange_stage(exchange);

	if (fd >= 0 && is_old(exchange, age)) {
		close(fd);
		fd = -ESTALE;
	}
	if (stage != EXCHANGE_ASKED && stage != EXCHANGE_UNDO) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (fd < 0) {
		starters_tell(exchange->starters, START_AFRESH, NULL, 0);
		exchange_lost(exchange, "xenstored ended, and left no state");
		return;
	}
	exchange->own = own_close(exchange->own);
	exchange->state = fd;
	exchange->daemon->parted = true;
	exchange_blame(exchange, "%s", "");
	upstream_keep_state(exchange->daemon->upstream, fd);
	atomic_store(&exchange_words(exchange)->tries, 0);
	exchange_hand_over(exchange);
}

static void failed_cb(void *arg, const char *why)
{
	struct exchange *exchange = arg;

	if (exchange_stage(exchange) != EXCHANGE_STARTED)
		return;
	exchange_blame(exchange, "the new xenstored cannot be started: %s", why);
	log_line(LOG_ERR, "exchange of xenstored: %s", exchange->result.why);
	exchange_enter(exchange, EXCHANGE_HAVE);
	if (exchange->result.outcome != EXCHANGE_RESTORED) {
		exchange_hand_over(exchange);
		return;
	}
	exchange->untold = true;
	loop_timer(exchange->timer, AFTER_MS);
}

const struct starters_news exchange_news = { came_cb, state_cb, failed_cb };
