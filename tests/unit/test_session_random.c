// SPDX-License-Identifier: MIT
/*
 * A session in a random world: both sides get the very octets that the other one sent, in order,
 * nothing stands still, and what is known of watches and transactions is right in the end; also
 * when the process ends between any two turns and another one goes on.
 */
#include "tests/unit/session_world.h"

#define STEPS 30000
#define LIVES 12

static void turn(struct world *w)
{
	w->proxy_awake = false;
	rig_turn(&w->rig);
}

static void live(uint32_t seed, bool deaths)
{
	static struct world world;
	struct world *w = &world;

	world_open(w, seed);
	for (uint32_t step = 0;; step++) {
		w->closing = step > STEPS;
		if (step > 100 * STEPS)
			fail_msg("seed %u never ends", seed);
		world_notices(w);
		world_maybe_quiet(w);
		if (w->closing && world_asleep(w))
			break;
		if (w->proxy_awake && (!chance(w, 3) || (!w->guest_awake && !w->stored_awake)))
			turn(w);
		else
			world_acts(w);
		if (deaths && !w->closing && !chance(w, 60)) {
			rig_restart(&w->rig);
			world_wakes(w);
		}
	}
	world_assert_end(w);
	assert_true(w->next_req > STEPS / 40);
	world_close(w);
}

static void a_random_world(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= LIVES; seed++)
		live(seed, false);
}

static void a_world_where_the_process_dies_between_turns(void **state)
{
	(void)state;
	for (uint32_t seed = 101; seed <= 100 + LIVES; seed++)
		live(seed, true);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_random_world),
		cmocka_unit_test(a_world_where_the_process_dies_between_turns),
	};

	return cmocka_run_group_tests_name("session, randomly", tests, NULL, NULL);
}
