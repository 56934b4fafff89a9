/* SPDX-License-Identifier: MIT */
/*
 * bells - a set of domids in shared memory that one process rings and another one takes.
 *
 * Called by the bridge and by xsproxyd, on their hot paths.
 */
#ifndef XSPROXY_LINK_BELLS_H
#define XSPROXY_LINK_BELLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "link/arena.h"

/*
 * A set bit in `leaf` may have no bit in `summary` only between two stores of the ringer (or when
 * it died there).
 */
struct bells {
	_Atomic uint64_t summary[ARENA_DOMIDS / 64 / 64];
	_Atomic uint64_t leaf[ARENA_DOMIDS / 64];
};

/**
 * bells_ring() - put a domid into a set.
 *
 * Return: whether it was not there yet, so that the other side may have to be woken.
 */
bool bells_ring(struct bells *bells, uint32_t domid);

/**
 * bells_take() - take one domid out of a set; which one is fair (round robin from @cursor).
 * @cursor: the taker's own; start with 0
 *
 * Return: the domid, or -1 when the set is empty.
 */
int bells_take(struct bells *bells, uint32_t *cursor);

/** bells_any() - whether the set may be non-empty; a full barrier comes first. */
bool bells_any(struct bells *bells);

#endif
