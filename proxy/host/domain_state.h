/* SPDX-License-Identifier: MIT */
/*
 * domain_state - what administrators are told of a domain: its state in one word, and why.
 *
 * Called by the control socket and the metrics, and by stop.c for all of them.
 */
#ifndef XSPROXY_PROXY_HOST_DOMAIN_STATE_H
#define XSPROXY_PROXY_HOST_DOMAIN_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/host/memory.h"

struct daemon;
struct domains;

enum domain_state {
	DOMAIN_RUNNING,
	DOMAIN_QUIESCED,
	DOMAIN_LEASED,
	DOMAIN_HELD, /* introduced or not */
	DOMAIN_RECONNECTING,
	DOMAIN_ENDED,
	DOMAIN_FAILED,
	DOMAIN_STATES,
};

/** domain_state_name() - as users know it, lower case. */
const char *domain_state_name(enum domain_state state);

/** domain_introduced() - whether xenstored has the domain. @domid: below ARENA_DOMID_MAX */
static inline bool domain_introduced(const struct memory *memory, uint32_t domid)
{
	return atomic_load(&rings_header(&memory->rings)->mapped[domid / 64]) >> (domid % 64) & 1;
}

/** domain_next() - the first domain from @domid on that is introduced or held, or ARENA_DOMIDS. */
uint32_t domain_next(const struct memory *memory, uint32_t domid);

/** domain_state_of() - @domid: introduced or held */
enum domain_state domain_state_of(const struct daemon *daemon, const struct memory *memory,
				  uint32_t domid);

/**
 * domain_reason() - why a domain is `ended` or `failed`.
 *
 * Return: text, valid until the loop goes on; NULL in other states, or when nobody knows.
 */
const char *domain_reason(const struct daemon *daemon, const struct memory *memory, uint32_t domid);

/** domain_states_count() - how many are in each state. @memory: NULL while there is no xenstored */
void domain_states_count(const struct daemon *daemon, const struct memory *memory,
			 uint32_t count[DOMAIN_STATES]);

/** domains_drain() - take no further request from any guest. */
void domains_drain(struct domains *domains);

/** domains_busy() - how many guests are owed an answer, or are in the middle of a request. */
uint32_t domains_busy(struct domains *domains);

/** domains_near_limit() - how many are near a limit (limit.h). */
uint32_t domains_near_limit(const struct daemon *daemon);

#endif
