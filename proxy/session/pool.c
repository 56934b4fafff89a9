// SPDX-License-Identifier: MIT
#include "proxy/session/pool.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/util.h"

/* Extents that only pool_alloc_vital() takes, and those that only pool_alloc_privileged() takes. */
#define POOL_VITAL	8192
#define POOL_PRIVILEGED 4096

/* Free extents that keep their memory, so that a long request now and then costs no system call. */
#define POOL_WARM 256

struct pool {
	const struct ledgers *ledgers;
	uint32_t max;	     /* numbers go from 1 to max - 1 */
	uint32_t hint;	     /* where the search for a free page starts */
	uint32_t warm;	     /* free pages whose memory is kept */
	uint32_t left;	     /* free pages, warm or cold */
	bool unsettled;	     /* some may be PAGE_LEFT */
	uint32_t privileged; /* of these, what only pool_alloc_privileged() takes, */
	uint32_t vital;	     /* and what pool_alloc() leaves besides */
	uint8_t *state;	     /* enum page_state, one a page */
};

enum page_state {
	PAGE_COLD = 0, /* free, no memory behind it */
	PAGE_WARM,     /* free, memory kept */
	PAGE_USED,
	PAGE_LEFT, /* has memory that nobody has claimed yet */
};

static int pool_new(struct pool **out, const struct ledgers *ledgers, uint32_t max)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	pool->ledgers = ledgers;
	pool->max = max;
	pool->left = max - 1;
	pool->hint = 1;
	pool->vital = POOL_VITAL;
	pool->state = calloc(max, 1);
	if (!pool->state) {
		free(pool);
		return -ENOMEM;
	}
	*out = pool;
	return 0;
}

int pool_new_shared(struct pool **out, const struct ledgers *ledgers)
{
	int err = pool_new(out, ledgers, min_u32(ledgers->extents, POOL_SHARED));

	if (!err)
		(*out)->privileged = POOL_PRIVILEGED;
	return err;
}

static uint64_t page_off(const struct pool *pool, uint32_t page)
{
	return ledgers_extent_off(pool->ledgers, page);
}

/* What has memory may be referred to by a ledger that nobody has looked at yet. */
static void find_left(struct pool *pool)
{
	uint64_t from = page_off(pool, 1), end = page_off(pool, pool->max), off, len;

	for (off = from; arena_find(&pool->ledgers->arena, off, end, &off, &len); off += len) {
		uint32_t pages = (uint32_t)(len / POOL_PAGE);

		memset(pool->state + 1 + (off - from) / POOL_PAGE, PAGE_LEFT, pages);
		pool->left -= pages;
		pool->unsettled = true;
	}
}

int pool_new_sockets(struct pool **out, const struct ledgers *ledgers)
{
	int err = pool_new(out, ledgers, ledgers->extents);

	if (!err)
		find_left(*out);
	return err;
}

void pool_settle(struct pool *pool)
{
	uint8_t *end = pool->state + pool->max, *last;

	if (!pool->unsettled)
		return;
	pool->unsettled = false;
	for (uint8_t *page = pool->state; (page = memchr(page, PAGE_LEFT, (size_t)(end - page)));
	     page = last) {
		for (last = page; last < end && *last == PAGE_LEFT; last++)
			*last = PAGE_COLD;
		arena_discard_many(&pool->ledgers->arena,
				   page_off(pool, (uint32_t)(page - pool->state)),
				   (uint64_t)(last - page) * POOL_PAGE);
		pool->left += (uint32_t)(last - page);
	}
}

struct pool *pool_free(struct pool *pool)
{
	if (!pool)
		return NULL;
	free(pool->state);
	free(pool);
	return NULL;
}

/* Give a cold page its memory. */
static int page_warm_up(struct pool *pool, uint32_t page)
{
	int err = arena_reserve(&pool->ledgers->arena, page_off(pool, page), POOL_PAGE);

	/* Or it would count as none for find_left(), as long as nobody has touched it. */
	if (!err)
		*(volatile uint8_t *)pool_page(pool, page) = 0;
	return err;
}

/* The first of the pages from @from to @to - 1 that is @wanted, or 0. */
static uint32_t find_from(const struct pool *pool, uint32_t from, uint32_t to,
			  enum page_state wanted)
{
	const uint8_t *found = memchr(pool->state + from, wanted, to - from);

	return found ? (uint32_t)(found - pool->state) : 0;
}

static uint32_t find_free(const struct pool *pool, enum page_state wanted)
{
	uint32_t page = find_from(pool, pool->hint, pool->max, wanted);

	return page ? page : find_from(pool, 1, pool->hint, wanted);
}

/* A page, if more than @leave are left. */
static uint32_t take(struct pool *pool, uint32_t leave)
{
	uint32_t page;

	if (pool->left <= leave)
		return 0;
	page = pool->warm ? find_free(pool, PAGE_WARM) : 0;
	if (page) {
		pool->warm--;
	} else {
		page = find_free(pool, PAGE_COLD);
		if (!page || page_warm_up(pool, page))
			return 0;
	}
	pool->state[page] = PAGE_USED;
	pool->left--;
	pool->hint = page;
	return page;
}

uint32_t pool_alloc(struct pool *pool)
{
	return take(pool, pool->vital + pool->privileged);
}

uint32_t pool_alloc_vital(struct pool *pool)
{
	return take(pool, pool->privileged);
}

uint32_t pool_alloc_privileged(struct pool *pool)
{
	return take(pool, 0);
}

void pool_release(struct pool *pool, uint32_t page)
{
	if (!page)
		return;
	if (pool->warm < POOL_WARM) {
		pool->state[page] = PAGE_WARM;
		pool->warm++;
	} else {
		arena_discard(&pool->ledgers->arena, page_off(pool, page));
		pool->state[page] = PAGE_COLD;
	}
	pool->left++;
	pool->hint = page;
}

int pool_claim(struct pool *pool, uint32_t page)
{
	if (!page || page >= pool->max)
		return -EINVAL;
	if (pool->state[page] == PAGE_USED)
		return -EBUSY;
	if (pool->state[page] == PAGE_WARM)
		pool->warm--;
	if (pool->state[page] != PAGE_LEFT)
		pool->left--;
	pool->state[page] = PAGE_USED;
	return 0;
}

void *pool_page(const struct pool *pool, uint32_t page)
{
	return pool->ledgers->arena.base + page_off(pool, page);
}
