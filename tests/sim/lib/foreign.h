/* SPDX-License-Identifier: MIT */
/*
 * Foreign mappings of this process: made by gnttab.c and ctrl.c, undone by xengnttab_unmap, by
 * munmap, or by the process's death.
 */
#ifndef XENSIM_FOREIGN_H
#define XENSIM_FOREIGN_H

#include <stddef.h>
#include <stdint.h>

#include "tests/sim/common/state.h"

/* Map the Xenstore pages of @count domains in a row; MAP_FAILED and errno on failure. */
void *foreign_map(struct sim *sim, const uint32_t *domids, size_t count, int prot);

/* Unmap what foreign_map returned; -1 and errno when it did not return it. */
int foreign_unmap(struct sim *sim, void *addr, size_t count);

#endif
