// SPDX-License-Identifier: MIT
/*
 * The process may die between any two instructions: turns of a session in a random world are run in
 * a child, instruction by instruction (ptrace). Whenever one of them has changed the shared memory,
 * a copy of the world as it is at that moment is taken up by another process and lived to its end.
 */
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "tests/unit/session_world.h"

#define TURNS	3   /* that are looked at */
#define EXTENTS 48u /* more are not in use */

/* All of the shared memory that the session may change: two pages, the ledger, the extents. */
struct image {
	uint8_t page[3 + EXTENTS][ARENA_PAGE];
};

static uint8_t *image_page(struct rig *rig, uint32_t i)
{
	const struct ledgers *ledgers = &rig->proxy.ledgers;

	switch (i) {
	case 0:
		return (uint8_t *)rig->guest;
	case 1:
		return (uint8_t *)rig->back;
	case 2:
		return (uint8_t *)ledgers_ledger(ledgers, rig->domid);
	default:
		return ledgers->arena.base + ledgers_extent_off(ledgers, i - 2);
	}
}

/* Take a new image. Return: whether something has changed. */
static bool image_update(struct image *image, struct rig *rig)
{
	bool changed = false;

	for (uint32_t i = 0; i < 3 + EXTENTS; i++) {
		const uint8_t *page = image_page(rig, i);

		if (!memcmp(image->page[i], page, ARENA_PAGE))
			continue;
		memcpy(image->page[i], page, ARENA_PAGE);
		changed = true;
	}
	return changed;
}

static void stream_copy(struct stream *to, const struct stream *from)
{
	*to = (struct stream){ 0 };
	stream_add(to, from->octets + from->at, stream_left(from));
	to->total = from->total;
}

/* A world of its own that goes on from what is in @image. */
static void world_copy(struct world *to, struct world *from, const struct image *image)
{
	const struct ledgers *ledgers = &to->rig.proxy.ledgers;

	*to = *from;
	rig_open(&to->rig, from->rig.domid, 0);
	session_free(to->rig.s, true);
	pool_free(to->rig.pool);
	for (uint32_t i = 0; i < 3 + EXTENTS; i++) {
		if (i >= 3)
			assert_int_equal(arena_reserve(&ledgers->arena,
						       ledgers_extent_off(ledgers, i - 2),
						       ARENA_PAGE),
					 0);
		memcpy(image_page(&to->rig, i), image->page[i], ARENA_PAGE);
	}
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

static void check(struct world *w, const struct image *image)
{
	static struct world copy;

	world_copy(&copy, w, image);
	assert_int_equal(rig_revive(&copy.rig), 0);
	live_on(&copy);
	world_close(&copy);
}

/* Run one turn in a child; look at the memory after each instruction. Return: the states seen. */
static uint32_t step_through(struct world *w)
{
	static struct image image;
	uint32_t states = 0;
	int status;
	pid_t pid = fork();

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		rig_turn(&w->rig);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	image_update(&image, &w->rig);
	while (!ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL)) {
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status))
			break;
		assert_int_equal(WSTOPSIG(status), SIGTRAP);
		if (!image_update(&image, &w->rig))
			continue;
		check(w, &image);
		states++;
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return states;
}

static bool may_trace(void)
{
	pid_t pid = fork();
	int status;
	bool may;

	if (!pid)
		_exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) ? 1 : 0);
	may = waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
	return may;
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
		states += step_through(&world);
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
