/* SPDX-License-Identifier: MIT */
/*
 * pool - pages for what does not fit a ledger page: long messages, waiting events, further watches.
 *
 * The pages are extents (ledgers.h), so that they outlive the process. Which of them are in use is
 * nowhere written down: ledgers refer to them, and a restarted daemon claims what it finds there
 * (pool_claim()).
 *
 * Used through account.h by what is in a session, and by host/slots.c for sockets' queues. Never
 * hands out page 0.
 */
#ifndef XSPROXY_PROXY_SESSION_POOL_H
#define XSPROXY_PROXY_SESSION_POOL_H

#include <stdint.h>

#include "proxy/session/ledgers.h"

#define POOL_PAGE   ARENA_PAGE
#define POOL_SHARED 65536u		      /* what all domains together may have: 256 MiB */
#define POOL_MIB    (1024 * 1024 / POOL_PAGE) /* pages */

struct pool;

/**
 * pool_new_shared() - domains': over the first POOL_SHARED extents, all free at first.
 * @ledgers: must outlive it
 *
 * Return: 0 or -ENOMEM.
 */
int pool_new_shared(struct pool **out, const struct ledgers *ledgers);

/**
 * pool_new_sockets() - toolstack sockets': over all extents of ledgers that are theirs alone. Those
 * with memory that an xsproxyd before us left are neither free nor used before pool_settle().
 * @ledgers: must outlive it
 *
 * Return: 0 or -ENOMEM.
 */
int pool_new_sockets(struct pool **out, const struct ledgers *ledgers);

/** pool_free() - the pages stay as they are. NULL is fine; returns NULL. */
struct pool *pool_free(struct pool *pool);

/**
 * pool_alloc() - take a page; its content is undefined.
 *
 * Return: its number, above 0; or 0 when none is left but for the reserves.
 */
uint32_t pool_alloc(struct pool *pool);

/**
 * pool_alloc_vital() - like pool_alloc(), from a first reserve too: for the few pages without
 * which a session cannot go on, so that guests who hoard pages cannot stop others.
 */
uint32_t pool_alloc_vital(struct pool *pool);

/**
 * pool_alloc_privileged() - like pool_alloc(), from all reserves: for dom0's ring, so that no
 * number of guests can stop it.
 */
uint32_t pool_alloc_privileged(struct pool *pool);

/** pool_release() - give a page back; 0 is fine. */
void pool_release(struct pool *pool, uint32_t page);

/**
 * pool_claim() - mark a page as used that a recovered ledger refers to.
 *
 * Return: 0; -EINVAL for a number that cannot be; -EBUSY when somebody has it already.
 */
int pool_claim(struct pool *pool, uint32_t page);

/** pool_settle() - all has been claimed; what is left of toolstack sockets' is nobody's, and free.
 */
void pool_settle(struct pool *pool);

/** pool_page() - where a page is in memory. */
void *pool_page(const struct pool *pool, uint32_t page);

#endif
