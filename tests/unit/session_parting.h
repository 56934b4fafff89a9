/* SPDX-License-Identifier: MIT */
/*
 * session_parting - a session of a guest that has watches and transactions, with the daemons that
 * it goes from and to; and what must be so in the end, whoever died meanwhile.
 */
#ifndef XSPROXY_TESTS_UNIT_SESSION_PARTING_H
#define XSPROXY_TESTS_UNIT_SESSION_PARTING_H

#include "protocol/table.h"
#include "proxy/session/watch_entry.h"
#include "tests/unit/session_anew.h"

/* A guest with as much as does not fit the ring at once; one watch is larger than it. */
static const char *const names[] = { "data", "/local/domain/7/a", "@introduceDomain", "b/c", "/" };

#define WATCHES	  8
#define STARTS	  3
#define LARGE	  5 /* this watch */
#define LARGE_LEN 1400

static inline uint32_t watch_text_of(uint32_t i, char *text)
{
	uint32_t n = (uint32_t)sprintf(text, "%s", names[i % 5]) + 1;

	if (i == LARGE) {
		memset(text + n, 't', LARGE_LEN);
		n += LARGE_LEN;
	} else {
		n += (uint32_t)sprintf(text + n, "token-%u", i);
	}
	text[n++] = 0;
	return n;
}

/* The daemon before takes and answers it, in pieces. */
static inline void register_one(struct rig *rig, uint32_t i)
{
	static struct anew before;
	struct message msg = make_message(XS_WATCH, 77, 0, "", 0);
	uint32_t n = 0, left;

	before = (struct anew){ .rig = rig };
	msg.hdr.len = watch_text_of(i, (char *)msg.payload);
	left = 2 * MESSAGE_HEADER + 3 + msg.hdr.len; /* its answer and first event */
	while (left) {
		n += queue_put(&rig->guest_out, (uint8_t *)&msg + n, message_size(&msg.hdr) - n);
		anew_lives(&before);
		left -= queue_get(&rig->guest_in, before.half.payload, left);
	}
}

struct bed {
	struct rig rig;
	struct anew before, after, other;
	bool half; /* the guest has sent a part of a request */
};

#define REQUEST "data/xyz"
#define HALF	4 /* octets of it that are there */

static inline void bed_open(struct bed *bed, bool half)
{
	char text[8];

	rig_open(&bed->rig, 7, 0u - 300);
	for (uint32_t i = 0; i < WATCHES; i++)
		register_one(&bed->rig, i);
	bed->before = (struct anew){ .rig = &bed->rig, .next_tx = STARTS };
	for (uint32_t i = 1; i <= STARTS; i++) {
		sprintf(text, "%u", i);
		rig_exchange(&bed->rig, XS_TRANSACTION_START, 0, "", 1, XS_TRANSACTION_START, text);
		bed->before.tx[bed->before.txs++] = i;
	}
	bed->half = half;
	if (half) {
		struct message msg = make_message(XS_READ, 9, 0, REQUEST, sizeof(REQUEST));

		queue_put(&bed->rig.guest_out, &msg, MESSAGE_HEADER + HALF);
		rig_run(&bed->rig);
	}
	bed->rig.daemon.paused = true;
}

/* With a daemon that has all that the session has; nothing is under way. */
static inline void assert_whole(struct bed *bed, const struct anew *daemon, bool told)
{
	struct session *s = bed->rig.s;
	const struct watch *watch = watches_from(&s->watches, 0);
	char text[4096];
	uint32_t len;

	assert_true(renew_rests(s) && !s->watches.intents);
	assert_int_equal(word_get(&s->ledger->pending_mask), 0);
	assert_int_equal(s->watches.count, WATCHES);
	assert_int_equal(HASH_COUNT(s->watches.table), WATCHES);
	assert_int_equal(s->fifo.waiting.events | s->fifo.waiting.replies, 0);
	assert_int_equal(daemon->watches, told ? WATCHES : 0);
	for (uint32_t i = 0; i < WATCHES; i++, watch = watch_next(watch)) {
		len = watch_text_of(i, text);
		assert_memory_equal(watch_text(&s->watches, watch, &len), text, len);
		if (told)
			assert_message(&daemon->watch[i], XS_WATCH, 0, text, len);
	}
	/* One that was begun twice is open once more than it should; not one less, or another. */
	assert_int_equal(transaction_count(&s->transactions), STARTS);
	for (uint32_t slot = 0; slot < STARTS; slot++) {
		uint32_t n = 0, upstream = transaction_at(&s->transactions, (int)slot)->upstream;

		for (uint32_t i = 0; i < daemon->txs; i++)
			n += daemon->tx[i] == upstream;
		assert_int_equal(n, 1);
	}
	assert_true(daemon->txs == STARTS);
}

/* It conflicts if it is not the one that the guest has opened; else it may be as it was. */
static inline void finish_transaction(struct bed *bed, struct anew *daemon, uint32_t id)
{
	struct rig *rig = &bed->rig;
	struct transactions *all = &rig->s->transactions;
	const struct ledger_tx *tx = transaction_at(all, transaction_find(all, id));
	bool conflicts = tx->flags & TRANSACTION_CONFLICT;

	assert_true(conflicts || (daemon == &bed->before && tx->upstream == id));
	GUEST_SENDS(rig, XS_TRANSACTION_END, id, id, "T");
	anew_lives(daemon);
	if (conflicts)
		GUEST_GETS(rig, XS_ERROR, id, id, "EAGAIN");
	else
		GUEST_GETS(rig, XS_TRANSACTION_END, id, id, "OK");
}

/* Everybody goes on: what the guest has open conflicts, and it hears of its watches. */
static inline void finish(struct bed *bed, struct anew *daemon)
{
	struct rig *rig = &bed->rig;

	rig->daemon.paused = false;
	rig_run(rig);
	assert_guest_idle(rig);
	assert_stored_idle(rig);
	if (bed->half) {
		queue_put(&rig->guest_out, &REQUEST[HALF], sizeof(REQUEST) - HALF);
		rig_run(rig);
		STORED_SENDS(rig, XS_READ, STORED_GETS(rig, XS_READ, 0, REQUEST), 0, "value");
		rig_run(rig);
		GUEST_GETS(rig, XS_READ, 9, 0, "value");
	}
	for (uint32_t i = 1; i <= STARTS; i++)
		finish_transaction(bed, daemon, i);
	assert_int_equal(daemon->txs, 0);
	anew_says(daemon, XS_WATCH_EVENT, 0, 0, "data\0token-0", 13);
	anew_lives(daemon);
	GUEST_GETS(rig, XS_WATCH_EVENT, 0, 0, "data\0token-0");
	assert_guest_idle(rig);
}

enum stage { PART, RETURN, UNDO };

static inline void begin_stage(struct bed *bed, enum stage stage)
{
	if (stage == PART)
		renew_part(bed->rig.s);
	else
		renew_begin(bed->rig.s, stage == RETURN);
}

#endif
