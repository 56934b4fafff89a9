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
};

/* What came of one. */
struct exchange_result {
	char why[320];	   /* "": the other daemon is there; else why it is not */
	bool before;	   /* the one before was started again */
	uint32_t pause_ms; /* for how long no front was read */
};

/** exchange_new() - with what an xsproxyd before us has left. Return: 0 or a negative errno. */
int exchange_new(struct exchange **out, struct daemon *daemon);

/** exchange_free() - one that is under way goes on with the next xsproxyd. NULL is fine. */
struct exchange *exchange_free(struct exchange *exchange);

/**
 * exchange_begin() - begin one.
 * @with: the daemon to be executed: its path, or its name beside the configured one; "" for that
 * @done: called once, later, when it has ended; not if we end before
 * @why: filled in if it cannot be; @size octets
 *
 * Return: 0; -EBUSY when one is under way; or another negative errno.
 */
int exchange_begin(struct exchange *exchange, const char *with,
		   void (*done)(void *arg, const struct exchange_result *result), void *arg,
		   char *why, int size);

/** exchange_forget() - nobody waits for the end any more. */
void exchange_forget(struct exchange *exchange, const void *arg);

/** exchange_doing() - what stage it is in, in words; NULL: there is none. */
const char *exchange_doing(const struct exchange *exchange);

#endif
