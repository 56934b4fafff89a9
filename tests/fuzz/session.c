// SPDX-License-Identifier: MIT
/*
 * A guest that owns its page and plays every trick on it, also while xsproxyd reads it or stores to
 * it, before a well-behaved xenstored; toolstack requests about it come in between, and xsproxyd is
 * killed at any store. xenstored never sees a malformed request, knows in the end just the watches
 * and transactions that xsproxyd knows, and a second guest notices nothing.
 *
 * The first octet of an input chooses the guest (dom0 or another), then each step is an octet that
 * names it and what it takes.
 */
#include "tests/fuzz/model.h"

#define TRICKS	  8
#define STEPS_MAX 400
#define TURNS_MAX 4000

struct trick {
	uint8_t at; /* how many visits before it is played */
	uint8_t kind;
	uint32_t value;
};

static struct trick tricks[TRICKS]; /* that wait for the next turn */
static uint32_t trick_count, tricks_played, visits;
static bool tampered;	   /* the guest wrote where only xsproxyd writes */
static bool reads_bad;	   /* it spoilt what it is sent, so it cannot judge it */
static struct message got; /* what it reads */
static uint32_t got_len, asks;

/* --- the guest */

static void play(const struct trick *trick)
{
	xs_page *page = world.hostile.guest;
	uint32_t v = trick->value, *at;

	switch (trick->kind % 14) {
	case 0:
		page->req_prod = v;
		return;
	case 1:
		page->req_prod += (uint32_t)(int8_t)v;
		return;
	case 2:
		page->rsp_cons = v;
		reads_bad = true;
		return;
	case 3:
		page->rsp_cons += (uint32_t)(int8_t)v;
		reads_bad = true;
		return;
	case 4: /* octets of a request, maybe after they were read */
		at = (uint32_t *)page->req + v % (XENSTORE_RING_SIZE / 4);
		*at = v >> 8;
		return;
	case 5: /* as a header that is being read */
		at = (uint32_t *)(page->req + (page->req_cons & (XENSTORE_RING_SIZE - 4) & ~3u));
		*at = v;
		return;
	}
	tampered = reads_bad = true;
	switch (trick->kind % 14) {
	case 6:
		page->req_cons = v;
		break;
	case 7:
		page->rsp_prod = v;
		break;
	case 8:
		page->rsp_prod += (uint32_t)(int8_t)v;
		break;
	case 9:
		page->connection = v;
		break;
	case 10:
		page->error = v;
		break;
	case 11:
		page->server_features = v;
		break;
	case 12:
		memset(page, (uint8_t)v, sizeof(*page));
		break;
	case 13:
		page->connection = 1;
		break;
	}
}

static struct trick tape_trick(struct tape *tape)
{
	struct trick trick = { .kind = tape_u8(tape) };

	trick.value = tape_u32(tape);
	return trick;
}

/* Somewhere in a turn of the hostile one's session. */
static void visit(void *arg)
{
	(void)arg;
	visits++;
	while (tricks_played < trick_count && tricks[tricks_played].at <= visits) {
		visits = 0;
		play(&tricks[tricks_played++]);
	}
}

/* A request with a good header; the payload is on the tape, or repeats one octet. */
static void guest_asks(struct tape *tape, bool filled)
{
	struct message msg = { .hdr = { .type = tape_u8(tape) } };
	const uint8_t *payload;
	uint32_t n;

	if (msg.hdr.type >= 0x80)
		msg.hdr.type += 0x80; /* ours: 0x100 ... */
	msg.hdr.tx_id = tape_u8(tape);
	msg.hdr.req_id = msg.hdr.tx_id * 3;
	if (filled) {
		msg.hdr.len = tape_u16(tape) % (XENSTORE_PAYLOAD_MAX + 2);
		memset(msg.payload, tape_u8(tape), sizeof(msg.payload));
	} else {
		n = (uint32_t)tape_take(tape, tape_u8(tape), &payload);
		message_set_text(&msg, payload, n);
	}
	n = message_size(&msg.hdr) < sizeof(msg) ? message_size(&msg.hdr) : sizeof(msg);
	/* What does not fit is not written: then it is a part of a request. */
	ring_put(&world.hostile.guest_out, &msg, n);
}

static void guest_writes(struct tape *tape)
{
	const uint8_t *octets;
	uint32_t n = (uint32_t)tape_take(tape, tape_u8(tape), &octets);

	ring_put(&world.hostile.guest_out, octets, n);
}

/* What a guest is sent that leaves its side of the ring alone. */
static void guest_judges(void)
{
	uint32_t type = got.hdr.type;

	CHECK(type <= XS_DIRECTORY_PART || message_is_ours(type));
	if (type == XS_WATCH_EVENT)
		CHECK(!got.hdr.req_id && !got.hdr.tx_id && got.hdr.len >= 4);
	if (type == XS_ERROR)
		CHECK(got.hdr.len > 1 && got.payload[0] == 'E' && !got.payload[got.hdr.len - 1]);
}

static bool guest_reads(uint32_t n)
{
	uint32_t want = got_len < MESSAGE_HEADER ? MESSAGE_HEADER : message_size(&got.hdr);
	uint8_t lost[XENSTORE_RING_SIZE];

	if (reads_bad)
		return ring_get(&world.hostile.guest_in, lost, sizeof(lost));
	if (n > want - got_len)
		n = want - got_len;
	n = ring_get(&world.hostile.guest_in, (uint8_t *)&got + got_len, n);
	got_len += n;
	if (got_len >= MESSAGE_HEADER)
		CHECK(got.hdr.len <= XENSTORE_PAYLOAD_MAX);
	if (got_len >= MESSAGE_HEADER && got_len == message_size(&got.hdr)) {
		guest_judges();
		got_len = 0;
	}
	return n;
}

/* --- the toolstack */

static void asked(void *arg, const struct message *msg)
{
	(void)arg;
	CHECK(asks);
	asks--;
	CHECK(msg->hdr.len <= XENSTORE_PAYLOAD_MAX);
}

static void toolstack_asks(struct tape *tape)
{
	struct message msg = { .hdr.type = MESSAGE_QUIESCE + tape_u8(tape) % 8 };
	struct asker asker = { .slot = -1, .reply = asked, .arg = &asks };
	const uint8_t *rest;
	int n = sprintf((char *)msg.payload, "%u", world.hostile.domid) + 1;
	uint32_t len = (uint32_t)tape_take(tape, tape_u8(tape), &rest);

	memcpy(msg.payload + n, rest, len);
	msg.hdr.len = (uint32_t)n + len;
	asks++;
	asker.lease = tape_u8(tape) & 1;
	toolstack_ask(&world.daemon, &msg, &asker);
}

static void toolstack_leaves(void)
{
	toolstack_control_gone(&world.daemon, &asks);
	asks = 0;
}

/* --- xsproxyd */

static void one_turn(void *arg)
{
	party_turn(arg);
}

/* A turn during which the tricks are played; it ends before store number @at, if that is not -1. */
static void turn(long at)
{
	bool died = false;

	visits = tricks_played = 0;
	kill_point_visit = visit;
	if (at < 0)
		party_turn(&world.hostile);
	else
		died = die_at_store(at, one_turn, &world.hostile);
	kill_point_visit = NULL;
	trick_count = 0;
	if (!died)
		return;
	/* In this order: a killed process lets nobody's lease end by a commit of its own. */
	world_die();
	toolstack_leaves();
}

/* Whoever takes up an honest guest's session can do so. */
static void revive(void)
{
	if (world_revive())
		CHECK(tampered);
}

static void restart(struct tape *tape, long at)
{
	struct trick trick = tape_trick(tape);

	if (at < 0) {
		toolstack_leaves();
		world_die();
	} else {
		turn(at);
	}
	if (world.hostile.s)
		return;
	/* While nobody serves it, the others go on. */
	if (trick.kind != 0xff)
		play(&trick);
	model_serves(&model);
	revive();
}

/* xenstored unmaps the domain and maps it again: RELEASE or death, and INTRODUCE. */
static void introduce_again(void)
{
	toolstack_leaves();
	party_detach(&world.hostile, true);
	model_forget(&model);
	party_attach(&world.hostile);
	model.next_tx = 0;
	reads_bad = true;
	/* Nobody clears the page: the error of its former connection stays. */
	tampered |= world.hostile.guest->error != 0;
}

/* The C daemon's INTRODUCE of a domain that it knows: only when nothing is under way. */
static void rebind(void)
{
	xs_page *back = world.hostile.back;

	if (!session_settled(world.hostile.s))
		return;
	back->connection = 1;
	session_upstream_reset(world.hostile.s);
	party_turn(&world.hostile);
	model_forget(&model);
	back->req_cons = back->req_prod = back->rsp_cons = back->rsp_prod = 0;
	back->connection = 0;
}

/* --- the script */

/* What the guest does, and the others in between. */
static void step_guest(struct tape *tape, uint32_t what)
{
	struct trick trick;

	switch (what) {
	case 0:
		guest_asks(tape, false);
		break;
	case 1:
		guest_asks(tape, true);
		break;
	case 2:
		guest_writes(tape);
		break;
	case 3:
		guest_reads(tape_u16(tape));
		break;
	case 4:
		trick = tape_trick(tape);
		play(&trick);
		break;
	case 5:
		if (trick_count == TRICKS)
			break;
		tricks[trick_count] = tape_trick(tape);
		tricks[trick_count++].at = tape_u8(tape);
		break;
	case 6:
	case 7:
		turn(-1);
		break;
	}
}

static void step_xenstored(struct tape *tape, uint32_t what)
{
	switch (what) {
	case 8:
		model_reads(&model, tape_u16(tape));
		break;
	case 9:
		model_writes(&model, tape_u16(tape));
		break;
	case 10:
		model_serves(&model);
		break;
	case 11:
		model_fires(&model, tape_u16(tape));
		break;
	case 12:
		model.reply_len = tape_u16(tape) % (XENSTORE_PAYLOAD_MAX + 1);
		break;
	}
}

static void step(struct tape *tape)
{
	uint8_t what = tape_u8(tape);

	switch (what % 20) {
	case 13:
		restart(tape, -1);
		break;
	case 14:
		restart(tape, tape_u8(tape));
		break;
	case 15:
		toolstack_asks(tape);
		break;
	case 16:
		toolstack_leaves();
		break;
	case 17:
		if (what == 17)
			introduce_again();
		else if (what == 37)
			rebind();
		break;
	case 18:
		innocent_exchange(tape_u8(tape));
		break;
	case 19:
		turn(-1);
		model_serves(&model);
		turn(-1);
		guest_reads(MESSAGE_MAX);
		break;
	default:
		step_guest(tape, what % 20);
		step_xenstored(tape, what % 20);
		break;
	}
}

/* From here on everybody does what is asked of it, until nothing moves any more. */
static void settle(void)
{
	struct session *s = world.hostile.s;
	int turns = 0;
	bool moved;

	toolstack_leaves();
	session_resume(s);
	trick_count = 0;
	do {
		uint32_t state = session_state(s), kicks = world.hostile.front_kicks;

		CHECK(++turns < TURNS_MAX);
		party_turn(&world.hostile);
		moved = model_serves(&model);
		moved |= guest_reads(MESSAGE_MAX);
		moved |= s->task.queued || state != session_state(s) ||
			 (kicks != world.hostile.front_kicks && turns < TURNS_MAX / 2);
	} while (moved);
}

static void judge(void)
{
	struct session *s = world.hostile.s;
	enum ledger_state state = session_state(s);

	CHECK(state == LEDGER_RUN || state == LEDGER_ENDED);
	CHECK(session_settled(s));
	CHECK(!model.half_len && model.out_at == model.out_len);
	CHECK(!word_get(&s->ledger->pending_mask));
	CHECK(s->watches.count == model.watch_count);
	CHECK(transaction_count(&s->transactions) == model.tx_count);
	if (state == LEDGER_ENDED)
		CHECK(!model.watch_count && !model.tx_count);
	if (!tampered && state == LEDGER_RUN)
		CHECK(!world.hostile.guest->error);
	innocent_exchange(85);
}

FUZZ_BEGINS_WITH(world_init)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tape tape = { data, data + size };

	tampered = reads_bad = false;
	trick_count = got_len = asks = 0;
	world_open(tape_u8(&tape) == '0' ? 0 : 7);
	model_open(&model, &world.hostile);
	for (int i = 0; tape_left(&tape) && i < STEPS_MAX; i++)
		step(&tape);
	settle();
	judge();
	toolstack_leaves();
	world_close();
	model_forget(&model);
	return 0;
}
