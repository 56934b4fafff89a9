// SPDX-License-Identifier: MIT
#include "proxy/exchange/outcome.h"

#include <stdio.h>
#include <string.h>

#include "proxy/session/ledgers.h"

_Static_assert(sizeof(((struct exchange_result *)0)->why) == LEDGERS_WHY_MAX, "a reason is cut");

void outcome_begin(struct ledgers_exchange *at, uint64_t since)
{
	/* An xsproxyd that comes in between must not take what it finds for the last one's. */
	atomic_store(&at->ended, 0);
	atomic_store(&at->since, since);
	at->why[0] = '\0';
}

void outcome_blame(struct ledgers_exchange *at, const char *why)
{
	snprintf(at->why, sizeof(at->why), "%s", why);
}

void outcome_end(struct ledgers_exchange *at, const struct exchange_result *result)
{
	outcome_blame(at, result->why);
	atomic_store(&at->outcome, result->outcome);
	atomic_store(&at->pause_ms, result->pause_ms);
	atomic_store(&at->ended, result->ended);
}

static void read_why(const struct ledgers_exchange *at, struct exchange_result *result)
{
	memcpy(result->why, at->why, sizeof(result->why));
	result->why[sizeof(result->why) - 1] = '\0';
}

uint64_t outcome_left(const struct ledgers_exchange *at, struct exchange_result *result)
{
	*result = (struct exchange_result){
		.outcome = atomic_load(&at->tries) > 1 ? EXCHANGE_RESTORED : 0,
	};
	read_why(at, result);
	return atomic_load(&at->since);
}

bool outcome_read(const struct ledgers_exchange *at, struct exchange_result *result)
{
	*result = (struct exchange_result){
		.outcome = (enum exchange_outcome)atomic_load(&at->outcome),
		.pause_ms = atomic_load(&at->pause_ms),
		.ended = atomic_load(&at->ended),
	};
	read_why(at, result);
	return result->ended;
}
