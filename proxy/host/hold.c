// SPDX-License-Identifier: MIT
#include "proxy/host/hold.h"

#include "proxy/host/memory.h"
#include "proxy/session/ledger.h"

static uint64_t bit(uint32_t domid)
{
	return 1ULL << (domid % 64);
}

bool hold_begin(const struct ledgers *ledgers, uint32_t domid)
{
	if (domid && hold_new_is(ledgers))
		hold_set(ledgers, domid);
	if (!hold_is(ledgers, domid))
		return false;
	atomic_fetch_or(&ledgers->hold_begun[domid / 64], bit(domid));
	return true;
}

void hold_over(const struct ledgers *ledgers, uint32_t domid)
{
	if (atomic_load(&ledgers->hold_begun[domid / 64]) & bit(domid))
		hold_end(ledgers, domid);
}

/* Whether the domain that was introduced when its hold began is still there. */
static bool still_there(const struct memory *memory, uint32_t domid)
{
	const struct ledger *ledger = ledgers_ledger(&memory->ledgers, domid);
	const struct rings_attach *attach = rings_attach(&memory->rings, domid);

	return atomic_load(&rings_header(&memory->rings)->mapped[domid / 64]) & bit(domid) &&
	       ledger_current(ledger, &memory->ledgers, atomic_load(&attach->map_gen));
}

void hold_sweep(const struct memory *memory)
{
	ARENA_EACH(memory->ledgers.held, domid)
		if (!still_there(memory, domid))
			hold_over(&memory->ledgers, domid);
}
