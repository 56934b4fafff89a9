/* SPDX-License-Identifier: MIT */
/*
 * exchange - another xenstored takes the place of the running one (docs/architecture.md, "The
 * exchange of xenstored").
 *
 * Conducts it, stage by stage: has sessions come to rest, the daemon write down what it has, the
 * starter make the other daemon of it, and sessions make anew what they had. Which stage it is lies
 * with the domains' ledgers, so an xsproxyd that follows goes on from there.
 *
 * Made by main.c, asked by control/. Must never look into a state: that is the starter's.
 */
#ifndef XSPROXY_PROXY_EXCHANGE_EXCHANGE_H
#define XSPROXY_PROXY_EXCHANGE_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/exchange/outcome.h"
#include "proxy/session/ledgers.h"

struct daemon;
struct exchange;

/* As they are in struct ledgers_exchange: none may ever mean something else. */
enum exchange_stage {
	EXCHANGE_NONE = 0,
	EXCHANGE_REST,	  /* no front is read; sessions are coming to rest */
	EXCHANGE_PART,	  /* their transactions are being ended */
	EXCHANGE_ASKED,	  /* the daemon was asked to write down what it has */
	EXCHANGE_HAVE,	  /* the keeper has that: the daemon is no more */
	EXCHANGE_STARTED, /* a starter has it */
	EXCHANGE_RETURN,  /* the other daemon is there; sessions make anew what they had */
	EXCHANGE_UNDO,	  /* nothing comes of it: transactions are opened again */
	/* entry.h: in place of those before HAVE; all that is there is still a native daemon's */
	EXCHANGE_ENTRY = LEDGERS_ENTRY,
	/* leave.h: in place of those after HAVE; all may be a native daemon's already */
	EXCHANGE_LEAVING = LEDGERS_LEAVING,
	/* In place of those before HAVE: nobody has asked xenstored to end */
	EXCHANGE_CRASHED = LEDGERS_CRASHED,
	/* After RETURN: what the one before has not answered is asked again, one by one */
	EXCHANGE_AGAIN = LEDGERS_AGAIN,
};

/* Who waits for one to end; none may begin another. */
struct exchange_waiter {
	/** stage() - it is in the next one, which is @doing. */
	void (*stage)(void *arg, const char *doing);
	/** done() - called once, later, when it has ended; not if we end before. */
	void (*done)(void *arg, const struct exchange_result *result);
};

/** exchange_new() - with what an xsproxyd before us has left. Return: 0 or a negative errno. */
int exchange_new(struct exchange **out, struct daemon *daemon);

/** exchange_free() - one that is under way goes on with the next xsproxyd. NULL is fine. */
struct exchange *exchange_free(struct exchange *exchange);

/* Said instead of that of the stage ASKED when xenstored writes down nothing (exchange_reads()): */
#define EXCHANGE_READS "the store is to be read, for this xenstored does not write it down"

/**
 * exchange_hindrance() - why none can begin now, as far as that can be known before.
 * @with: the path of the daemon to be executed; "" for the configured one
 * @reads: whoever asks will read the store at EXCHANGE_READS, and hand it over as a live-update
 *	program does
 *
 * Return: a line, static; or NULL: nothing is in the way.
 */
const char *exchange_hindrance(const struct exchange *exchange, const char *with, bool reads);

/**
 * exchange_begin() - begin one.
 * @with, @reads: as of exchange_hindrance()
 * @waiter, @arg: told what becomes of it, from within here, too
 *
 * Return: NULL; or as exchange_hindrance(), and nothing was done.
 */
const char *exchange_begin(struct exchange *exchange, const char *with, bool reads,
			   const struct exchange_waiter *waiter, void *arg);

/** exchange_forget() - nobody waits for the end any more. */
void exchange_forget(struct exchange *exchange, const void *arg);

/** exchange_doing() - what stage it is in, in words; NULL: there is none. */
const char *exchange_doing(const struct exchange *exchange);

/** exchange_ms() - for how long the one under way has been, whichever xsproxyd began it. */
uint64_t exchange_ms(const struct exchange *exchange);

/**
 * exchange_last() - what came of the last one, whichever xsproxyd saw it end.
 *
 * Return: whether there was one, as far as is known: with a xenstored that begins afresh that is
 * forgotten.
 */
bool exchange_last(const struct exchange *exchange, struct exchange_result *result);

#endif
