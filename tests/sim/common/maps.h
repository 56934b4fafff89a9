/* SPDX-License-Identifier: MIT */
/*
 * Which process has which domain's page mapped. The record goes with the process, even when it is
 * killed: it counts while the process holds its lock on the file `procs`. Used by domain.c and by
 * the library; it knows nothing of addresses.
 */
#ifndef XENSIM_MAPS_H
#define XENSIM_MAPS_H

#include "tests/sim/common/state.h"

/* Under the lock, all of them. */

/* Record that this process maps a page of that domain; returns the record's index. */
int maps_add(struct sim *sim, uint32_t domid, uint32_t gen);
void maps_remove(struct sim *sim, int index);

/* The records of that domain; pids of the first @max go to @pids. */
unsigned int maps_count(struct sim *sim, uint32_t domid, uint32_t gen, uint32_t *pids,
			unsigned int max);

/* Drop the records of dead processes. */
void maps_sweep(struct sim *sim);

#endif
