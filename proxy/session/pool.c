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

/* Pages of a private pool that only pool_alloc_vital() takes, and those that it has tables for at
 * first. */
#define POOL_PRIVATE_VITAL 16
#define POOL_PRIVATE_FIRST 32

/* Free extents that keep their memory, so that a long request now and then costs no system call. */
#define POOL_WARM 256

struct pool {
	const struct ledgers *ledgers; /* NULL: private */
	uint8_t **private;	       /* a page each; NULL while unused */
	uint32_t max;		       /* numbers go from 1 to max - 1 */
	uint32_t size;	     /* pages that the tables have room for; private: grows to max */
	uint32_t hint;	     /* where the search for a free page starts */
	uint32_t warm;	     /* free pages whose memory is kept */
	uint32_t left;	     /* free pages, warm or cold */
	uint32_t privileged; /* of these, what only pool_alloc_privileged() takes, */
	uint32_t vital;	     /* and what pool_alloc() leaves besides */
	uint8_t *state;	     /* enum page_state, one a page */
};

enum page_state {
	PAGE_COLD = 0, /* free, no memory behind it */
	PAGE_WARM,     /* free, memory kept */
	PAGE_USED,
};

static int pool_new(struct pool **out, uint32_t max, uint32_t size)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	pool->max = max;
	pool->size = size;
	pool->left = max - 1;
	pool->hint = 1;
	pool->state = calloc(size, 1);
	if (!pool->state) {
		free(pool);
		return -ENOMEM;
	}
	*out = pool;
	return 0;
}

int pool_new_shared(struct pool **out, const struct ledgers *ledgers)
{
	uint32_t max = min_u32(ledgers->extents, POOL_SHARED);
	int err = pool_new(out, max, max);

	if (err)
		return err;
	(*out)->ledgers = ledgers;
	(*out)->vital = POOL_VITAL;
	(*out)->privileged = POOL_PRIVILEGED;
	return 0;
}

int pool_new_sockets(struct pool **out, const struct ledgers *ledgers)
{
	int err = pool_new(out, ledgers->extents, ledgers->extents);

	if (err)
		return err;
	(*out)->ledgers = ledgers;
	(*out)->vital = POOL_VITAL;
	return 0;
}

int pool_new_private(struct pool **out, uint32_t max)
{
	struct pool *pool;
	int err;

	max += POOL_PRIVATE_VITAL + 1;
	err = pool_new(&pool, max, min_u32(max, POOL_PRIVATE_FIRST));
	if (err)
		return err;
	pool->vital = POOL_PRIVATE_VITAL;
	pool->private = calloc(pool->size, sizeof(*pool->private));
	if (!pool->private) {
		pool_free(pool);
		return -ENOMEM;
	}
	*out = pool;
	return 0;
}

struct pool *pool_free(struct pool *pool)
{
	if (!pool)
		return NULL;
	if (pool->private)
		for (uint32_t i = 1; i < pool->size; i++)
			free(pool->private[i]);
	free(pool->private);
	free(pool->state);
	free(pool);
	return NULL;
}

/* Give a cold page its memory. */
static int page_warm_up(struct pool *pool, uint32_t page)
{
	if (pool->ledgers)
		return arena_reserve(&pool->ledgers->arena, ledgers_extent_off(pool->ledgers, page),
				     POOL_PAGE);
	pool->private[page] = malloc(POOL_PAGE);
	return pool->private[page] ? 0 : -ENOMEM;
}

static uint32_t find_free(const struct pool *pool, enum page_state wanted)
{
	for (uint32_t i = pool->hint; i < pool->size; i++)
		if (pool->state[i] == wanted)
			return i;
	for (uint32_t i = 1; i < pool->hint; i++)
		if (pool->state[i] == wanted)
			return i;
	return 0;
}

/* Twice as large tables; what was in use stays so. */
static int tables_grow(struct pool *pool)
{
	uint32_t size = min_u32(2 * pool->size, pool->max);
	uint8_t **private, *state;

	if (size == pool->size)
		return -ENOMEM;
	private = realloc(pool->private, size * sizeof(*private));
	if (!private)
		return -ENOMEM;
	pool->private = private;
	state = realloc(pool->state, size);
	if (!state)
		return -ENOMEM;
	pool->state = state;
	memset(private + pool->size, 0, (size - pool->size) * sizeof(*private));
	memset(state + pool->size, PAGE_COLD, size - pool->size);
	pool->hint = pool->size;
	pool->size = size;
	return 0;
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
		if (!page && !tables_grow(pool))
			page = pool->hint;
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
	} else if (pool->ledgers) {
		arena_discard(&pool->ledgers->arena, ledgers_extent_off(pool->ledgers, page));
		pool->state[page] = PAGE_COLD;
	} else {
		free(pool->private[page]);
		pool->private[page] = NULL;
		pool->state[page] = PAGE_COLD;
	}
	pool->left++;
	pool->hint = page;
}

int pool_claim(struct pool *pool, uint32_t page)
{
	if (!page || page >= pool->max || pool->private)
		return -EINVAL;
	if (pool->state[page] == PAGE_USED)
		return -EBUSY;
	if (pool->state[page] == PAGE_WARM)
		pool->warm--;
	pool->state[page] = PAGE_USED;
	pool->left--;
	return 0;
}

void *pool_page(const struct pool *pool, uint32_t page)
{
	if (pool->ledgers)
		return pool->ledgers->arena.base + ledgers_extent_off(pool->ledgers, page);
	return pool->private[page];
}
