/* SPDX-License-Identifier: MIT */
/*
 * transaction - which transactions a connection has open, and under which id upstream knows them.
 *
 * The guest's id is upstream's own wherever possible; START_DOMAIN_TRANSACTION opens one under an
 * id of the asker's choice, so the two may differ. An entry lives while its `live` word equals the
 * ledger's epoch: one word opens or ends it, and one (the epoch) ends all.
 *
 * A connection has a dozen of them at most, toolstacks a few hundred; look-ups are linear in the
 * highest slot in use.
 *
 * A part of a session, for session/ alone but for lists. Must never decide whether upstream opens
 * or ends one: it notes what upstream answered.
 */
#ifndef XSPROXY_PROXY_SESSION_TRANSACTION_H
#define XSPROXY_PROXY_SESSION_TRANSACTION_H

#include "proxy/session/account.h"
#include "proxy/session/ledger.h"

struct message;

#define TRANSACTION_MAX (LEDGER_TX + LEDGER_TX_PAGES * (POOL_PAGE / sizeof(struct ledger_tx)))

/* struct ledger_tx.upstream of one that xenstored does not have (renew.c) */
#define TRANSACTION_NOT_UPSTREAM 0u

/* struct ledger_tx.flags */
#define TRANSACTION_CONFLICT 1u /* END T gets EAGAIN (proposal, START_DOMAIN_TRANSACTION) */

struct transactions {
	struct ledger *ledger;
	struct account *account;
	uint32_t high; /* no slot at or above this one was ever live */
};

/** transactions_init() - over a fresh or recovered ledger. */
void transactions_init(struct transactions *set, struct ledger *ledger, struct account *account);

/**
 * transactions_recover() - claim the extents of a recovered ledger.
 *
 * Return: 0 or a negative errno of account_claim().
 */
int transactions_recover(struct transactions *set);

/** transactions_fini() - give the extents back. */
void transactions_fini(struct transactions *set);

/**
 * transaction_reserve() - a slot for a TRANSACTION_START that is about to be forwarded; it stays
 * reserved while a pending request refers to it.
 *
 * Return: the slot, or -ENOSPC.
 */
int transaction_reserve(struct transactions *set);

/**
 * transaction_open() - have @commit open @slot.
 * @guest: the id that the connection uses
 */
void transaction_open(struct transactions *set, struct commit *commit, int slot, uint32_t guest,
		      uint32_t upstream, uint32_t flags);

/** transaction_end() - have @commit end @slot. */
void transaction_end(struct transactions *set, struct commit *commit, int slot);

/** transactions_bury() - of those that have ended no trace stays; see ledger_must_bury(). */
void transactions_bury(struct transactions *set);

/** transaction_find() - the slot of the connection's id @guest, or -ENOENT. */
int transaction_find(struct transactions *set, uint32_t guest);

/** transaction_at() - the entry of a slot. */
struct ledger_tx *transaction_at(const struct transactions *set, int slot);

/** transaction_live() - whether a slot is open. */
bool transaction_live(const struct transactions *set, int slot);

/** transaction_count() - how many are open. */
uint32_t transaction_count(const struct transactions *set);

/** transaction_said() - the id in upstream's OK to a TRANSACTION_START. */
uint32_t transaction_said(const struct message *msg);

/**
 * transaction_guest_id() - the id to give a new transaction that upstream calls @upstream: the
 * same, unless the connection has it in use; then one above all in use.
 */
uint32_t transaction_guest_id(struct transactions *set, uint32_t upstream);

/**
 * transactions_starting() - whether a TRANSACTION_START is under way: which id upstream gives it is
 * not known yet.
 */
bool transactions_starting(const struct transactions *set);

/**
 * transaction_upstream_id() - under which @id what the connection sends now in @guest (0: in none)
 * goes upstream. For one that is not open it is unknown there.
 *
 * Return: whether that can be said: not of one that is not open while another one is starting, for
 * C daemons give any id in time, and would take the request into the new one.
 */
bool transaction_upstream_id(struct transactions *set, uint32_t guest, uint32_t *id);

#endif
