/* SPDX-License-Identifier: MIT */
/*
 * outcome - what came of the last exchange of xenstored, where the next xsproxyd finds it.
 *
 * Used by exchange.c, and by whoever is told of it. Must never know of stages.
 */
#ifndef XSPROXY_PROXY_EXCHANGE_OUTCOME_H
#define XSPROXY_PROXY_EXCHANGE_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

struct ledgers_exchange;

/* As it is in struct ledgers_exchange: none may ever mean something else. */
enum exchange_outcome {
	EXCHANGE_DONE = 1,  /* the other daemon is there */
	EXCHANGE_UNCHANGED, /* all goes on as before */
	EXCHANGE_RESTORED,  /* the daemon before was started again, with all that it had */
	EXCHANGE_LOST, /* what it had is gone: guests are held until they are introduced anew */
};

struct exchange_result {
	enum exchange_outcome outcome;
	char why[320];	   /* "" for EXCHANGE_DONE */
	uint32_t pause_ms; /* for how long no front was read */
	uint64_t ended;	   /* ns of CLOCK_MONOTONIC */
};

/** outcome_begin() - one begins, of which nothing has come yet. @since: ns of CLOCK_MONOTONIC */
void outcome_begin(struct ledgers_exchange *at, uint64_t since);

/** outcome_blame() - why nothing will have come of the one under way. */
void outcome_blame(struct ledgers_exchange *at, const char *why);

/** outcome_end() - it has ended. */
void outcome_end(struct ledgers_exchange *at, const struct exchange_result *result);

/**
 * outcome_left() - of the one under way, which an xsproxyd before us has begun.
 * @result: what is known by now
 *
 * Return: since when, as of outcome_begin().
 */
uint64_t outcome_left(const struct ledgers_exchange *at, struct exchange_result *result);

/** outcome_read() - of the last one, while none is under way. Return: whether there was one. */
bool outcome_read(const struct ledgers_exchange *at, struct exchange_result *result);

#endif
