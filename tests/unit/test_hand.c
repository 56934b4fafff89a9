// SPDX-License-Identifier: MIT
/*
 * What a guest's connection has at a native xenstored is handed to its session, which goes on with
 * it. Everything is tried once more with another process that takes it up.
 */
#include "tests/unit/hand_bed.h"

/* --- a request that was taken in part */

static void a_short_request_with_each_cut(void **state)
{
	struct message msg = make_message(XS_READ, 9, 0, "data/xyz", 9);

	for (uint32_t cut = 1; cut <= message_size(&msg.hdr); cut++) {
		struct rig *rig = *state;
		struct conns_view view = { .record.in_len = cut, .in = (uint8_t *)&msg };

		hand(rig, &view);
		queue_put(&rig->guest_out, (uint8_t *)&msg + cut, message_size(&msg.hdr) - cut);
		rig_run(rig);
		STORED_SENDS(rig, XS_READ, STORED_GETS(rig, XS_READ, 0, "data/xyz"), 0, "value");
		rig_run(rig);
		GUEST_GETS(rig, XS_READ, 9, 0, "value");
		assert_true(session_drained(rig->s));
		open_again(state);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		HAND_TEST(a_short_request_with_each_cut),
	};

	return cmocka_run_group_tests_name("hand, rings", tests, NULL, NULL);
}
