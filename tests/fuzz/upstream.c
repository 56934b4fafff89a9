// SPDX-License-Identifier: MIT
/*
 * A xenstored that says anything: fragments, replies that nobody asked for or of odd kinds, lengths
 * and indexes that cannot be, its ring changing while it is read. The guest behaves, and whatever
 * it gets is a well-formed message with ids that it knows; a second guest, whose connection is
 * served well, notices nothing.
 */
#include "tests/fuzz/world.h"

#define STEPS_MAX 300
#define ASKED	  64

static struct message got;
static uint32_t got_len, next_req, asked, answered, visits, trick_at, trick_word, trick_value;

/* --- the guest: req_id says which transaction id goes with it */

static void guest_asks(struct tape *tape)
{
	struct message msg = { .hdr = { .type = tape_u8(tape) % (XS_DIRECTORY_PART + 1) } };
	const uint8_t *payload;
	uint32_t len = tape_u8(tape);

	if (len >= 0x80) {
		msg.hdr.len = (len - 0x80) * 32; /* up to 4064 */
		memset(msg.payload, 'p', msg.hdr.len);
	} else {
		len = (uint32_t)tape_take(tape, len, &payload);
		message_set_text(&msg, payload, len);
	}
	msg.hdr.req_id = ++next_req;
	msg.hdr.tx_id = next_req % 3;
	len = message_size(&msg.hdr);
	/* Only whole ones, so that every octet that it sends is a request. */
	if (len > XENSTORE_RING_SIZE ||
	    len > XENSTORE_RING_SIZE - (atomic_load(world.hostile.guest_out.prod) -
					atomic_load(world.hostile.guest_out.cons)))
		return;
	CHECK(ring_put(&world.hostile.guest_out, &msg, len) == len);
	asked++;
}

static void guest_judges(void)
{
	if (got.hdr.type == XS_WATCH_EVENT)
		return;
	CHECK(got.hdr.req_id && got.hdr.req_id <= next_req);
	CHECK(got.hdr.tx_id == got.hdr.req_id % 3);
	CHECK(++answered <= asked);
}

static bool guest_reads(void)
{
	uint32_t want = got_len < MESSAGE_HEADER ? MESSAGE_HEADER : message_size(&got.hdr);
	uint32_t n = ring_get(&world.hostile.guest_in, (uint8_t *)&got + got_len, want - got_len);

	got_len += n;
	if (got_len >= MESSAGE_HEADER)
		CHECK(got.hdr.len <= XENSTORE_PAYLOAD_MAX);
	if (got_len >= MESSAGE_HEADER && got_len == message_size(&got.hdr)) {
		guest_judges();
		got_len = 0;
	}
	return n;
}

/* --- xenstored */

/* A message; @known: with the id of a request under way. */
static void stored_says(struct tape *tape, bool known)
{
	struct message msg = { .hdr = { .type = tape_u8(tape) } };
	const struct ledger *ledger = world.hostile.s->ledger;
	uint32_t mask = word_get(&ledger->pending_mask), len = tape_u8(tape);
	const uint8_t *payload;

	msg.hdr.req_id = msg.hdr.tx_id = tape_u8(tape);
	if (known && mask) {
		const struct ledger_pending *pending = &ledger->pending[__builtin_ctz(mask)];

		msg.hdr.req_id = pending->id;
		if (msg.hdr.type & 1)
			msg.hdr.type = pending->type;
	}
	if (len >= 0x80) {
		msg.hdr.len = (len - 0x80) * 33; /* up to 4191, which is too much */
		memset(msg.payload, 'r', sizeof(msg.payload));
		len = msg.hdr.len < sizeof(msg.payload) ? msg.hdr.len : sizeof(msg.payload);
	} else {
		len = (uint32_t)tape_take(tape, len, &payload);
		message_set_text(&msg, payload, len);
	}
	ring_put(&world.hostile.stored_out, &msg, MESSAGE_HEADER + len);
}

static void stored_writes(struct tape *tape)
{
	const uint8_t *octets;
	uint32_t n = (uint32_t)tape_take(tape, tape_u8(tape), &octets);

	ring_put(&world.hostile.stored_out, octets, n);
}

static void stored_reads(uint32_t n)
{
	uint8_t lost[XENSTORE_RING_SIZE];

	ring_get(&world.hostile.stored_in, lost, n < sizeof(lost) ? n : sizeof(lost));
}

static void play(uint32_t word, uint32_t value)
{
	xs_page *back = world.hostile.back;
	uint32_t *words[] = { &back->rsp_prod,	      &back->rsp_cons,	    &back->req_prod,
			      &back->req_cons,	      &back->connection,    &back->error,
			      &back->server_features, (uint32_t *)back->rsp };

	if (word & 8)
		*words[word % 8] += (uint32_t)(int8_t)value;
	else if (word & 16)
		((uint32_t *)back->rsp)[word / 32 % (XENSTORE_RING_SIZE / 4)] = value;
	else
		*words[word % 8] = value;
}

static void visit(void *arg)
{
	(void)arg;
	if (trick_at && ++visits == trick_at)
		play(trick_word, trick_value);
}

/* --- the script */

static void turn(void)
{
	visits = 0;
	kill_point_visit = visit;
	party_turn(&world.hostile);
	kill_point_visit = NULL;
	trick_at = 0;
}

static void step(struct tape *tape)
{
	uint32_t word;

	switch (tape_u8(tape) % 12) {
	case 0:
	case 1:
		guest_asks(tape);
		break;
	case 2:
		guest_reads();
		break;
	case 3:
		stored_says(tape, false);
		break;
	case 4:
		stored_says(tape, true);
		break;
	case 5:
		stored_writes(tape);
		break;
	case 6:
		stored_reads(tape_u16(tape));
		break;
	case 7:
		word = tape_u16(tape);
		play(word, tape_u32(tape));
		break;
	case 8:
		trick_at = tape_u8(tape);
		trick_word = tape_u16(tape);
		trick_value = tape_u32(tape);
		break;
	case 9:
		world_die();
		/* It is xenstored that may have made a mess of words that xsproxyd was changing. */
		world_revive();
		break;
	case 10:
		turn();
		stored_reads(XENSTORE_RING_SIZE);
		stored_says(tape, true);
		turn();
		break;
	default:
		turn();
	}
}

FUZZ_BEGINS_WITH(world_init)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tape tape = { data, data + size };

	got_len = next_req = asked = answered = trick_at = 0;
	world_open(7);
	for (int i = 0; tape_left(&tape) && i < STEPS_MAX; i++)
		step(&tape);
	turn();
	for (int i = 0; guest_reads(); i++) {
		CHECK(i < STEPS_MAX * 4096);
		turn();
	}
	innocent_exchange(11);
	world_close();
	return 0;
}
