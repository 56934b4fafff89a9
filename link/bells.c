// SPDX-License-Identifier: MIT
/*
 * bells - sets of domids between two processes. See bells.h.
 *
 * Called by the bridge (inside xenstored, where it must never end the process) and by xsproxyd.
 * Keeps no state of its own, never logs, never waits, never allocates.
 */
#include "link/bells.h"

#define BELLS_LEAVES	(ARENA_DOMIDS / 64)
#define BELLS_SUMMARIES (BELLS_LEAVES / 64)

/*
 * The bells. A ringer sets the leaf, then the summary; the taker clears the leaf, then (when the
 * leaf became empty) the summary, and looks at the leaf once more. All of it is sequentially
 * consistent, so either the taker's last look sees the leaf, or the ringer's look at the summary
 * comes after the clearing and sets it again: a bell is never lost. There is one taker.
 */
bool bells_ring(struct bells *bells, uint32_t domid)
{
	uint32_t leaf = domid / 64;
	uint64_t leaf_bit = 1ULL << (domid % 64), summary_bit = 1ULL << (leaf % 64);
	bool fresh;

	fresh = !(atomic_fetch_or(&bells->leaf[leaf], leaf_bit) & leaf_bit);
	/*
	 * Also when the leaf was set before: its ringer may have died in between. Then nobody was
	 * woken either, so the bell counts as new.
	 */
	if (!(atomic_load(&bells->summary[leaf / 64]) & summary_bit))
		fresh |= !(atomic_fetch_or(&bells->summary[leaf / 64], summary_bit) & summary_bit);
	return fresh;
}

/* The taker found nothing in a leaf: take it out of the summary, unless it has just been rung. */
static void bells_settle(struct bells *bells, uint32_t leaf)
{
	uint64_t summary_bit = 1ULL << (leaf % 64);

	atomic_fetch_and(&bells->summary[leaf / 64], ~summary_bit);
	if (atomic_load(&bells->leaf[leaf]))
		atomic_fetch_or(&bells->summary[leaf / 64], summary_bit);
}

/* The first leaf from @leaf on that the summary names, or BELLS_LEAVES. */
static uint32_t bells_next_leaf(struct bells *bells, uint32_t leaf)
{
	uint64_t mask = ~0ULL << (leaf % 64);
	uint32_t i;

	if (leaf >= BELLS_LEAVES)
		return BELLS_LEAVES;
	for (i = leaf / 64; i < BELLS_SUMMARIES; i++, mask = ~0ULL) {
		uint64_t word = atomic_load(&bells->summary[i]) & mask;

		if (word)
			return i * 64 + (uint32_t)__builtin_ctzll(word);
	}
	return BELLS_LEAVES;
}

/* Takes the first domid of one leaf that is in @mask, or returns -1. */
static int bells_take_from(struct bells *bells, uint32_t leaf, uint64_t mask)
{
	uint64_t word = atomic_load(&bells->leaf[leaf]), bit;

	if (!word)
		bells_settle(bells, leaf);
	word &= mask;
	if (!word)
		return -1;

	bit = word & -word;
	if (!(atomic_fetch_and(&bells->leaf[leaf], ~bit) & ~bit))
		bells_settle(bells, leaf);
	return (int)(leaf * 64 + (uint32_t)__builtin_ctzll(bit));
}

int bells_take(struct bells *bells, uint32_t *cursor)
{
	uint32_t first = *cursor % ARENA_DOMIDS / 64, leaf;
	uint64_t mask = ~0ULL << (*cursor % 64);
	int domid = -1;

	/*
	 * From the cursor to the end, then from the start up to the cursor's own leaf, all of it.
	 */
	for (leaf = bells_next_leaf(bells, first); domid < 0 && leaf < BELLS_LEAVES;
	     leaf = bells_next_leaf(bells, leaf + 1))
		domid = bells_take_from(bells, leaf, leaf == first ? mask : ~0ULL);
	for (leaf = bells_next_leaf(bells, 0); domid < 0 && leaf <= first;
	     leaf = bells_next_leaf(bells, leaf + 1))
		domid = bells_take_from(bells, leaf, ~0ULL);

	if (domid >= 0)
		*cursor = (uint32_t)domid + 1;
	return domid;
}

bool bells_any(struct bells *bells)
{
	atomic_thread_fence(memory_order_seq_cst);
	return bells_next_leaf(bells, 0) < BELLS_LEAVES;
}
