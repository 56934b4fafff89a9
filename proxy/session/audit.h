/* SPDX-License-Identifier: MIT */
/*
 * audit - whether a ledger that is to be taken over can be what a session left: one wrong word must
 * cost the domain that it belongs to its session, never xsproxyd.
 *
 * What lies behind words that name pages is checked by those who claim them (watchlog_recover(),
 * watches_recover(), fifo_recover(), transactions_recover()). Called by session.c; changes nothing.
 */
#ifndef XSPROXY_PROXY_SESSION_AUDIT_H
#define XSPROXY_PROXY_SESSION_AUDIT_H

#include <stdbool.h>

struct ledger;
struct transactions;
struct watchlog;

/**
 * audit_words() - look at the ledger's own words, before anything else does.
 * @socket: whether it is a toolstack socket's
 *
 * Return: 0 or -EINVAL.
 */
int audit_words(const struct ledger *ledger, bool socket);

/**
 * audit_refs() - look at what requests under way refer to, once log and transactions are recovered
 * and before anything follows a reference.
 *
 * Return: 0 or -EINVAL.
 */
int audit_refs(const struct ledger *ledger, const struct watchlog *log,
	       const struct transactions *transactions);

#endif
