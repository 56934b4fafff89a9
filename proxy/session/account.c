// SPDX-License-Identifier: MIT
#include "proxy/session/account.h"

/* Beyond its bound, without which a session could not go on. */
#define VITAL_PAGES 16

void account_init(struct account *account, struct pool *pool, bool privileged, uint32_t max)
{
	*account = (struct account){ .pool = pool, .privileged = privileged, .max = max };
}

static bool exhausted(const struct account *account, uint32_t more)
{
	return account->max && account->used >= account->max + more;
}

static uint32_t counted(struct account *account, uint32_t page)
{
	account->used += page != 0;
	return page;
}

uint32_t account_alloc(struct account *account)
{
	if (exhausted(account, 0))
		return 0;
	if (account->privileged)
		return counted(account, pool_alloc_privileged(account->pool));
	return counted(account, pool_alloc(account->pool));
}

uint32_t account_alloc_vital(struct account *account)
{
	if (exhausted(account, VITAL_PAGES))
		return 0;
	if (account->privileged)
		return counted(account, pool_alloc_privileged(account->pool));
	return counted(account, pool_alloc_vital(account->pool));
}

void account_release(struct account *account, uint32_t page)
{
	account->used -= page != 0;
	pool_release(account->pool, page);
}

int account_claim(struct account *account, uint32_t page)
{
	int err = pool_claim(account->pool, page);

	account->used += !err;
	return err;
}
