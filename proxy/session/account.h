/* SPDX-License-Identifier: MIT */
/*
 * account - what one session has of a pool's pages, and which of the pool's reserves it may use.
 *
 * The count is rebuilt after a restart, as the session's modules claim what the ledger refers to.
 * A privileged account (dom0's ring) has all reserves, others only the one for vital pages.
 * Toolstack sockets have a pool apart from guests' (host/slots.h) and a bound each instead.
 *
 * Embedded in the session; used by all in proxy/session/ that keeps something in extents. It keeps
 * no list of the pages: whoever takes one gives it back.
 */
#ifndef XSPROXY_PROXY_SESSION_ACCOUNT_H
#define XSPROXY_PROXY_SESSION_ACCOUNT_H

#include <stdbool.h>

#include "proxy/session/pool.h"

struct account {
	struct pool *pool;
	bool privileged;
	uint32_t used; /* pages */
	uint32_t max;  /* that it may have, but for vital ones; 0: no such bound */
};

/**
 * account_init() - an account without pages.
 * @pool: must outlive it
 * @privileged: whether it may use all reserves
 * @max: how many pages it may have at most, and few more that are vital; 0: as many as there are
 */
void account_init(struct account *account, struct pool *pool, bool privileged, uint32_t max);

/** account_alloc() - take a page, as pool_alloc(). Return: its number, or 0. */
uint32_t account_alloc(struct account *account);

/** account_alloc_vital() - the same for a page without which the session cannot go on. */
uint32_t account_alloc_vital(struct account *account);

/** account_release() - give a page back; 0 is fine. */
void account_release(struct account *account, uint32_t page);

/** account_claim() - take a certain page, as pool_claim(). Return: 0 or a negative errno. */
int account_claim(struct account *account, uint32_t page);

/** account_page() - where a page is in memory. */
static inline void *account_page(const struct account *account, uint32_t page)
{
	return pool_page(account->pool, page);
}

#endif
