// SPDX-License-Identifier: MIT
/*
 * exchange_end - how an exchange of xenstored ends, and who is told what came of it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "link/keep.h"
#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/exchange/exchange_parts.h"
#include "proxy/exchange/leave.h"
#include "proxy/exchange/outcome.h"
#include "proxy/host/own.h"
#include "proxy/host/upstream.h"
#include "proxy/log.h"
#include "proxy/mend/pour.h"
#include "proxy/session/ledgers.h"

uint64_t exchange_ms(const struct exchange *exchange)
{
	return (clock_monotonic() - exchange->since) / CLOCK_NS_OF_MS;
}

bool exchange_last(const struct exchange *exchange, struct exchange_result *result)
{
	const struct ledgers_exchange *at = exchange_words(exchange);

	return at && !exchange_stage(exchange) && outcome_read(at, result);
}

/* Noted while the stage still says that it is under way: what comes of it must not get lost. */
static void settle(struct exchange *exchange)
{
	struct exchange_result *result = &exchange->result;
	struct ledgers_exchange *at = exchange_words(exchange);

	result->ended = clock_monotonic();
	result->pause_ms = (uint32_t)exchange_ms(exchange);
	if (!result->outcome)
		result->outcome = *result->why ? EXCHANGE_UNCHANGED : EXCHANGE_DONE;
	(*(result->outcome == EXCHANGE_DONE ? &exchange->daemon->exchanged
					    : &exchange->daemon->unexchanged))++;
	if (!at)
		return;
	/* What was to be is not what there is when the next exchange begins. */
	if (result->outcome != EXCHANGE_DONE)
		memcpy(at->with, at->was, sizeof(at->with));
	outcome_end(at, result);
}

/* @crashed: nobody had asked xenstored to end */
static void report(struct exchange *exchange, bool crashed)
{
	const struct exchange_result *result = &exchange->result;
	const struct exchange_waiter *waiter = exchange->waiter;

	exchange_note_how(exchange);
	if (result->outcome != EXCHANGE_DONE && !(crashed && result->outcome == EXCHANGE_RESTORED))
		log_line(LOG_ERR, "exchange of xenstored: %s%s", result->why,
			 result->outcome == EXCHANGE_RESTORED ? "; the one before was started again"
							      : "");
	else if (crashed)
		log_line(LOG_WARNING,
			 "xenstored has ended unasked%s, and another one has taken its place; "
			 "nobody was served for %u ms, requests that were asked again: %u",
			 exchange->how, result->pause_ms, exchange->asks_again);
	else
		log_line(LOG_NOTICE, "xenstored was exchanged; nobody was served for %u ms",
			 result->pause_ms);
	*exchange->how = '\0';
	exchange->waiter = NULL;
	if (waiter)
		waiter->done(exchange->arg, result);
}

/* Not before the stage says that nobody needs it. */
void exchange_drop_state(struct exchange *exchange)
{
	int state = exchange->state;

	exchange->state = -1;
	exchange_know(exchange, -1);
	if (state >= 0)
		close(state);
}

void exchange_end(struct exchange *exchange)
{
	struct ledgers_exchange *at = exchange_words(exchange);
	struct daemon *daemon = exchange->daemon;
	bool crashed = at && atomic_load(&at->unasked);

	exchange->own = own_close(exchange->own);
	exchange->pour = pour_free(exchange->pour);
	daemon->drains = daemon->paused = daemon->ebbs = daemon->parted = false;
	exchange->some_gone = exchange->reads = false;
	settle(exchange);
	if (at) {
		exchange_enter(exchange, EXCHANGE_NONE);
		atomic_store(&at->unasked, 0);
		atomic_store(&at->bare, 0);
	}
	exchange_drop_state(exchange);
	if (exchange->leave)
		leave_over(exchange);
	exchange_wake_all(daemon);
	report(exchange, crashed);
	exchange->asks_again = 0;
}

void exchange_blame(struct exchange *exchange, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(exchange->result.why, sizeof(exchange->result.why), fmt, args);
	va_end(args);
	if (exchange_words(exchange))
		outcome_blame(exchange_words(exchange), exchange->result.why);
}

void exchange_lost(struct exchange *exchange, const char *why)
{
	exchange_blame(exchange, "%s; guests are held until they are introduced anew", why);
	exchange->result.outcome = EXCHANGE_LOST;
	exchange_end(exchange);
	exchange_wait_no_more(exchange);
	/* Or what guests ask from now on would never be answered. */
	upstream_give_up(exchange->daemon->upstream);
}
