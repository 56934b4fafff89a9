/* SPDX-License-Identifier: MIT */
/*
 * journal - what an import is about to do to a domain, in a file, so that it can be taken back
 * whatever becomes of the import: it fails, it is killed, or xsproxyd is.
 *
 * The file is <dir>/import-<domid>: what each node was and what it will be, and whether the domain
 * gets watches or transactions (it had none before). It is complete before the first change, and
 * removed when the import is complete or taken back. Who has it open has it locked; so a file that
 * is there and not locked belongs to an import that was killed. It names the domain by <home>/vm,
 * which libxl makes different for each, so that it is not taken for another one of that domid.
 *
 * Called by import. Must never touch a store. The directory must be the owner's alone.
 */
#ifndef XSPROXY_MIGRATION_JOURNAL_H
#define XSPROXY_MIGRATION_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migration/plan.h"

struct journal;

/* What it says besides the plan. */
struct journal_head {
	bool session; /* watches and transactions are to be reset */
	char *vm;     /* <home>/vm, @vm_len octets; NULL: there is none */
	size_t vm_len;
};

/**
 * journal_open() - open and lock the journal of a domain.
 * @out: gets it; journal_free() it
 *
 * Return: 0; -EBUSY if another import of that domain has it; -ENOMEM; or what opening failed with.
 */
int journal_open(struct journal **out, const char *dir, uint16_t domid);

/**
 * journal_free() - close it, and remove it unless it has something that is still to be taken
 * back. NULL: nothing.
 */
void journal_free(struct journal *journal);

/** journal_path() - of the file; stays the journal's. */
const char *journal_path(const struct journal *journal);

/**
 * journal_write() - write all of it.
 *
 * Return: 0, or what writing failed with; there is no journal then.
 */
int journal_write(struct journal *journal, const struct journal_head *head,
		  const struct plan *plan);

/**
 * journal_read() - read what an import that was killed has left.
 * @head: gets it; free() its vm
 * @plan: empty; gets the nodes that were to be changed; plan_clear() it
 *
 * Return: 1; 0 if there is nothing, or the import was killed before it changed anything; -EBADMSG
 * for what is no journal; -ENOMEM; or what reading failed with.
 */
int journal_read(struct journal *journal, struct journal_head *head, struct plan *plan);

/** journal_done() - there is nothing to be taken back any more. */
void journal_done(struct journal *journal);

#endif
