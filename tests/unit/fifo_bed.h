/* SPDX-License-Identifier: MIT */
/* fifo_bed - messages in and out of a fifo over a ledger. */
#ifndef XSPROXY_TESTS_UNIT_FIFO_BED_H
#define XSPROXY_TESTS_UNIT_FIFO_BED_H

#include "tests/unit/bed.h"

#include "proxy/session/fifo.h"

static inline void fifo_at(struct bed *bed, struct fifo *fifo, uint32_t pos)
{
	atomic_store(&bed->ledger->fifo_head, pos);
	atomic_store(&bed->ledger->fifo_tail, pos);
	fifo_init(fifo, bed->ledger, &bed->account);
}

static inline void make_message(struct message *msg, uint32_t type, uint32_t len, uint32_t seed)
{
	msg->hdr = (struct xsd_sockmsg){ .type = type, .req_id = seed, .tx_id = ~seed, .len = len };
	for (uint32_t i = 0; i < len; i++)
		msg->payload[i] = (uint8_t)(seed * 7 + i * 13 + (i >> 8));
}

static inline int put(struct bed *bed, struct fifo *fifo, const struct message *msg)
{
	int err = fifo_reserve(fifo, 0, message_size(&msg->hdr));
	struct commit commit;

	if (err)
		return err;
	commit_begin(&commit, &bed->place);
	fifo_append(fifo, &commit, msg);
	commit_end(&commit);
	return 0;
}

/* The front takes @len octets, of as many messages as it may be. */
static inline void take(struct bed *bed, struct fifo *fifo, void *to, uint32_t len)
{
	struct commit commit;

	fifo_read(fifo, 0, to, len);
	while (len) {
		uint32_t left = fifo_next(fifo), n = left < len ? left : len;

		commit_begin(&commit, &bed->place);
		fifo_take(fifo, &commit, n);
		commit_end(&commit);
		len -= n;
	}
	fifo_trim(fifo);
}

static inline void assert_next(struct bed *bed, struct fifo *fifo, const struct message *want)
{
	struct message got;

	assert_true(fifo_used(fifo) >= message_size(&want->hdr));
	take(bed, fifo, &got, message_size(&want->hdr));
	assert_memory_equal(&got, want, message_size(&want->hdr));
}

#endif
