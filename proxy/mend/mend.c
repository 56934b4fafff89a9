// SPDX-License-Identifier: MIT
#include "proxy/mend/mend.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "link/keep.h"
#include "migration/format/state.h"
#include "protocol/clock.h"
#include "proxy/alarm.h"
#include "proxy/daemon.h"
#include "proxy/host/keeper.h"
#include "proxy/log.h"
#include "proxy/mend/compare.h"
#include "proxy/mend/mend_parts.h"
#include "proxy/mend/reading.h"
#include "proxy/mirror/follow.h"
#include "proxy/util.h"

#define TICK_MS	      20
#define EACH_READ_NS  500000u /* 2,000 nodes a second */
#define EACH_LOOK_NS  100000u /* the same for whoever waits */
#define AT_ONCE	      64u
#define AUDIT_MS      1000
#define AUDIT_READS   4u
#define TRIES_FREE    3u  /* then what has to do with it waits */
#define TRIES_MAX     50u /* of what cannot be read */
#define REMAKE_S      60u
#define REMAKE_MOST_S 3600u

static void tick(void *arg);

static void wake(struct mend *mend)
{
	if (!alarm_is_set(mend->timer))
		alarm_set(mend->timer, TICK_MS);
}

void mend_wake_now(struct mend *mend)
{
	alarm_set(mend->timer, 0);
}

/* --- what was read */

void mend_sweep(struct mend *mend, enum why why)
{
	mend->sweep = why;
	mend->sweep_at = 0;
	mend->missed = false;
	mend->looked = mend->differed = 0;
	mend->round++;
	if (why == WALK)
		mend_want_specials(mend);
	wake(mend);
}

static void child_cb(void *arg, const char *path, uint32_t len)
{
	mend_hooks.unsure(arg, path, len, true);
}

static void differs(struct mend *mend, const char *text)
{
	mend->all_differed++;
	log_limited(&mend->source, LOG_WARNING, "the mirror differed from the store, mended: %s",
		    text);
	if (mend->waiter)
		mend->waiter->differs(mend->arg, text);
}

static void take(struct mend *mend, const struct want *it, const struct reading *reading)
{
	struct mirror *mirror = mend->mirror;
	char text[COMPARE_TEXT_MAX];

	if (it->why == LOOK) {
		mend->looked += it->round == mend->round;
		mend->all_looked++;
		if (!compare_node(mirror, reading, text))
			return;
		mend->differed += it->round == mend->round;
		differs(mend, text);
	}
	mirror_begin(mirror);
	mirror_end(mirror, compare_mend(mirror, reading, !mirror_is_whole(mirror), it->deep,
					child_cb, mend));
}

static bool cannot_be_read(const struct reading *reading)
{
	return reading->err && reading->err != -ENOENT;
}

/* Return: whether it is to be read once more. */
static bool again(struct mend *mend, struct want *it, const struct reading *reading)
{
	bool bad = cannot_be_read(reading) && !state_path_special(it->path, it->len);

	if (!reading->disturbed && !bad)
		return false;
	/* What nobody knows is not given up as long as it is only disturbed. */
	if (it->tries >= TRIES_MAX && (!reading->disturbed || it->why != UNSURE))
		return false;
	if (it->tries++ >= TRIES_FREE)
		mend_put_off(it);
	mend_want_again(mend, it);
	return true;
}

/* Something may be in the way of one for ever; the others are not to wait for that. */
static void take_as_it_is(struct mend *mend, const struct want *it, const struct reading *reading)
{
	if (reading->disturbed && it->why != WALK)
		return;
	take(mend, it, reading);
	if (reading->disturbed)
		mend_hooks.unsure(mend, it->path, it->len, true);
}

static void done_cb(void *owner, const struct reading *reading)
{
	struct mend *mend = owner;
	struct want *it = reading->arg;
	bool held = it->tries >= TRIES_FREE;

	TAILQ_REMOVE(&mend->active, it, list);
	if (!again(mend, it, reading)) {
		if (!cannot_be_read(reading))
			take_as_it_is(mend, it, reading);
		else if (it->why == WALK && !state_path_special(it->path, it->len))
			mend->missed = true; /* nobody can read those from C daemons before 4.19 */
		mend_drop(mend, it);
	}
	/* From within its own callback the reader has it still. */
	if (held)
		follow_wake(mend->daemon->follow);
	mend_wake_now(mend);
}

static void lost_cb(void *owner)
{
	struct mend *mend = owner;

	mend_close_readings(mend);
	if (mend->up)
		wake(mend);
}

/* --- a turn */

/* The next number of a sweep, or TREE_NONE. */
static uint32_t next_number(struct mend *mend)
{
	const struct tree *tree = mend->mirror->tree;

	for (; mend->sweep_at < tree_numbers(tree); mend->sweep_at++)
		if (tree_is_node(tree, mend->sweep_at) &&
		    (mend->sweep == LOOK || tree_is_unread(tree, mend->sweep_at)))
			return mend->sweep_at++;
	return TREE_NONE;
}

static void want_number(struct mend *mend, uint32_t node)
{
	char path[TREE_PATH_MAX + 1];
	size_t len = tree_path(mend->mirror->tree, node, path);

	if (len)
		mend_want(mend, mend->sweep, path, (uint32_t)len);
}

void mend_end_look(struct mend *mend, const char *why)
{
	const struct mend_waiter *waiter = mend->waiter;

	mend->waiter = NULL;
	if (waiter)
		waiter->done(mend->arg, mend->looked, mend->differed, why);
}

static bool anything_unread(const struct mend *mend)
{
	const struct tree *tree = mend->mirror->tree;

	for (uint32_t node = 0; node < tree_numbers(tree); node++)
		if (tree_is_node(tree, node) && tree_is_unread(tree, node))
			return true;
	return false;
}

/* More was unsure than anybody keeps, after this sweep had begun. */
static void look_again(struct mend *mend)
{
	if (!mend->sweeps_again)
		return;
	mend->sweeps_again = false;
	mirror_count_unsure(mend->mirror, 1);
	mend_sweep(mend, LOOK);
}

/* All that it had to look at was read. */
static void end_sweep(struct mend *mend)
{
	mend->sweep_at = TREE_NONE;
	if (mend->sweep == LOOK) {
		/* Also what an xsproxyd before us was not sure of. */
		mirror_count_unsure(mend->mirror,
				    (int32_t)(mend->nr_unsure - mirror_unsure(mend->mirror)));
		mend_end_look(mend, NULL);
		look_again(mend);
		return;
	}
	if (mend->missed) {
		log_line(LOG_ERR, "the store cannot be read as a whole; there is no mirror of it");
		return;
	}
	if (anything_unread(mend)) {
		mend_sweep(mend, WALK);
		return;
	}
	mirror_whole(mend->mirror, true);
	log_line(LOG_NOTICE, "the mirror of the store is whole: %u nodes",
		 tree_count(mend->mirror->tree));
	mend_sweep(mend, LOOK);
}

static void audit(struct mend *mend)
{
	uint32_t numbers = tree_numbers(mend->mirror->tree), node = 0;
	uint64_t now = clock_monotonic();

	/* Whatever has woken us, the last one's replies for example. */
	if (now < mend->audit_at)
		return;
	mend->audit_at = now + (uint64_t)AUDIT_MS * CLOCK_NS_OF_MS;
	for (uint32_t i = 0; i < AUDIT_READS; i++) {
		if (getrandom(&node, sizeof(node), GRND_NONBLOCK) != sizeof(node))
			return;
		node %= numbers;
		mend->sweep = LOOK;
		if (tree_is_node(mend->mirror->tree, node))
			want_number(mend, node);
	}
}

/* Whether one more node may be read by now; some at once, after a pause. */
static bool may_read(struct mend *mend)
{
	uint64_t each = mend->waiter ? EACH_LOOK_NS : EACH_READ_NS, now = clock_monotonic();

	if (mend->next_at + AT_ONCE * each < now)
		mend->next_at = now - AT_ONCE * each;
	if (mend->next_at > now)
		return false;
	mend->next_at += each;
	return true;
}

/* Begin with what is wanted. Return: whether the connection is there. */
static bool read_some(struct mend *mend)
{
	struct want *it;
	int err = 0;

	while (!err && mend_wants_any(mend)) {
		if (readings_busy(mend->readings) == READINGS_MAX || !may_read(mend))
			return true;
		it = mend_next(mend);
		if (!it)
			return true;
		err = readings_read(mend->readings, it->path, it->len, it->tries >= TRIES_FREE, it);
		if (err)
			mend_want_again(mend, it);
		else
			TAILQ_INSERT_TAIL(&mend->active, it, list);
	}
	return mend->readings;
}

static bool reads_for(const struct mend *mend, enum why why)
{
	const struct want *it;

	TAILQ_FOREACH(it, &mend->active, list)
		if (it->why == why)
			return true;
	return false;
}

static void go_on_with_sweep(struct mend *mend)
{
	uint32_t node = 0;

	for (uint32_t i = 0; i < READINGS_MAX && node != TREE_NONE; i++) {
		node = next_number(mend);
		if (node != TREE_NONE)
			want_number(mend, node);
	}
	if (node == TREE_NONE && TAILQ_EMPTY(&mend->wants) && !reads_for(mend, mend->sweep))
		end_sweep(mend);
}

static bool is_sweeping(const struct mend *mend)
{
	return mend->sweep_at != TREE_NONE;
}

static bool is_of_use(const struct mend *mend)
{
	return mend->up && mend->mirror && !mend->mirror->broken;
}

/* All sessions that there were have been taken up. */
static void sift(struct mend *mend)
{
	follow_sift(mend->daemon->follow);
	if (mend->fresh)
		mend_blind(mend);
	mend->sifts = mend->fresh = false;
}

static void tick(void *arg)
{
	struct mend *mend = arg;
	bool audits;

	if (!is_of_use(mend)) {
		mend_end_look(mend, "there is no mirror");
		return;
	}
	/* An exchange has nobody ask anything. */
	if (mend->daemon->paused) {
		wake(mend);
		return;
	}
	if (mend->sifts)
		sift(mend);
	if (!mend->readings &&
	    readings_open(&mend->readings, mend->daemon, done_cb, lost_cb, mend)) {
		wake(mend);
		return;
	}
	readings_go_on(mend->readings);
	if (!mend->readings) {
		wake(mend);
		return;
	}
	audits = mend->daemon->config.mirror_audit && mirror_is_whole(mend->mirror);
	if (is_sweeping(mend) && TAILQ_EMPTY(&mend->wants))
		go_on_with_sweep(mend);
	else if (!mend_wants_any(mend) && !readings_busy(mend->readings) && audits)
		audit(mend);
	if (!read_some(mend) || is_sweeping(mend) || mend_wants_any(mend) ||
	    readings_busy(mend->readings))
		wake(mend);
	else if (audits)
		alarm_set(mend->timer, AUDIT_MS);
}

/* What a read is in the way of looks again. */
static void waits_cb(evutil_socket_t fd, short what, void *arg)
{
	struct mend *mend = arg;

	(void)fd;
	(void)what;
	follow_wake(mend->daemon->follow);
}

/* There may be memory for it by now, or less to be had in it. */
static void begin_anew(struct mend *mend)
{
	if (mend_is_broken(mend)) {
		mend->remake_s = min_u32(mend->remake_s * 2, REMAKE_MOST_S);
		mend_remake(mend);
	} else if (mend->mirror && !mirror_is_whole(mend->mirror) && !is_sweeping(mend)) {
		mend_sweep(mend, WALK);
	}
}

static void remake(void *arg)
{
	struct mend *mend = arg;

	if (mend->up && !mend->daemon->paused)
		begin_anew(mend);
	alarm_set(mend->remake, mend->remake_s * 1000);
}

/* --- what others want */

void mend_look(struct mend *mend, const struct mend_waiter *waiter, void *arg)
{
	if (!mend) {
		waiter->done(arg, 0, 0, "there is no mirror");
		return;
	}
	mend_end_look(mend, "somebody else has begun");
	mend->waiter = waiter;
	mend->arg = arg;
	if (!mend_mirror(mend)) {
		mend_end_look(mend, "there is no mirror that is whole");
		return;
	}
	mend_sweep(mend, LOOK);
	mend_wake_now(mend);
}

void mend_forget(struct mend *mend, const void *arg)
{
	if (mend && mend->waiter && mend->arg == arg)
		mend->waiter = NULL;
}

static const char *state_of(const struct mend *mend)
{
	if (!mend || !mend->daemon->config.mirror)
		return "off";
	if (mend_is_broken(mend))
		return "broken";
	if (!mend->mirror)
		return mend->up ? "none" : "waits";
	return mirror_is_whole(mend->mirror) ? "whole" : "reads";
}

void mend_status(const struct mend *mend, struct mend_status *status)
{
	*status = (struct mend_status){ .state = state_of(mend) };
	if (!mend)
		return;
	status->compared = mend->all_looked;
	status->differed = mend->all_differed;
	if (!mend->mirror)
		return;
	status->nodes = tree_count(mend->mirror->tree);
	status->unsure = mirror_unsure(mend->mirror);
	status->octets = mirror_octets(mend->mirror);
}

int mend_new(struct mend **out, struct daemon *daemon)
{
	struct mend *mend = calloc(1, sizeof(*mend));
	int err;

	if (!mend)
		return -ENOMEM;
	mend->daemon = daemon;
	mend->source.nobody = true;
	mend->sweep_at = TREE_NONE;
	mend->remake_s = REMAKE_S;
	TAILQ_INIT(&mend->wants);
	TAILQ_INIT(&mend->unsure);
	TAILQ_INIT(&mend->active);
	daemon->survives = daemon->config.mirror && keeper_has(daemon->keeper, KEEP_MIRROR);
	mend->waits = evtimer_new(daemon->base, waits_cb, mend);
	err = mend->waits ? alarm_new(&mend->timer, daemon->base, tick, mend) : -ENOMEM;
	if (!err)
		err = alarm_new(&mend->remake, daemon->base, remake, mend);
	if (err) {
		mend_free(mend);
		return err;
	}
	if (daemon->config.mirror)
		alarm_set(mend->remake, REMAKE_S * 1000);
	*out = mend;
	return 0;
}

struct mend *mend_free(struct mend *mend)
{
	if (!mend)
		return NULL;
	follow_use(mend->daemon->follow, NULL, 0, NULL, NULL);
	mend_close_readings(mend);
	mend_drop_all(mend);
	mirror_free(mend->mirror);
	alarm_free(mend->timer);
	if (mend->waits)
		event_free(mend->waits);
	alarm_free(mend->remake);
	free(mend);
	return NULL;
}
