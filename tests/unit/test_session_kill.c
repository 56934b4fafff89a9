// SPDX-License-Identifier: MIT
/*
 * The process may die at any store of a commit: whatever guest and xenstored do until the next one
 * takes over, and while it runs, nothing is lost, doubled or torn, and nothing stands still.
 *
 * Before each store of ledger.c the others may act (they run on other processors), or the session
 * dies. Once at random in a long life; once at each store of a short one, all of them in turn.
 */
#include "tests/unit/kill_point.h"
#include "tests/unit/session_world.h"

static void run_once(void *arg)
{
	struct world *w = arg;

	rig_turn(&w->rig);
}

/* A turn that ends before its store number @at; -1: that goes to its end. */
static void turn(struct world *w, long at)
{
	w->proxy_awake = false;
	if (at < 0) {
		rig_turn(&w->rig);
		return;
	}
	w->dead = die_at_store(at, run_once, w);
	if (w->dead)
		rig_die(&w->rig);
}

static void revive(struct world *w)
{
	assert_int_equal(rig_revive(&w->rig), 0);
	w->dead = false;
	world_wakes(w);
}

/* Between two stores the others have time for a few steps. */
static void others_act(void *arg)
{
	struct world *w = arg;

	while (!chance(w, 3)) {
		world_notices(w);
		world_acts(w);
	}
}

static void others_run_meanwhile(struct world *w)
{
	kill_point_visit = others_act;
	kill_point_arg = w;
}

static void nobody_runs_meanwhile(void)
{
	kill_point_visit = NULL;
}

/* --- at random */

static void live(uint32_t seed, uint32_t steps, bool deaths)
{
	static struct world world;
	struct world *w = &world;

	world_open(w, seed);
	others_run_meanwhile(w);
	for (uint32_t step = 0;; step++) {
		w->closing = step > steps;
		if (step > 100 * steps)
			fail_msg("seed %u never ends", seed);
		world_notices(w);
		if (w->dead) {
			world_acts(w);
			if (w->closing || !chance(w, 10))
				revive(w);
			continue;
		}
		world_maybe_quiet(w);
		if (w->closing && world_asleep(w))
			break;
		if (w->proxy_awake && (!chance(w, 3) || (!w->guest_awake && !w->stored_awake)))
			turn(w, deaths && !w->closing && !chance(w, 4) ? (long)chance(w, 40) : -1);
		else
			world_acts(w);
	}
	nobody_runs_meanwhile();
	world_assert_end(w);
	world_close(w);
}

static void others_act_between_stores(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 5; seed++)
		live(seed, 20000, false);
}

static void death_at_random_stores(void **state)
{
	(void)state;
	for (uint32_t seed = 101; seed <= 105; seed++)
		live(seed, 20000, true);
}

/* --- at each store in turn */

static long stores;

static void count_store(void *arg)
{
	stores++;
	(void)arg;
}

/* A short life that is the same up to its store number @at, where it dies. Return: whether it did.
 */
static bool short_life(uint32_t seed, long at)
{
	static struct world world;
	struct world *w = &world;
	bool died = false;

	world_open(w, seed);
	stores = 0;
	kill_point_visit = count_store;
	for (uint32_t step = 0;; step++) {
		w->closing = step > 400;
		assert_true(step < 100000);
		world_notices(w);
		if (w->closing && world_asleep(w))
			break;
		if (!w->proxy_awake || (chance(w, 2) && (w->guest_awake || w->stored_awake))) {
			world_acts(w);
			continue;
		}
		turn(w, died ? -1 : at - stores);
		if (w->dead) {
			died = true;
			/* Time for the others to go on from what they see, or not. */
			for (uint32_t i = seed % 3 * 10; i; i--) {
				world_notices(w);
				world_acts(w);
			}
			revive(w);
		}
	}
	nobody_runs_meanwhile();
	world_assert_end(w);
	world_close(w);
	return died;
}

static void death_at_each_store(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 2; seed++) {
		long at = 0;

		while (short_life(seed, at))
			at++;
		assert_true(at > 300);
	}
}

/* --- reconnection: the one step that changes words which the guest writes too */

struct reconnection {
	struct rig *rig;
	bool asked_again, sent;
};

static void reconnect_run(void *arg)
{
	rig_run(((struct reconnection *)arg)->rig);
}

/* A guest that does not lose a moment: once it is connected it sends, or asks for another one. */
static void hasty_guest(void *arg)
{
	struct reconnection *r = arg;

	if (r->rig->guest->connection != XENSTORE_CONNECTED || r->sent)
		return;
	r->sent = true;
	if (r->asked_again)
		r->rig->guest->connection = XENSTORE_RECONNECT;
	else
		GUEST_SENDS(r->rig, XS_READ, 5, 0, "x");
}

/* Answer all RESET_WATCHES of ours until there are no more. */
static void answer_resets(struct rig *rig)
{
	struct message msg;

	for (rig_run(rig); queue_used(&rig->stored_in); rig_run(rig)) {
		queue_get_message(&rig->stored_in, &msg);
		if (msg.hdr.type == XS_RESET_WATCHES)
			STORED_SENDS(rig, XS_RESET_WATCHES, msg.hdr.req_id, 0, "OK");
		else
			STORED_SENDS(rig, msg.hdr.type, msg.hdr.req_id, 0, "y");
	}
}

/* Return: whether it died at the store number @at of the turn in which the reset ends. */
static bool reconnection(long at, bool asks_again)
{
	static struct rig rig;
	struct reconnection r = { .rig = &rig, .asked_again = asks_again };
	uint32_t id;
	bool died;

	rig_open(&rig, 7, 0u - 300);
	rig_exchange(&rig, XS_WATCH, 0, "a\0t", 4, XS_WATCH, "OK");
	rig.guest->connection = XENSTORE_RECONNECT;
	rig_run(&rig);
	id = STORED_GETS(&rig, XS_RESET_WATCHES, 0, "");
	STORED_SENDS(&rig, XS_RESET_WATCHES, id, 0, "OK");

	kill_point_visit = hasty_guest;
	kill_point_arg = &r;
	died = die_at_store(at, reconnect_run, &r);
	if (died)
		rig_restart(&rig);
	answer_resets(&rig);
	nobody_runs_meanwhile();
	assert_int_equal(rig.guest->connection, XENSTORE_CONNECTED);
	assert_int_equal(session_state(rig.s), LEDGER_RUN);
	if (asks_again || !r.sent)
		rig_exchange(&rig, XS_READ, 0, "x", 2, XS_READ, "y");
	else
		GUEST_GETS(&rig, XS_READ, 5, 0, "y");
	assert_guest_idle(&rig);
	assert_int_equal(rig.s->watches.count, 0);
	rig_close(&rig);
	return died;
}

static void death_at_each_store_of_a_reconnection(void **state)
{
	(void)state;
	for (int asks_again = 0; asks_again < 2; asks_again++) {
		long at = 0;

		while (reconnection(at, asks_again))
			at++;
		assert_true(at > 10);
	}
}

/* --- the end of a connection, and re-INTRODUCE */

static bool fault(long at)
{
	static struct rig rig;
	struct reconnection r = { .rig = &rig };
	bool died;

	rig_open(&rig, 7, 0u - 300);
	rig_exchange(&rig, XS_WATCH, 0, "a\0t", 4, XS_WATCH, "OK");
	GUEST_SENDS(&rig, XS_READ, 1, 0, "x");
	rig_run(&rig);
	rig.guest->req_prod += XENSTORE_RING_SIZE + 1;
	died = die_at_store(at, reconnect_run, &r);
	if (died)
		rig_restart(&rig);
	answer_resets(&rig);
	assert_int_equal(session_state(rig.s), LEDGER_ENDED);
	assert_int_equal(rig.guest->error, XENSTORE_ERROR_RINGIDX);
	assert_int_equal(rig.s->watches.count, 0);
	assert_int_equal(word_get(&rig.s->ledger->pending_mask), 0);
	assert_guest_idle(&rig);
	rig_close(&rig);
	return died;
}

static void death_at_each_store_of_a_fault(void **state)
{
	long at = 0;

	(void)state;
	while (fault(at))
		at++;
	assert_true(at > 8);
}

#define COLD 260u /* pages: more than the pool keeps the memory of */

/* Whatever the session gives back from now on loses its memory at once. */
static void warm_up(struct rig *rig, const uint32_t pages[COLD])
{
	for (uint32_t i = 0; i < COLD; i++)
		pool_release(rig->pool, pages[i]);
}

static void upstream_reset(void *arg)
{
	session_upstream_reset(((struct rig *)arg)->s);
}

/* As domain.c does: whoever finds another bind than the one in the ledger begins anew with it. */
static bool introduction(long at)
{
	static struct rig rig;
	uint32_t pages[COLD];
	char text[900];
	bool died;

	rig_open(&rig, 7, 0u - 300);
	for (uint32_t i = 0; i < COLD; i++)
		pages[i] = pool_alloc(rig.pool);
	memset(text, 't', sizeof(text));
	text[1] = text[sizeof(text) - 1] = 0;
	for (int name = 'c'; name < 'z'; name++) {
		text[0] = (char)name;
		rig_exchange(&rig, XS_WATCH, 0, text, sizeof(text), XS_WATCH, "OK");
	}
	warm_up(&rig, pages);
	rig_exchange(&rig, XS_WATCH, 0, "a\0t", 4, XS_WATCH, "OK");
	for (uint32_t i = 1; i <= 3; i++) {
		GUEST_SENDS(&rig, XS_WATCH, i, 0, "b\0t");
		rig_run(&rig);
		STORED_GETS(&rig, XS_WATCH, 0, "b\0t");
	}
	died = die_at_store(at, upstream_reset, &rig);
	if (died) {
		rig_restart(&rig);
		session_upstream_reset(rig.s);
	}
	rig.back->req_prod = rig.back->req_cons = rig.back->rsp_prod = rig.back->rsp_cons = 0;
	rig_run(&rig);
	for (uint32_t i = 1; i <= 3; i++)
		GUEST_GETS(&rig, XS_ERROR, i, 0, "EIO");
	assert_guest_idle(&rig);
	assert_int_equal(rig.s->watches.count + rig.s->watches.intents, 0);
	rig_exchange(&rig, XS_READ, 0, "x", 2, XS_READ, "y");
	rig_close(&rig);
	return died;
}

static void death_at_each_store_of_a_re_introduction(void **state)
{
	long at = 0;

	(void)state;
	while (introduction(at))
		at++;
	assert_true(at > 15);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_act_between_stores),
		cmocka_unit_test(death_at_random_stores),
		cmocka_unit_test(death_at_each_store),
		cmocka_unit_test(death_at_each_store_of_a_reconnection),
		cmocka_unit_test(death_at_each_store_of_a_fault),
		cmocka_unit_test(death_at_each_store_of_a_re_introduction),
	};

	return cmocka_run_group_tests_name("session, killed", tests, NULL, NULL);
}
