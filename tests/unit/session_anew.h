/* SPDX-License-Identifier: MIT */
/*
 * session_anew - another xenstored at the back of a session of session_rig.h: it answers what
 * renew.c asks as daemons do, tells each watch its first event, and knows what it has been told of.
 *
 * It outlives the process: whoever follows finds it with what it was told before.
 */
#ifndef XSPROXY_TESTS_UNIT_SESSION_ANEW_H
#define XSPROXY_TESTS_UNIT_SESSION_ANEW_H

#include <stdio.h>

#include "tests/unit/session_holding.h"

#define ANEW_WATCHES 200
#define ANEW_TX	     64
#define ANEW_SAID    128

struct anew {
	struct rig *rig;
	struct message watch[ANEW_WATCHES]; /* as they came, in order */
	uint32_t watches;
	uint32_t tx[ANEW_TX], txs; /* that are open */
	uint32_t next_tx;
	uint32_t starts, ends, lasts; /* requests that came */
	struct message half;
	uint32_t half_len;
	struct message said[ANEW_SAID]; /* that are to be written yet; a ring */
	uint32_t said_at, said_end, said_octets;

	/* What it refuses a request with, or NULL */
	const char *(*refuses)(const struct message *msg);
	bool twice; /* each watch has an event behind its first one */
};

static inline void anew_says(struct anew *a, uint32_t type, uint32_t req_id, uint32_t tx_id,
			     const void *payload, uint32_t len)
{
	assert_true(a->said_end - a->said_at < ANEW_SAID);
	a->said[a->said_end++ % ANEW_SAID] = make_message(type, req_id, tx_id, payload, len);
}

static inline void anew_says_text(struct anew *a, const struct message *to, const char *text)
{
	anew_says(a, text[0] == 'E' ? XS_ERROR : to->hdr.type, to->hdr.req_id, to->hdr.tx_id, text,
		  (uint32_t)strlen(text) + 1);
}

/* Path and token of a WATCH, both terminated. */
static inline uint32_t anew_key(const struct message *msg)
{
	const char *text = (const char *)msg->payload;
	uint32_t path = (uint32_t)strlen(text) + 1;

	return path + (uint32_t)strlen(text + path) + 1;
}

static inline bool anew_has(const struct anew *a, const struct message *msg)
{
	uint32_t len = anew_key(msg);

	for (uint32_t i = 0; i < a->watches; i++)
		if (anew_key(&a->watch[i]) == len &&
		    !memcmp(a->watch[i].payload, msg->payload, len))
			return true;
	return false;
}

static inline void anew_watches(struct anew *a, const struct message *msg)
{
	if (anew_has(a, msg)) {
		anew_says_text(a, msg, "EEXIST");
		return;
	}
	assert_true(a->watches < ANEW_WATCHES);
	a->watch[a->watches++] = *msg;
	anew_says_text(a, msg, "OK");
	for (int i = a->twice ? 2 : 1; i; i--)
		anew_says(a, XS_WATCH_EVENT, 0, 0, msg->payload, anew_key(msg));
}

static inline void anew_starts(struct anew *a, const struct message *msg)
{
	char text[16];

	assert_true(a->txs < ANEW_TX);
	a->starts++;
	a->tx[a->txs++] = ++a->next_tx;
	sprintf(text, "%u", a->next_tx);
	anew_says_text(a, msg, text);
}

static inline void anew_ends(struct anew *a, const struct message *msg)
{
	a->ends++;
	for (uint32_t i = 0; i < a->txs; i++) {
		if (a->tx[i] == msg->hdr.tx_id) {
			a->tx[i] = a->tx[--a->txs];
			anew_says_text(a, msg, "OK");
			return;
		}
	}
	anew_says_text(a, msg, "ENOENT");
}

static inline void anew_answers(struct anew *a, const struct message *msg)
{
	const char *refusal = a->refuses ? a->refuses(msg) : NULL;

	if (refusal) {
		anew_says_text(a, msg, refusal);
		return;
	}
	switch (msg->hdr.type) {
	case XS_WATCH:
		anew_watches(a, msg);
		break;
	case XS_TRANSACTION_START:
		anew_starts(a, msg);
		break;
	case XS_TRANSACTION_END:
		anew_ends(a, msg);
		break;
	case XS_UNWATCH:
		/* After all else, or it would not know it. */
		assert_true(anew_has(a, msg) && a->lasts);
		anew_says_text(a, msg, "OK");
		break;
	case XS_RESET_WATCHES:
		a->watches = a->txs = 0;
		anew_says_text(a, msg, "OK");
		break;
	default:
		assert_int_equal(msg->hdr.type, XS_GET_DOMAIN_PATH);
		a->lasts++;
		anew_says_text(a, msg, "/local/domain/0");
	}
}

/* Take octets, and answer what is whole. Return: whether anything came. */
static inline bool anew_reads(struct anew *a)
{
	uint32_t want, n;

	want = a->half_len < MESSAGE_HEADER ? MESSAGE_HEADER : message_size(&a->half.hdr);
	n = queue_get(&a->rig->stored_in, (uint8_t *)&a->half + a->half_len, want - a->half_len);
	a->half_len += n;
	if (a->half_len >= MESSAGE_HEADER)
		assert_true(a->half.hdr.len <= XENSTORE_PAYLOAD_MAX);
	if (a->half_len >= MESSAGE_HEADER && a->half_len == message_size(&a->half.hdr)) {
		a->half_len = 0;
		anew_answers(a, &a->half);
	}
	return n;
}

/* Write what there is room for. Return: whether anything went. */
static inline bool anew_writes(struct anew *a)
{
	const struct message *msg = &a->said[a->said_at % ANEW_SAID];
	uint32_t n;

	if (a->said_at == a->said_end)
		return false;
	n = queue_put(&a->rig->stored_out, (const uint8_t *)msg + a->said_octets,
		      message_size(&msg->hdr) - a->said_octets);
	a->said_octets += n;
	if (a->said_octets == message_size(&msg->hdr)) {
		a->said_octets = 0;
		a->said_at++;
	}
	return n;
}

/* Both live until nothing moves any more. */
static inline void anew_lives(struct anew *a)
{
	bool moved = true;

	for (int n = 0; moved; n++) {
		if (n > 3000)
			fail_msg("it never comes to rest");
		rig_run(a->rig);
		moved = anew_reads(a);
		while (anew_reads(a))
			;
		moved = anew_writes(a) || moved;
	}
}

/* So far, and no further. */
static inline void anew_lives_for(struct anew *a, uint32_t steps)
{
	for (uint32_t i = 0; i < steps; i++) {
		rig_run(a->rig);
		anew_reads(a);
		anew_writes(a);
	}
}

/* It is another one than before, with nothing; the ring is as after renew_forget(). */
static inline void anew_begins(struct anew *a, struct rig *rig)
{
	*a = (struct anew){ .rig = rig, .next_tx = 100 };
	rig->daemon.paused = true;
}

/* --- a session from one to the other */

static inline void open_as(struct rig *rig, const char *id)
{
	rig_exchange(rig, XS_TRANSACTION_START, 0, "", 1, XS_TRANSACTION_START, id);
}

/* All that it has with the daemon before is over, as in the stage PART. */
static inline void part(struct rig *rig, struct anew *before)
{
	rig->daemon.paused = true;
	before->rig = rig;
	renew_part(rig->s);
	anew_lives(before);
	assert_true(renew_rests(rig->s));
}

/* The same with two transactions, 5 and 6. */
static inline void part_from_two(struct rig *rig, struct anew *before)
{
	open_as(rig, "5");
	open_as(rig, "6");
	*before = (struct anew){ .tx = { 5, 6 }, .txs = 2 };
	part(rig, before);
}

static inline void renew(struct anew *a, bool watches)
{
	renew_begin(a->rig->s, watches);
	assert_true(renew_busy(a->rig->s));
	anew_lives(a);
}

/* Everybody goes on. */
static inline void serve_again(struct rig *rig)
{
	assert_true(renew_rests(rig->s));
	rig->daemon.paused = false;
	rig_run(rig);
	assert_guest_idle(rig);
	assert_stored_idle(rig);
	assert_int_equal(word_get(&rig->s->ledger->pending_mask), 0);
	assert_int_equal(rig->s->watches.intents, 0);
}

static inline void end_transaction(struct rig *rig, uint32_t id, const char *how, uint32_t upstream,
				   const char *says, const char *reply)
{
	struct message msg;

	guest_sends(rig, XS_TRANSACTION_END, 8, id, how, 2);
	rig_run(rig);
	queue_get_message(&rig->stored_in, &msg);
	assert_message(&msg, XS_TRANSACTION_END, upstream, "F", 2);
	stored_sends(rig, says[0] == 'E' ? XS_ERROR : XS_TRANSACTION_END, msg.hdr.req_id, upstream,
		     says, (uint32_t)strlen(says) + 1);
	rig_run(rig);
	guest_gets(rig, reply[0] == 'E' ? XS_ERROR : XS_TRANSACTION_END, 8, id, reply,
		   (uint32_t)strlen(reply) + 1);
}

/* --- watches of all kinds */

static const struct {
	const char *text;
	uint32_t len;
} anew_texts[] = {
	{ "data\0rel", 9 },
	{ "/local/domain/7/device\0abs", 27 },
	{ "@introduceDomain\0new", 21 },
	{ "deep\0t\0002", 9 },
	{ "data\0another", 13 },
	{ "\0", 2 },
	{ "/\0root", 7 },
};

#define ANEW_DEPTH 3 /* the one that has a depth */
#define ANEW_TEXTS (sizeof(anew_texts) / sizeof(anew_texts[0]))

static inline void register_texts(struct rig *rig)
{
	for (uint32_t i = 0; i < ANEW_TEXTS; i++)
		watch(rig, anew_texts[i].text, anew_texts[i].len);
}

/* The third is longer than a ring. */
static inline uint32_t large_watch(char text[4096], int name)
{
	uint32_t n = name == 'c' ? 3000 : 900;

	memset(text, name, n);
	text[2] = 0;
	text[n - 1] = 0;
	return n;
}

/* With the daemon before, which takes and answers it in pieces; the guest reads both messages. */
static inline void register_large(struct rig *rig, int name)
{
	static struct anew before;
	static char text[4096];
	struct message msg = make_message(XS_WATCH, 77, 0, text, large_watch(text, name));
	uint32_t n = 0;

	memcpy(msg.payload, text, msg.hdr.len);
	before = (struct anew){ .rig = rig };
	while (n < message_size(&msg.hdr)) {
		n += queue_put(&rig->guest_out, (uint8_t *)&msg + n, message_size(&msg.hdr) - n);
		anew_lives(&before);
	}
	assert_int_equal(before.watches, 1);
	for (int i = 0; i < 2; i++) {
		drain(rig, &rig->guest_in, &msg.hdr, MESSAGE_HEADER, MESSAGE_HEADER);
		for (n = 0; n < msg.hdr.len; anew_lives(&before))
			n += queue_get(&rig->guest_in, msg.payload + n, msg.hdr.len - n);
		assert_int_equal(msg.hdr.type, i ? XS_WATCH_EVENT : XS_WATCH);
	}
	anew_lives(&before);
}

#define RENEW_TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

#endif
