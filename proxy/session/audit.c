// SPDX-License-Identifier: MIT
#include "proxy/session/audit.h"

#include <errno.h>

#include "proxy/session/fifo.h"
#include "proxy/session/pending.h"
#include "proxy/session/transaction.h"
#include "proxy/session/watchlog.h"

static bool fits(const struct xsd_sockmsg *hdr)
{
	return hdr->len <= XENSTORE_PAYLOAD_MAX;
}

/* The request under way from the front. */
static bool up_is_sane(const struct ledger *ledger)
{
	uint32_t fill = word_get(&ledger->up_fill), sent = word_get(&ledger->up_sent);
	uint32_t slot = word_get(&ledger->up_slot);

	if (fill >= MESSAGE_HEADER &&
	    (!fits(&ledger->up_hdr) || fill > message_size(&ledger->up_hdr)))
		return false;
	if (!sent)
		return true;
	return fill >= MESSAGE_HEADER && fill == message_size(&ledger->up_hdr) && sent < fill &&
	       slot < LEDGER_PENDING && (word_get(&ledger->pending_mask) >> slot & 1);
}

/* The WATCH under way from renew.c; no other one is. */
static bool renew_is_sane(const struct ledger *ledger)
{
	const struct ledger_more *more = &ledger->more;
	uint32_t sent = word_get(&more->renew_sent), size = word_get(&more->renew_size);
	uint32_t slot = word_get(&more->renew_slot);

	if (!sent)
		return true;
	return sent < size && size <= MESSAGE_MAX && slot < LEDGER_PENDING &&
	       (word_get(&ledger->pending_mask) >> slot & 1) && !word_get(&ledger->up_sent) &&
	       ((ledger->pending[slot].flags & PENDING_AGAIN) ||
		(ledger->pending[slot].type == XS_WATCH &&
		 pending_is_intent(&ledger->pending[slot])));
}

/* Octets of a reply beyond MESSAGE_MAX that are not in the fifo yet. */
static uint32_t giant_left(const struct ledger *ledger)
{
	return ledger->more.map_gen == ledger->map_gen ? word_get(&ledger->more.giant_left) : 0;
}

/* The message under way from upstream, whose header comes first and at once. */
static bool down_is_sane(const struct ledger *ledger)
{
	uint32_t fill = word_get(&ledger->fifo_fill), left = word_get(&ledger->fifo_left);
	uint32_t used = word_get(&ledger->fifo_tail) - word_get(&ledger->fifo_head);

	if (used > FIFO_SIZE || (left > used && left - used != giant_left(ledger)))
		return false;
	return !fill || (fill >= MESSAGE_HEADER && fits(&ledger->fifo_hdr) &&
			 fill < message_size(&ledger->fifo_hdr));
}

static bool pending_is_sane(const struct ledger *ledger)
{
	PENDING_EACH(ledger, slot)
	{
		const struct ledger_pending *pending = &ledger->pending[slot];

		if (pending->kind < PENDING_FORWARD || pending->kind > PENDING_DISCARD ||
		    pending->id % LEDGER_PENDING != slot)
			return false;
	}
	return true;
}

/* A socket never reconnects, so it has no page to be greeted in; only it has giants. */
static bool state_is_sane(const struct ledger *ledger, bool socket)
{
	uint32_t state = word_get(&ledger->state);

	if (socket)
		return state == LEDGER_RUN || state == LEDGER_ENDED;
	return state <= LEDGER_ENDED && !giant_left(ledger);
}

/* Requests that are to be asked again lie in the extents that there are for them, one behind the
 * other (again.c reads no more of one than fits). */
static bool again_is_sane(const struct ledger *ledger)
{
	const struct ledger_more *more = &ledger->more;
	uint32_t head = word_get(&more->again_head), tail = word_get(&more->again_tail);

	if (more->map_gen != ledger->map_gen || head == tail)
		return true;
	if (head > tail || tail - head < MESSAGE_HEADER || tail > LEDGER_AGAIN_PAGES * POOL_PAGE)
		return false;
	for (uint32_t i = 0; i * POOL_PAGE < tail; i++)
		if (!word_get(&more->again_page[i]))
			return false;
	return true;
}

int audit_words(const struct ledger *ledger, bool socket)
{
	if (!state_is_sane(ledger, socket) || !word_get(&ledger->epoch))
		return -EINVAL;
	return up_is_sane(ledger) && renew_is_sane(ledger) && down_is_sane(ledger) &&
			       again_is_sane(ledger) && pending_is_sane(ledger)
		       ? 0
		       : -EINVAL;
}

/* Linear in the log, for each of a few dozen requests at most. */
static bool is_record(const struct watchlog *log, uint32_t wanted)
{
	for (uint32_t pos = watchlog_next(log, 0); pos; pos = watchlog_next(log, pos))
		if (pos == wanted)
			return true;
	return false;
}

static bool is_slot(const struct transactions *transactions, uint32_t slot)
{
	return slot < TRANSACTION_MAX && transaction_at(transactions, (int)slot);
}

static bool ref_is_sane(const struct ledger_pending *pending, const struct watchlog *log,
			const struct transactions *transactions)
{
	/* Nobody follows it. */
	if (pending->kind == PENDING_ANSWER || pending->kind == PENDING_DISCARD)
		return true;
	switch (pending->type) {
	case XS_WATCH:
	case XS_UNWATCH:
		return !pending->ref || is_record(log, pending->ref);
	case XS_TRANSACTION_START:
		return is_slot(transactions, pending->ref);
	case XS_TRANSACTION_END:
		return pending->ref == PENDING_NO_TRANSACTION ||
		       is_slot(transactions, pending->ref);
	default:
		return true;
	}
}

/* What is sent of it is in its record. */
static bool renew_has_record(const struct ledger *ledger, const struct watchlog *log)
{
	const struct ledger_more *more = &ledger->more;
	const struct ledger_pending *pending = &ledger->pending[word_get(&more->renew_slot)];
	uint32_t pos = pending->ref;

	if (pending->flags & PENDING_AGAIN)
		return true;
	return watchlog_at(log, pos)->len == word_get(&more->renew_size) - MESSAGE_HEADER;
}

int audit_refs(const struct ledger *ledger, const struct watchlog *log,
	       const struct transactions *transactions)
{
	PENDING_EACH(ledger, slot)
	{
		if (!ref_is_sane(&ledger->pending[slot], log, transactions))
			return -EINVAL;
	}
	return !word_get(&ledger->more.renew_sent) || renew_has_record(ledger, log) ? 0 : -EINVAL;
}
