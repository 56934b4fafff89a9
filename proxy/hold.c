// SPDX-License-Identifier: MIT
#include "proxy/hold.h"

#include "proxy/ledger.h"

static uint64_t bit(uint32_t domid)
{
	return 1ULL << (domid % 64);
}

bool hold_begin(const struct arena *arena, uint32_t domid)
{
	if (domid && hold_new_is(arena))
		hold_set(arena, domid);
	if (!hold_is(arena, domid))
		return false;
	atomic_fetch_or(&arena_header(arena)->hold_begun[domid / 64], bit(domid));
	return true;
}

void hold_over(const struct arena *arena, uint32_t domid)
{
	if (atomic_load(&arena_header(arena)->hold_begun[domid / 64]) & bit(domid))
		hold_end(arena, domid);
}

/* Whether the domain that was introduced when its hold began is still there. */
static bool still_there(const struct arena *arena, uint32_t domid)
{
	const struct ledger *ledger =
		(const struct ledger *)(arena->base + arena_ledger_off(domid));

	return atomic_load(&arena_header(arena)->mapped[domid / 64]) & bit(domid) &&
	       ledger_current(ledger, atomic_load(&ledger->attach.map_gen));
}

void hold_sweep(const struct arena *arena)
{
	ARENA_EACH(arena_header(arena)->held, domid)
		if (!still_there(arena, domid))
			hold_over(arena, domid);
}
