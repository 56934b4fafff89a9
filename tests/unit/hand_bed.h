/* SPDX-License-Identifier: MIT */
/* hand_bed - the session of a ring that is handed what its connection has. */
#ifndef XSPROXY_TESTS_UNIT_HAND_BED_H
#define XSPROXY_TESTS_UNIT_HAND_BED_H

#include "tests/unit/session_anew.h"

#include "tests/unit/handed.h"

static bool hand_restarts; /* another process takes up what was handed in */

static inline int hand_setup(void **state)
{
	hand_restarts = false;
	return setup(state);
}

static inline int hand_setup_restarts(void **state)
{
	hand_restarts = true;
	return setup(state);
}

/* One more of the same kind. */
static inline void open_again(void **state)
{
	rig_teardown(state);
	setup(state);
}

static inline void hand(struct rig *rig, const struct conns_view *view)
{
	assert_int_equal(hand_in(rig->s, view), 0);
	if (hand_restarts)
		rig_restart(rig);
}

/* The rest of a request comes, and upstream gets all of it. */
static inline void guest_ends(struct rig *rig, const struct message *msg, uint32_t from)
{
	uint32_t size = message_size(&msg->hdr), n = from, got = 0;
	static struct message seen;

	while (got < size) {
		n += queue_put(&rig->guest_out, (const uint8_t *)msg + n, size - n);
		rig_run(rig);
		got += queue_get(&rig->stored_in, (uint8_t *)&seen + got, size - got);
		rig_run(rig);
	}
	assert_message(&seen, msg->hdr.type, msg->hdr.tx_id, msg->payload, msg->hdr.len);
	STORED_SENDS(rig, msg->hdr.type, seen.hdr.req_id, msg->hdr.tx_id, "OK");
	rig_run(rig);
	guest_gets(rig, msg->hdr.type, msg->hdr.req_id, msg->hdr.tx_id, "OK", 3);
	assert_true(session_drained(rig->s));
}

#define HAND_TEST(name)                                                            \
	cmocka_unit_test_setup_teardown(name, hand_setup, rig_teardown),           \
	{                                                                          \
#name " (restarts)", name, hand_setup_restarts, rig_teardown, NULL \
	}

#endif
