// SPDX-License-Identifier: MIT
#include "proxy/session/transaction.h"

#include <errno.h>
#include <string.h>

#include "protocol/message.h"
#include "proxy/session/pending.h"

#define PER_PAGE (POOL_PAGE / sizeof(struct ledger_tx))

void transactions_init(struct transactions *set, struct ledger *ledger, struct account *account)
{
	set->ledger = ledger;
	set->account = account;
	set->high = 0;
}

void transactions_fini(struct transactions *set)
{
	for (uint32_t i = 0; i < LEDGER_TX_PAGES; i++) {
		account_release(set->account, set->ledger->tx_page[i]);
		set->ledger->tx_page[i] = 0;
	}
	set->high = 0;
}

/* NULL when the slot's extent does not exist. */
static struct ledger_tx *entry(const struct transactions *set, uint32_t slot)
{
	uint32_t page;

	if (slot < LEDGER_TX)
		return &set->ledger->tx[slot];
	page = set->ledger->tx_page[(slot - LEDGER_TX) / PER_PAGE];
	if (!page)
		return NULL;
	return (struct ledger_tx *)account_page(set->account, page) + (slot - LEDGER_TX) % PER_PAGE;
}

struct ledger_tx *transaction_at(const struct transactions *set, int slot)
{
	return entry(set, (uint32_t)slot);
}

static bool is_live(const struct transactions *set, const struct ledger_tx *tx)
{
	return tx && word_get(&tx->live) == word_get(&set->ledger->epoch);
}

int transactions_recover(struct transactions *set)
{
	uint32_t end = LEDGER_TX;

	for (uint32_t i = 0; i < LEDGER_TX_PAGES; i++) {
		int err;

		if (!set->ledger->tx_page[i])
			continue;
		err = account_claim(set->account, set->ledger->tx_page[i]);
		if (err)
			return err;
		end = LEDGER_TX + (i + 1) * PER_PAGE;
	}
	for (uint32_t slot = 0; slot < end; slot++)
		if (is_live(set, entry(set, slot)))
			set->high = slot + 1;
	return 0;
}

bool transaction_live(const struct transactions *set, int slot)
{
	return is_live(set, entry(set, (uint32_t)slot));
}

static bool is_reserved(const struct transactions *set, uint32_t slot)
{
	PENDING_EACH(set->ledger, i)
	{
		const struct ledger_pending *pending = &set->ledger->pending[i];

		if (pending->type == XS_TRANSACTION_START && pending->ref == slot)
			return true;
	}
	return false;
}

/* A fresh extent for @slot: zeroed before the ledger refers to it, since 0 is never live. */
static int add_page(struct transactions *set, uint32_t slot)
{
	uint32_t page = account_alloc(set->account);

	if (!page)
		return -ENOSPC;
	memset(account_page(set->account, page), 0, POOL_PAGE);
	atomic_thread_fence(memory_order_release);
	set->ledger->tx_page[(slot - LEDGER_TX) / PER_PAGE] = page;
	return 0;
}

int transaction_reserve(struct transactions *set)
{
	for (uint32_t slot = 0; slot < TRANSACTION_MAX; slot++) {
		struct ledger_tx *tx = entry(set, slot);

		if (is_live(set, tx) || is_reserved(set, slot))
			continue;
		if (!tx && add_page(set, slot))
			return -ENOSPC;
		return (int)slot;
	}
	return -ENOSPC;
}

void transaction_open(struct transactions *set, struct commit *commit, int slot, uint32_t guest,
		      uint32_t upstream, uint32_t flags)
{
	struct ledger_tx *tx = entry(set, (uint32_t)slot);

	tx->guest = guest;
	tx->upstream = upstream;
	tx->flags = flags;
	commit_set(commit, &tx->live, word_get(&set->ledger->epoch));
	if ((uint32_t)slot >= set->high)
		set->high = (uint32_t)slot + 1;
}

void transaction_end(struct transactions *set, struct commit *commit, int slot)
{
	commit_set(commit, &entry(set, (uint32_t)slot)->live, 0);
}

void transactions_bury(struct transactions *set)
{
	for (uint32_t slot = 0; slot < TRANSACTION_MAX; slot++) {
		struct ledger_tx *tx = entry(set, slot);

		if (tx && !is_live(set, tx))
			atomic_store_explicit(&tx->live, 0, memory_order_relaxed);
	}
}

int transaction_find(struct transactions *set, uint32_t guest)
{
	for (uint32_t slot = 0; slot < set->high; slot++) {
		struct ledger_tx *tx = entry(set, slot);

		if (is_live(set, tx) && tx->guest == guest)
			return (int)slot;
	}
	return -ENOENT;
}

bool transactions_starting(const struct transactions *set)
{
	PENDING_EACH(set->ledger, slot)
	if (set->ledger->pending[slot].type == XS_TRANSACTION_START)
		return true;
	return false;
}

static bool is_upstream_id(const struct transactions *set, uint32_t id)
{
	for (uint32_t slot = 0; slot < set->high; slot++) {
		const struct ledger_tx *tx = entry(set, slot);

		if (is_live(set, tx) && tx->upstream == id)
			return true;
	}
	return false;
}

bool transaction_upstream_id(struct transactions *set, uint32_t guest, uint32_t *id)
{
	int slot = guest ? transaction_find(set, guest) : -ENOENT;

	if (slot >= 0)
		*id = entry(set, (uint32_t)slot)->upstream;
	if (slot >= 0 && *id != TRANSACTION_NOT_UPSTREAM)
		return true;
	*id = guest ? MESSAGE_TX_UNKNOWN : 0;
	if (!guest)
		return true;
	while (is_upstream_id(set, *id))
		--*id;
	return !transactions_starting(set);
}

uint32_t transaction_count(const struct transactions *set)
{
	uint32_t n = 0;

	for (uint32_t slot = 0; slot < set->high; slot++)
		n += is_live(set, entry(set, slot));
	return n;
}

uint32_t transaction_said(const struct message *msg)
{
	uint32_t id = 0;

	for (uint32_t i = 0; i < msg->hdr.len && msg->payload[i]; i++)
		id = id * 10 + (uint32_t)(msg->payload[i] - '0');
	return id;
}

uint32_t transaction_guest_id(struct transactions *set, uint32_t upstream)
{
	uint32_t top = 0;

	if (transaction_find(set, upstream) < 0)
		return upstream;
	for (uint32_t slot = 0; slot < set->high; slot++) {
		struct ledger_tx *tx = entry(set, slot);

		if (is_live(set, tx) && tx->guest > top)
			top = tx->guest;
	}
	if (top != UINT32_MAX)
		return top + 1;
	/* 0 is no id: take the lowest that is free. */
	for (top = 1; transaction_find(set, top) >= 0;)
		top++;
	return top;
}
