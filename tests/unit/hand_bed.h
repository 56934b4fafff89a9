/* SPDX-License-Identifier: MIT */
/* hand_bed - a session of a ring that has been handed what its connection has. */
#ifndef XSPROXY_TESTS_UNIT_HAND_BED_H
#define XSPROXY_TESTS_UNIT_HAND_BED_H

#include "link/conns.h"
#include "proxy/session/hand.h"
#include "tests/unit/session_anew.h"

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

/* One more test of the same kind. */
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

#define HAND_TEST(name)                                                            \
	cmocka_unit_test_setup_teardown(name, hand_setup, rig_teardown),           \
	{                                                                          \
#name " (restarts)", name, hand_setup_restarts, rig_teardown, NULL \
	}

#endif
