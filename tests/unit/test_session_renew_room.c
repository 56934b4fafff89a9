// SPDX-License-Identifier: MIT
/*
 * What a session has at xenstored is made anew however much it is, with whatever is there in part,
 * and without room for events that nobody reads: all others wait until it is done.
 */
#include "tests/unit/session_anew.h"

/* --- much of it */

#define MANY 150

static void more_than_slots_and_ring_hold(void **state)
{
	static struct anew before, after;
	struct rig *rig = *state;
	char text[40];

	for (uint32_t i = 0; i < MANY; i++)
		watch(rig, text, (uint32_t)sprintf(text, "data/%u%ctoken", i, 0) + 1);
	for (uint32_t i = 1; i <= 40; i++) {
		sprintf(text, "%u", i);
		open_as(rig, text);
		before.tx[before.txs++] = i;
	}
	part(rig, &before);
	assert_int_equal(before.ends, 40);
	assert_int_equal(before.txs, 0);
	renew_forget(rig->s);
	anew_begins(&after, rig);
	renew(&after, true);
	serve_again(rig);
	assert_int_equal(after.watches, MANY);
	assert_int_equal(after.txs, 40);
	for (uint32_t i = 0; i < MANY; i++) {
		sprintf(text, "data/%u", i);
		assert_string_equal((char *)after.watch[i].payload, text);
	}
	end_transaction(rig, 40, "T", 140, "OK", "EAGAIN");
}

static void assert_large(const struct anew *after)
{
	char text[4096];

	assert_int_equal(after->watches, 5);
	for (int name = 'a'; name <= 'e'; name++)
		assert_message(&after->watch[name - 'a'], XS_WATCH, 0, text,
			       large_watch(text, name));
}

static void larger_than_a_ring(void **state)
{
	static struct anew after;
	struct rig *rig = *state;

	for (int name = 'a'; name <= 'e'; name++)
		register_large(rig, name);
	renew_forget(rig->s);
	anew_begins(&after, rig);
	renew(&after, true);
	serve_again(rig);
	assert_large(&after);
	assert_int_equal(rig->s->watches.count, 5);
}

/* A request of its that is there in part waits for nobody, and is whole afterwards. */
static void larger_than_a_ring_beside_half_a_request(void **state)
{
	static const uint32_t parts[] = { 5, MESSAGE_HEADER, 20, 700, 1016 };
	struct message msg = make_message(XS_WRITE, 3, 0, "", 0);

	msg.hdr.len = 1500;
	fill(msg.payload, 1500, 3);
	for (uint32_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		static struct anew after;
		struct rig *rig = *state;
		struct message got;

		register_large(rig, 'c');
		queue_put(&rig->guest_out, &msg, parts[i]);
		rig_run(rig);
		renew_forget(rig->s);
		anew_begins(&after, rig);
		renew(&after, true);
		assert_int_equal(after.watches, 1);
		serve_again(rig);
		for (uint32_t n = parts[i], m = 0; m < message_size(&msg.hdr);) {
			n += queue_put(&rig->guest_out, (uint8_t *)&msg + n,
				       message_size(&msg.hdr) - n);
			rig_run(rig);
			m += queue_get(&rig->stored_in, (uint8_t *)&got + m,
				       message_size(&msg.hdr) - m);
			rig_run(rig);
		}
		assert_message(&got, XS_WRITE, 0, msg.payload, 1500);
		STORED_SENDS(rig, XS_WRITE, got.hdr.req_id, 0, "OK");
		rig_run(rig);
		GUEST_GETS(rig, XS_WRITE, 3, 0, "OK");
		rig_teardown(state);
		setup(state);
	}
}

/* --- no room for what the front does not read */

/* Events that nobody reads, until there is room for @left octets; each is another one. */
static uint32_t fill_fifo(struct rig *rig, uint32_t left)
{
	static uint8_t octets[1000];
	uint32_t events = 0, room;

	while ((room = fifo_room(&rig->s->fifo)) > left) {
		uint32_t size = room - left > 1900 ? 1000 : room - left;

		/* None that is too short to be a message may be left. */
		if (size > 1000)
			size = 900;
		fill(octets, sizeof(octets), 0);
		memcpy(octets, &events, sizeof(events));
		stored_sends(rig, XS_WATCH_EVENT, 0, 0, octets, size - MESSAGE_HEADER);
		rig_run(rig);
		events++;
		assert_int_equal(queue_used(&rig->stored_out), 0);
	}
	assert_int_equal(room, left);
	return events;
}

static void without_room(struct rig *rig, uint32_t left)
{
	static struct anew before, after;
	uint32_t events;

	watch(rig, "a\0t", 4);
	register_large(rig, 'c');
	watch(rig, "b\0t", 4);
	open_as(rig, "5");
	before = (struct anew){ .tx = { 5 }, .txs = 1 };
	rig->daemon.paused = true;
	events = fill_fifo(rig, left);
	part(rig, &before);
	renew_forget(rig->s);
	anew_begins(&after, rig);
	renew(&after, true);
	assert_true(renew_rests(rig->s));
	assert_int_equal(after.watches, 3);
	assert_int_equal(rig->s->watches.count, 3);
	assert_int_equal(after.txs, 1);
	assert_int_equal(rig->s->fifo.waiting.events, events);
	assert_int_equal(rig->s->fifo.waiting.replies, 0);
}

static void a_full_fifo(void **state)
{
	static const uint32_t left[] = { 64, 70, 200, 3000 };

	for (uint32_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		without_room(*state, left[i]);
		rig_teardown(state);
		setup(state);
	}
}

/* Events that nobody reads hold up nobody, nor the answers that come behind them. */
static void events_before_answers(void **state)
{
	static uint8_t octets[XENSTORE_PAYLOAD_MAX];
	struct rig *rig = *state;
	uint32_t id[2];

	for (uint32_t i = 0; i < 2; i++) {
		GUEST_SENDS(rig, XS_READ, i, 0, "x");
		rig_run(rig);
		id[i] = STORED_GETS(rig, XS_READ, 0, "x");
	}
	rig->daemon.paused = true;
	for (uint32_t i = 0; i < FIFO_SIZE / 900 + 1000; i++) {
		fill(octets, sizeof(octets), i);
		stored_sends(rig, XS_WATCH_EVENT, 0, 0, octets, 900);
		rig_run(rig);
		assert_int_equal(queue_used(&rig->stored_out), 0);
	}
	for (uint32_t i = 0; i < 2; i++) {
		struct message msg = make_message(XS_READ, id[i], 0, octets, 4096);

		for (uint32_t n = 0; n < message_size(&msg.hdr);) {
			uint32_t more = queue_put(&rig->stored_out, (uint8_t *)&msg + n,
						  message_size(&msg.hdr) - n);

			assert_int_not_equal(more, 0);
			n += more;
			rig_run(rig);
		}
	}
	assert_true(renew_rests(rig->s));
	assert_int_equal(rig->s->fifo.waiting.replies, 2);
}

static void no_memory_for_events(void **state)
{
	static struct anew after;
	struct rig *rig = *state;
	uint32_t events;

	register_large(rig, 'c');
	for (uint32_t i = 0; i < ANEW_TEXTS; i++)
		watch(rig, anew_texts[i].text, anew_texts[i].len);
	rig->daemon.paused = true;
	events = fill_fifo(rig, FIFO_SIZE - 40 * POOL_PAGE + 10);
	renew_forget(rig->s);
	rig->s->account.max = 1;
	anew_begins(&after, rig);
	renew(&after, true);
	assert_true(renew_rests(rig->s));
	assert_int_equal(after.watches, ANEW_TEXTS + 1);
	assert_int_equal(rig->s->watches.count, ANEW_TEXTS + 1);
	assert_int_equal(rig->s->fifo.waiting.events, events);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		RENEW_TEST(more_than_slots_and_ring_hold),
		RENEW_TEST(larger_than_a_ring),
		RENEW_TEST(larger_than_a_ring_beside_half_a_request),
		RENEW_TEST(a_full_fifo),
		RENEW_TEST(events_before_answers),
		RENEW_TEST(no_memory_for_events),
	};

	return cmocka_run_group_tests_name("session, anew, of all sizes", tests, NULL, NULL);
}
