// SPDX-License-Identifier: MIT
#include "proxy/session/part.h"

#include "proxy/session/session.h"

/* Octets of it in the page, read or not. */
static uint32_t part_of(const struct session *s)
{
	const struct ledger *ledger = s->ledger;

	if (session_state(s) != LEDGER_ENDED)
		return fifo_sent(&s->fifo);
	return ledger->more.map_gen == ledger->map_gen ? word_get(&ledger->more.stub) : 0;
}

/* Whether none of the last @octets before @prod has been read, as far as can be seen. */
static bool is_unread(const struct session *s, uint32_t prod, uint32_t octets)
{
	uint32_t used = prod - atomic_load(s->front.out.cons);

	return octets <= used && used <= s->front.out.size;
}

static bool take_back(struct session *s, uint32_t octets)
{
	uint32_t prod = atomic_load(s->front.out.prod);

	if (!octets || !is_unread(s, prod, octets))
		return false;
	/* Store and load in this order: the guest may be reading. */
	atomic_store(s->front.out.prod, prod - octets);
	if (is_unread(s, prod, octets))
		return true;
	atomic_store(s->front.out.prod, prod);
	return false;
}

void part_take_back(struct session *s)
{
	uint32_t octets = part_of(s);

	if (s->socket || (!octets && !word_get(&s->ledger->fifo_left)))
		return;
	/* To a domain that is dying it makes no difference. */
	if (!take_back(s, octets))
		log_limited(&s->source, s->drain.settle ? LOG_WARNING : LOG_INFO,
			    "its connection ends in the middle of a message that it has begun to "
			    "read; the rest will never come");
}
