/* SPDX-License-Identifier: MIT */
/*
 * missing - the domains that an earlier xenstored knew and the present one does not: their pages
 * stand still until somebody introduces them again, so the administrator must know.
 *
 * Part of domain.c's state; shown by control_show.c and metrics_text.c. Nobody tells us when such a
 * domain dies, so it stays here until it is introduced or xsproxyd ends. Must never touch a page.
 */
#ifndef XSPROXY_PROXY_HOST_MISSING_H
#define XSPROXY_PROXY_HOST_MISSING_H

#include <stdbool.h>
#include <stdint.h>

#include "link/arena.h"

struct missing {
	uint64_t domain[ARENA_DOMIDS / 64];
};

/** missing_add() - the domain's xenstored has gone. */
void missing_add(struct missing *missing, uint32_t domid);

/** missing_remove() - xenstored knows the domain. */
void missing_remove(struct missing *missing, uint32_t domid);

/** missing_next() - the first such domain from @domid on, or ARENA_DOMIDS. */
uint32_t missing_next(const struct missing *missing, uint32_t domid);

/** missing_count() - how many there are. */
uint32_t missing_count(const struct missing *missing);

/** missing_log() - name them in the log, if there are any. */
void missing_log(const struct missing *missing);

#endif
