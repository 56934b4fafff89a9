// SPDX-License-Identifier: MIT
/*
 * Exactly once, though the process may die between any two instructions: a child moves octets
 * between two sockets, as a session does, and is run instruction by instruction (ptrace). For each
 * instruction after which the memory or the kernel's state is another one, a child is killed there;
 * the next process takes up what it left, and at the far ends each octet is there once, in order.
 */
#include <malloc.h>
#include <sys/ioctl.h>

#include "tests/unit/dying_child.h"
#include "tests/unit/sock_world.h"

/* --- death */

/* What the next one looks at. (Octets count by the indexes.) */
struct state {
	struct ledger ledger;
	struct ledgers_outlet outlet;
	int peek_off[SLOT_SIDES], unread[SLOT_SIDES], piped;
};

union state_octets {
	struct state is;
	uint8_t octets[sizeof(struct state)];
};

static void state_take(struct state *state, struct world *w)
{
	socklen_t len = sizeof(int);

	state->ledger = *slots_ledger(w->slots, SLOT);
	state->outlet = *ledgers_outlet(slots_ledgers(w->slots));
	ioctl(w->keeper.pipe[0], FIONREAD, &state->piped);
	for (int side = 0; side < SLOT_SIDES; side++) {
		getsockopt(w->ends.near[side], SOL_SOCKET, SO_PEEK_OFF, &state->peek_off[side],
			   &len);
		if (w->ends.far[side] >= 0)
			ioctl(w->ends.far[side], FIONREAD, &state->unread[side]);
	}
}

/* Return: whether it is another one than before. */
static bool state_update(struct state *state, struct world *w)
{
	static union state_octets before, now;

	before.is = *state;
	state_take(&now.is, w);
	if (!memcmp(before.octets, now.octets, sizeof(now.octets)))
		return false;
	*state = now.is;
	return true;
}

static pid_t begin(struct world *w, const struct scene *scene, bool again)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct ledger_place place = place_of(w->slots);

		at_most.splice = scene->splice;
		at_most.writev = scene->writev;
		at_most.errors = scene->errors;
		if (!again)
			open_socks(w->socks, w->ends.near);
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		kill(getpid(), SIGSTOP);
		if (again)
			succeed(w, 0);
		for (int n = scene->turns; n; n--)
			turn(&place, w->socks);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	return pid;
}

struct look {
	struct world *w;
	struct state state;
};

static bool has_changed(void *arg)
{
	struct look *look = arg;

	return state_update(&look->state, look->w);
}

/* Let it live to its end. Return: how many places of death there are, in @points. */
static int live(struct world *w, pid_t pid, struct point points[POINTS])
{
	static struct look look;

	memset(&look, 0, sizeof(look));
	look.w = w;
	state_take(&look.state, w);
	return child_lives(pid, points, POINTS, has_changed, &look);
}

static void take_up(struct world *w, const struct scene *scene)
{
	int status;
	pid_t pid;

	hear(w);
	pid = fork();
	if (!pid)
		succeed(w, 12);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status))
		fail_msg("the next one fails in step %d", WEXITSTATUS(status));
	hear(w);
	assert_each_once(w, scene);
}

static void die_once(struct world *w, const struct scene *scene, struct point point)
{
	world_open(w, scene);
	child_dies_at(begin(w, scene, false), point);
	take_up(w, scene);
	world_close(w);
}

/* Return: how many places there are to die. */
static int die_everywhere(const struct scene *scene)
{
	static struct point points[POINTS];
	static struct world w;
	int n;

	world_open(&w, scene);
	n = live(&w, begin(&w, scene, false), points);
	take_up(&w, scene);
	world_close(&w);
	die_once(&w, scene, (struct point){ 0, 0 });
	for (int i = 0; i < n; i++)
		die_once(&w, scene, points[i]);
	return n;
}

static const struct scene scenes[] = {
	{ .name = "no memory for a moment", .said = { 70, 300 }, .errors = 3, .turns = 2 },
	{ .name = "both ways", .said = { 300, 200 }, .turns = 2 },
	{ .name = "around the queues' ends",
	  .start = 0u - 4000,
	  .said = { 1500, 6000 },
	  .waits = { 30, 3000 },
	  .turns = 1 },
	{ .name = "a part of it goes",
	  .start = 4000,
	  .said = { 100, 100 },
	  .waits = { 900, 2500 },
	  .splice = 333,
	  .turns = 1 },
	{ .name = "the pipe takes a part of it",
	  .start = 77,
	  .said = { 10, 2000 },
	  .waits = { 200, 20 },
	  .writev = 150,
	  .splice = 100,
	  .turns = 1 },
	{ .name = "full sockets",
	  .said = { 70, 5000 },
	  .waits = { 4096, 5 },
	  .full = { true, true },
	  .turns = 1 },
	{ .name = "the client is gone", .said = { 70, 300 }, .gone = { true, false }, .turns = 2 },
	{ .name = "xenstored is gone", .said = { 70, 300 }, .gone = { false, true }, .turns = 2 },
	{ .name = "the counter is set anew",
	  .start = 9,
	  .said = { 40, 4096 },
	  .rearm = true,
	  .turns = 1 },
};

static void death_at_each_instruction(void **state)
{
	(void)state;
	if (!may_trace()) {
		print_message("this machine does not let us trace\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		int n = die_everywhere(&scenes[i]);

		print_message("%s: %d places to die\n", scenes[i].name, n);
		assert_true(n > 10);
	}
}

/* Whoever takes it up dies at the number @where of its places. Return: how many it has. */
static int die_again(struct world *w, const struct scene *scene, struct point point, int where)
{
	static struct point later[POINTS];
	static int n;

	world_open(w, scene);
	child_dies_at(begin(w, scene, false), point);
	if (where < 0)
		n = live(w, begin(w, scene, true), later);
	else
		child_dies_at(begin(w, scene, true), later[where]);
	take_up(w, scene);
	world_close(w);
	return n;
}

static void death_of_the_next_one(void **state)
{
	static const struct scene scene = {
		.start = 0u - 50, .said = { 300, 200 }, .waits = { 60, 70 }, .turns = 1
	};
	static struct point points[POINTS];
	static struct world w;
	int n;

	(void)state;
	if (!may_trace())
		skip();
	world_open(&w, &scene);
	n = live(&w, begin(&w, &scene, false), points);
	world_close(&w);
	for (int i = 0; i < n; i += 7) {
		int m = die_again(&w, &scene, points[i], -1);

		assert_true(m > 3);
		for (int k = 0; k < m; k++)
			die_again(&w, &scene, points[i], k);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(death_at_each_instruction),
		cmocka_unit_test(death_of_the_next_one),
	};

	signal(SIGPIPE, SIG_IGN);
	/* A large calloc() is fresh memory then, and not an instruction an octet. */
	mallopt(M_MMAP_THRESHOLD, 65536);
	return cmocka_run_group_tests_name("sock, instruction by instruction", tests, NULL, NULL);
}
