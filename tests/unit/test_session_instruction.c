// SPDX-License-Identifier: MIT
/*
 * The process may die between any two instructions: turns of a session in a random world are run in
 * a child, instruction by instruction (ptrace). Whenever one of them has changed the shared memory,
 * a copy of the world as it is at that moment is taken up by another process and lived to its end.
 */
#include "tests/unit/session_image.h"
#include "tests/unit/session_world.h"

#define TURNS 3 /* that are looked at */

static void stream_copy(struct stream *to, const struct stream *from)
{
	*to = (struct stream){ 0 };
	stream_add(to, from->octets + from->at, stream_left(from));
	to->total = from->total;
}

/* A world of its own that goes on from what is in @image. */
static void world_copy(struct world *to, struct world *from, const struct image *image)
{
	*to = *from;
	image_open(image, &to->rig, from->rig.domid);
	stream_copy(&to->guest_out, &from->guest_out);
	stream_copy(&to->guest_in, &from->guest_in);
	stream_copy(&to->stored_out, &from->stored_out);
	for (uint32_t i = to->queue_head; i != to->queue_tail; i++) {
		struct asked *asked = &to->queue[i % 4096];
		uint8_t *payload = malloc(asked->hdr.len + 1);

		memcpy(payload, asked->payload, asked->hdr.len);
		asked->payload = payload;
	}
}

static void live_on(struct world *w)
{
	w->closing = true;
	world_wakes(w);
	for (uint32_t step = 0; !world_asleep(w); world_notices(w)) {
		assert_true(++step < 1000000);
		if (w->proxy_awake && (chance(w, 2) || (!w->guest_awake && !w->stored_awake))) {
			w->proxy_awake = false;
			rig_turn(&w->rig);
		} else {
			world_acts(w);
		}
	}
	world_assert_end(w);
}

static void check(void *arg, const struct image *image)
{
	static struct world copy;

	world_copy(&copy, arg, image);
	assert_int_equal(rig_revive(&copy.rig), 0);
	live_on(&copy);
	world_close(&copy);
}

/* Live for a while; then everybody but the session, so that its next turn has much to do. */
static void live_until_busy(struct world *w)
{
	for (uint32_t n = 300 + chance(w, 200); n; n--) {
		world_notices(w);
		if (w->proxy_awake && n > 100 && chance(w, 2)) {
			w->proxy_awake = false;
			rig_turn(&w->rig);
		} else {
			world_acts(w);
		}
	}
}

static void death_at_each_instruction(void **state)
{
	static struct world world;
	uint32_t states = 0;

	(void)state;
	if (!may_trace()) {
		print_message("this machine does not let us trace\n");
		skip();
	}
	for (uint32_t seed = 1; seed <= TURNS; seed++) {
		world_open(&world, seed);
		live_until_busy(&world);
		states += step_through(&world.rig, check, &world);
		/* The child's session is the one that knows; go on as if it had died at the end. */
		rig_restart(&world.rig);
		live_on(&world);
		world_close(&world);
	}
	assert_true(states > 50 * TURNS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(death_at_each_instruction),
	};

	return cmocka_run_group_tests_name("session, instruction by instruction", tests, NULL,
					   NULL);
}
