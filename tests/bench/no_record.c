// SPDX-License-Identifier: MIT
/*
 * no_record - commit_end() without the ledger's record, for `make bench` only: linked in its place
 * (-Wl,--wrap), it gives the xsproxyd that could not be killed, to compare with.
 */
#include "proxy/session/ledger.h"

void __wrap_commit_end(struct commit *commit);

void __wrap_commit_end(struct commit *commit)
{
	for (uint32_t i = 0; i < commit->n; i++)
		atomic_store_explicit(commit->change[i].word, commit->change[i].after,
				      memory_order_release);
	commit->n = 0;
}
