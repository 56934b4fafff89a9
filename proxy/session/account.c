// SPDX-License-Identifier: MIT
#include "proxy/session/account.h"

void account_init(struct account *account, struct pool *pool, bool privileged)
{
	*account = (struct account){ .pool = pool, .privileged = privileged };
}

static uint32_t counted(struct account *account, uint32_t page)
{
	account->used += page != 0;
	return page;
}

uint32_t account_alloc(struct account *account)
{
	if (account->privileged)
		return counted(account, pool_alloc_privileged(account->pool));
	return counted(account, pool_alloc(account->pool));
}

uint32_t account_alloc_vital(struct account *account)
{
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
