// SPDX-License-Identifier: MIT
#include "proxy/session/pending.h"

/* Ids stay below 2^30 (oxenstored's integers), and 0 is what events carry. */
#define ID_SLOT_BITS 5
#define ID_SEQ_MASK  0x1ffffffu

_Static_assert(LEDGER_PENDING == 1 << ID_SLOT_BITS, "a slot's number fits its bits of the id");

int pending_slot(const struct ledger *ledger)
{
	uint32_t mask = word_get(&ledger->pending_mask);

	return mask == UINT32_MAX ? -1 : __builtin_ctz(~mask);
}

struct ledger_pending *pending_fill(struct ledger *ledger, int slot, uint32_t *seq,
				    const struct xsd_sockmsg *req, enum pending_kind kind)
{
	struct ledger_pending *pending = &ledger->pending[slot];

	*seq = (*seq & ID_SEQ_MASK) ? *seq & ID_SEQ_MASK : 1;
	*pending = (struct ledger_pending){
		.id = (*seq)++ << ID_SLOT_BITS | (uint32_t)slot,
		.req_id = req->req_id,
		.tx_id = req->tx_id,
		.type = req->type,
		.kind = kind,
	};
	return pending;
}

void pending_take(struct ledger *ledger, struct commit *commit, int slot)
{
	uint32_t mask = commit_peek(commit, &ledger->pending_mask);

	commit_set(commit, &ledger->pending_mask, mask | 1u << slot);
}

void pending_drop(struct ledger *ledger, struct commit *commit, int slot)
{
	uint32_t mask = commit_peek(commit, &ledger->pending_mask);

	commit_set(commit, &ledger->pending_mask, mask & ~(1u << slot));
}

int pending_find(const struct ledger *ledger, uint32_t id)
{
	uint32_t slot = id & (LEDGER_PENDING - 1);

	if (!(word_get(&ledger->pending_mask) & 1u << slot) || ledger->pending[slot].id != id ||
	    ledger->pending[slot].kind == PENDING_ANSWER)
		return -1;
	return (int)slot;
}

int pending_upstream(const struct ledger *ledger)
{
	int n = 0;

	PENDING_EACH(ledger, slot)
	n += ledger->pending[slot].kind != PENDING_ANSWER;
	return n;
}

uint32_t pending_seq_recover(const struct ledger *ledger)
{
	uint32_t last = 0;

	PENDING_EACH(ledger, slot)
	{
		uint32_t seq = ledger->pending[slot].id >> ID_SLOT_BITS;

		last = seq > last ? seq : last;
	}
	return last + 1;
}
