// SPDX-License-Identifier: MIT
/*
 * The process may die between any two instructions of the turns in which a session parts from one
 * xenstored, or makes anew what it has at another one: whenever one of them has changed the shared
 * memory, another process takes up a copy of it, with the same daemon, and makes all anew.
 */
#include "tests/unit/session_image.h"
#include "tests/unit/session_parting.h"

struct turn {
	enum stage stage;
	uint32_t lives; /* turns before, with all that the daemon does in between */
	bool half;
};

static struct bed bed;

static struct anew *daemon_of(struct bed *of, const struct turn *turn)
{
	return turn->stage == RETURN ? &of->after : &of->before;
}

/* The next one, with the very daemon. */
static void check(void *arg, const struct image *image)
{
	const struct turn *turn = arg;
	static struct bed copy;
	struct anew *daemon = daemon_of(&copy, turn);

	copy = bed;
	image_open(image, &copy.rig, bed.rig.domid);
	copy.before.rig = copy.after.rig = &copy.rig;
	copy.rig.daemon.paused = true;
	assert_int_equal(rig_revive(&copy.rig), 0);
	if (turn->stage == RETURN)
		renew_expect(copy.rig.s);
	rig_run(&copy.rig);
	begin_stage(&copy, turn->stage == PART ? UNDO : turn->stage);
	anew_lives(daemon);
	assert_whole(&copy, daemon, turn->stage == RETURN);
	finish(&copy, daemon);
	rig_close(&copy.rig);
}

static uint32_t die_in(struct turn turn)
{
	struct anew *daemon = daemon_of(&bed, &turn);
	uint32_t states;

	bed_open(&bed, turn.half);
	if (turn.stage != PART) {
		renew_part(bed.rig.s);
		anew_lives(&bed.before);
	}
	if (turn.stage == RETURN) {
		renew_forget(bed.rig.s);
		anew_begins(&bed.after, &bed.rig);
	}
	begin_stage(&bed, turn.stage);
	for (uint32_t i = 0; i < turn.lives; i++) {
		rig_turn(&bed.rig);
		while (anew_reads(daemon))
			;
		while (anew_writes(daemon))
			;
	}
	states = step_through(&bed.rig, check, &turn);
	/* The child's session is the one that knows. */
	rig_restart(&bed.rig);
	rig_close(&bed.rig);
	return states;
}

static void death_at_each_instruction(void **state)
{
	static const struct turn turns[] = {
		{ PART, 0, false },  { PART, 1, true },	   { RETURN, 0, false },
		{ RETURN, 1, true }, { RETURN, 2, false }, { RETURN, 3, true },
		{ UNDO, 0, true },   { UNDO, 1, false },
	};

	(void)state;
	if (!may_trace()) {
		print_message("this machine does not let us trace\n");
		skip();
	}
	for (uint32_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
		uint32_t states = die_in(turns[i]);

		print_message("stage %d, turn %u: %u places to die\n", (int)turns[i].stage,
			      turns[i].lives, states);
		assert_true(states > 10);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(death_at_each_instruction),
	};

	return cmocka_run_group_tests_name("session, anew, instruction by instruction", tests, NULL,
					   NULL);
}
