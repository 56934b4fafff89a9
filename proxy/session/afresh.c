// SPDX-License-Identifier: MIT
#include "proxy/session/afresh.h"

#include <string.h>

#include "proxy/session/pending.h"
#include "proxy/session/session.h"

/* The C daemon resets its end with each bind; then nothing is there in part any more. */
static bool upstream_was_reset(const struct session_params *params, const struct ledger *old)
{
	return rings_header(params->place.rings)->flavour == RINGS_FLAVOUR_C &&
	       old->bind_gen != atomic_load(&params->attach->bind_gen);
}

/* The rest of a message that upstream has begun is taken, and dropped. */
static void end_message(struct ledger *ledger, const struct ledger *old)
{
	uint32_t fill = word_get(&old->fifo_fill);

	if (!fill || fill >= message_size(&old->fifo_hdr))
		return;
	ledger->fifo_hdr = old->fifo_hdr;
	ledger->fifo_hdr.type = XS_INVALID;
	atomic_store(&ledger->fifo_fill, fill);
}

/*
 * Upstream gets the rest of a request that it has the beginning of, and nobody its reply. If the
 * extent that holds it is somebody else's by now, or it lies in the log, it gets extent 0, which is
 * nobody's: zeroes.
 */
static void end_request(const struct session_params *params, const struct ledger *old)
{
	const struct ledgers *ledgers = params->place.ledgers;
	struct ledger *ledger = params->place.ledger;
	bool renews = word_get(&old->more.renew_sent);
	uint32_t sent = word_get(renews ? &old->more.renew_sent : &old->up_sent);
	uint32_t slot = word_get(renews ? &old->more.renew_slot : &old->up_slot);
	uint32_t size = renews ? word_get(&old->more.renew_size) : message_size(&old->up_hdr);
	uint32_t page = renews ? 0 : word_get(&old->up_page);

	if (!sent || sent >= size || size > MESSAGE_MAX || slot >= LEDGER_PENDING)
		return;
	if (pool_claim(params->pool, page))
		page = 0;
	if (!page && arena_reserve(&ledgers->arena, ledgers_extent_off(ledgers, 0), ARENA_PAGE))
		return;
	ledger->up_hdr =
		renews ? (struct xsd_sockmsg){ .type = XS_WATCH, .len = size - MESSAGE_HEADER }
		       : old->up_hdr;
	/* The id is what upstream will say; it has the slot's number in it. */
	ledger->pending[old->pending[slot].id % LEDGER_PENDING] = old->pending[slot];
	slot = old->pending[slot].id % LEDGER_PENDING;
	ledger->pending[slot].kind = PENDING_DISCARD;
	/* What it named is no more. */
	ledger->pending[slot].ref = 0;
	atomic_store(&ledger->pending_mask, 1u << slot);
	atomic_store(&ledger->up_slot, slot);
	atomic_store(&ledger->up_page, page);
	atomic_store(&ledger->up_fill, size);
	atomic_store(&ledger->up_sent, sent);
}

int session_afresh(struct session **out, const struct session_params *params, int why)
{
	struct ledger *ledger = params->place.ledger, old;
	uint32_t seq = pending_seq_recover(ledger);
	int err;

	log_domain(LOG_ERR, params->domid,
		   "its Xenstore connection cannot be taken up (%s); its ring is reset, requests "
		   "under way are lost",
		   strerror(-why));
	memcpy(&old, ledger, sizeof(old));
	ledger_format(ledger, params->place.ledgers, old.map_gen);
	atomic_store(&ledger->state, LEDGER_RESET);
	if (!upstream_was_reset(params, &old)) {
		end_message(ledger, &old);
		end_request(params, &old);
	}
	err = session_new(out, params, false);
	/* No reply to an old request may pass for one to ours. */
	if (!err)
		(*out)->seq = seq;
	return err;
}
