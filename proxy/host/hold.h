/* SPDX-License-Identifier: MIT */
/*
 * hold - which domains are held: quiesced from their INTRODUCE on until somebody says otherwise
 * (docs/protocol.md, "HOLD").
 *
 * One bit a domain in the ledgers' header, for a hold is made before there is a ledger, and must
 * outlive xsproxyd; and one that says whether the domain has been introduced since, for then the
 * hold ends with it. The second counts only while the first is set, which is one store, so a killed
 * daemon leaves a hold as it was or as it shall be.
 *
 * Used by domain.c, toolstack*.c and control_show.c.
 */
#ifndef XSPROXY_PROXY_HOST_HOLD_H
#define XSPROXY_PROXY_HOST_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/session/ledgers.h"

struct memory;

/** hold_is() - whether a domain is held, introduced or not. @domid: below ARENA_DOMID_MAX */
static inline bool hold_is(const struct ledgers *ledgers, uint32_t domid)
{
	return atomic_load(&ledgers->held[domid / 64]) >> (domid % 64) & 1;
}

/** hold_has_begun() - of a held domain: whether it has been introduced since hold_set(). */
static inline bool hold_has_begun(const struct ledgers *ledgers, uint32_t domid)
{
	return atomic_load(&ledgers->hold_begun[domid / 64]) >> (domid % 64) & 1;
}

/** hold_set() - hold a domain when it is introduced. */
static inline void hold_set(const struct ledgers *ledgers, uint32_t domid)
{
	atomic_fetch_and(&ledgers->hold_begun[domid / 64], ~(1ULL << (domid % 64)));
	atomic_fetch_or(&ledgers->held[domid / 64], 1ULL << (domid % 64));
}

/** hold_end() - the hold is over. */
static inline void hold_end(const struct ledgers *ledgers, uint32_t domid)
{
	atomic_fetch_and(&ledgers->held[domid / 64], ~(1ULL << (domid % 64)));
}

/** hold_new_set() - whether every domain introduced from now on is to be held. */
static inline void hold_new_set(const struct ledgers *ledgers, bool on)
{
	atomic_store(ledgers->hold_new, on);
}

/** hold_new_is() - what hold_new_set() said last. */
static inline bool hold_new_is(const struct ledgers *ledgers)
{
	return atomic_load(ledgers->hold_new);
}

/** hold_begin() - a domain is being introduced. Return: whether it must stand still. */
bool hold_begin(const struct ledgers *ledgers, uint32_t domid);

/** hold_over() - a domain has ended, and with it the hold that it was under. */
void hold_over(const struct ledgers *ledgers, uint32_t domid);

/** hold_sweep() - xsproxyd starts: end the holds of domains that have ended meanwhile. */
void hold_sweep(const struct memory *memory);

#endif
