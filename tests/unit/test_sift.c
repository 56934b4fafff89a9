// SPDX-License-Identifier: MIT
/*
 * The events that a failed ADD_DOMAIN_WATCHES has brought about go, and no others, whatever happens
 * to the fifo meanwhile; and one turn never compares all events with all watches.
 */
#include <stdio.h>

#include "tests/unit/session_rig.h"

#include "proxy/toolstack/sift.h"

#define BATCH	9
#define WATCHES 60
#define EVENTS	2000u

static void put_event(struct rig *rig, const char *top, uint32_t number)
{
	struct message msg = { .hdr.type = XS_WATCH_EVENT };
	char text[32];
	int len = sprintf(text, "%s/%u", top, number) + 1;
	struct commit commit;

	memcpy(text + len, "t", 2);
	message_set_text(&msg, text, (uint32_t)len + 2);
	assert_int_equal(fifo_reserve(&rig->s->fifo, 0, message_size(&msg.hdr)), 0);
	commit_begin(&commit, &rig->s->place);
	fifo_append(&rig->s->fifo, &commit, &msg);
	commit_end(&commit);
}

/* The guest's own watches, one of a batch, and events of both that wait. */
static int setup(void **state)
{
	struct message msg = make_message(XS_WATCH, 0, 0, "x\0t", 4);
	char payload[8];
	struct rig *rig;

	rig_setup(state);
	rig = *state;
	for (int i = 0; i < WATCHES; i++) {
		int len = sprintf(payload, "w%02d", i) + 1;

		memcpy(payload + len, "t", 2);
		rig_exchange(rig, XS_WATCH, 0, payload, (uint32_t)len + 2, XS_WATCH, "OK");
	}
	rig_turn(rig);
	assert_int_equal(up_inject(rig->s, &msg, NULL, BATCH, 0), 0);
	STORED_SENDS(rig, XS_WATCH, STORED_GETS(rig, XS_WATCH, 0, "x\0t"), 0, "OK");
	rig_run(rig);
	session_quiet(rig->s);
	for (uint32_t i = 0; i < EVENTS; i += 2) {
		put_event(rig, "w00", i);
		put_event(rig, "x", i + 1);
	}
	return 0;
}

static void assert_own_from(struct rig *rig, uint32_t first)
{
	struct fifo *fifo = &rig->s->fifo;
	struct message msg;
	uint32_t off = 0;

	assert_int_equal(fifo->waiting.events, (EVENTS - first) / 2);
	for (uint32_t i = first; i < EVENTS; i += 2, off += message_size(&msg.hdr)) {
		char text[32];

		sprintf(text, "w00/%u", i);
		fifo_read(fifo, off, &msg.hdr, sizeof(msg.hdr));
		fifo_read(fifo, off + MESSAGE_HEADER, msg.payload, msg.hdr.len);
		assert_string_equal((char *)msg.payload, text);
	}
	assert_int_equal(off, fifo_used(fifo));
}

static void some_a_turn(void **state)
{
	struct rig *rig = *state;
	uint32_t used = fifo_used(&rig->s->fifo), turns;
	struct sift *sift;

	assert_int_equal(sift_new(&sift, rig->s, BATCH), 0);
	for (turns = 1; !sift_some(sift); turns++)
		assert_int_equal(fifo_used(&rig->s->fifo), used);
	assert_in_range(turns, EVENTS * WATCHES / 4096, EVENTS * WATCHES / 2048);
	assert_int_equal(sift_end(sift), 0);
	assert_own_from(rig, 0);
	sift_free(sift);
}

static bool is_late(void *arg, const struct message *msg)
{
	(void)msg;
	return ++*(uint32_t *)arg > 1000;
}

static void anew_when_the_head_moves(void **state)
{
	struct rig *rig = *state;
	struct sift *sift;
	uint32_t n = 0;

	assert_int_equal(sift_new(&sift, rig->s, BATCH), 0);
	for (int i = 0; i < 5; i++)
		assert_false(sift_some(sift));
	assert_int_equal(fifo_filter(&rig->s->fifo, &rig->s->place, is_late, &n), 0);
	while (!sift_some(sift))
		;
	assert_int_equal(sift_end(sift), 0);
	assert_own_from(rig, 1000);
	sift_free(sift);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)
	static const struct CMUnitTest tests[] = {
		TEST(some_a_turn),
		TEST(anew_when_the_head_moves),
	};

	return cmocka_run_group_tests_name("sift", tests, NULL, NULL);
}
