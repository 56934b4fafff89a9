// SPDX-License-Identifier: MIT
#include "proxy/host/domain_state.h"

#include <string.h>

#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/host/hold.h"
#include "proxy/host/memory.h"
#include "proxy/session/limit.h"
#include "proxy/session/session.h"
#include "proxy/util.h"

const char *domain_state_name(enum domain_state state)
{
	static const char *const names[DOMAIN_STATES] = {
		[DOMAIN_RUNNING] = "running", [DOMAIN_QUIESCED] = "quiesced",
		[DOMAIN_LEASED] = "leased",   [DOMAIN_HELD] = "held",
		[DOMAIN_ENDED] = "ended",     [DOMAIN_RECONNECTING] = "reconnecting",
		[DOMAIN_FAILED] = "failed",
	};

	return names[state];
}

uint32_t domain_next(const struct memory *memory, uint32_t domid)
{
	const struct rings_header *header = rings_header(&memory->rings);

	return min_u32(arena_next(header->mapped, domid), arena_next(memory->ledgers.held, domid));
}

static enum domain_state state_of_session(const struct session *s)
{
	switch (session_state(s)) {
	case LEDGER_QUIET:
		return word_get(&s->ledger->lease) ? DOMAIN_LEASED : DOMAIN_QUIESCED;
	case LEDGER_ENDED:
		return DOMAIN_ENDED;
	case LEDGER_RESET:
		return DOMAIN_RECONNECTING;
	default:
		return DOMAIN_RUNNING;
	}
}

enum domain_state domain_state_of(const struct daemon *daemon, const struct memory *memory,
				  uint32_t domid)
{
	const struct session *s = domains_session(daemon->domains, domid);

	if (domains_failed(daemon->domains, domid))
		return DOMAIN_FAILED;
	if (hold_is(&memory->ledgers, domid))
		return DOMAIN_HELD;
	return s ? state_of_session(s) : DOMAIN_FAILED;
}

const char *domain_reason(const struct daemon *daemon, const struct memory *memory, uint32_t domid)
{
	const struct session *s = domains_session(daemon->domains, domid);

	switch (domain_state_of(daemon, memory, domid)) {
	case DOMAIN_FAILED:
		return domains_failed(daemon->domains, domid);
	case DOMAIN_ENDED:
		return session_fault(s);
	default:
		return NULL;
	}
}

void domain_states_count(const struct daemon *daemon, const struct memory *memory,
			 uint32_t count[DOMAIN_STATES])
{
	memset(count, 0, DOMAIN_STATES * sizeof(*count));
	for (uint32_t domid = memory ? domain_next(memory, 0) : ARENA_DOMIDS; domid < ARENA_DOMIDS;
	     domid = domain_next(memory, domid + 1))
		count[domain_state_of(daemon, memory, domid)]++;
}

uint32_t domains_near_limit(const struct daemon *daemon)
{
	const struct session *s = domains_next_session(daemon->domains, 0);
	uint32_t n = 0;

	for (; s; s = domains_next_session(daemon->domains, s->domid + 1))
		n += limit_near(s);
	return n;
}

void domains_drain(struct domains *domains)
{
	DOMAINS_EACH_SESSION(domains, s)
		s->drain.quiesce++;
}

uint32_t domains_busy(struct domains *domains)
{
	uint32_t n = 0;

	DOMAINS_EACH_SESSION(domains, s)
		if (session_state(s) == LEDGER_RUN && !s->unbound && !session_drained(s))
			n++;
	return n;
}
