// SPDX-License-Identifier: MIT
/*
 * mend_wants - what is to be read: for a sweep of all nodes, or for nobody knows what has become of
 * it. Called by mend.c, which has it read, and by follow.c with what is unsure.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "migration/format/state.h"
#include "protocol/clock.h"
#include "proxy/daemon.h"
#include "proxy/loop.h"
#include "proxy/mend/mend_parts.h"
#include "proxy/mend/reading.h"
#include "proxy/mirror/follow.h"
#include "proxy/util.h"

#define UNSURE_MOST    4096u
#define PUT_OFF_MS     1
#define DOUBLINGS_MOST 13u /* 8 s */
#define WAIT_MS	       (CLAIM_WAIT_NS / 1000000u)

static struct want_list *list_of(struct mend *mend, const struct want *it)
{
	return it->why == UNSURE ? &mend->unsure : &mend->wants;
}

static void count_unsure(struct mend *mend, int32_t by)
{
	mend->nr_unsure += (uint32_t)by;
	if (mend->mirror)
		mirror_count_unsure(mend->mirror, by);
}

struct want *mend_want(struct mend *mend, enum why why, const char *path, uint32_t len)
{
	struct want *it = calloc(1, sizeof(*it) + len + 1);

	if (!it)
		return NULL;
	it->why = why;
	it->round = mend->round;
	it->len = (uint16_t)len;
	memcpy(it->path, path, len);
	TAILQ_INSERT_TAIL(list_of(mend, it), it, list);
	if (why == UNSURE)
		count_unsure(mend, 1);
	return it;
}

void mend_want_specials(struct mend *mend)
{
	const char *path;

	for (unsigned int i = 0; (path = state_path_at(i)); i++)
		if (!mend_want(mend, WALK, path, (uint32_t)strlen(path)))
			mirror_break(mend->mirror, -ENOMEM);
}

static struct want *first_due(struct want_list *list, uint64_t now)
{
	struct want *it;

	TAILQ_FOREACH(it, list, list)
		if (it->due <= now)
			return it;
	return NULL;
}

struct want *mend_next(struct mend *mend)
{
	uint64_t now = clock_monotonic();
	struct want *it = first_due(mend->turn ? &mend->wants : &mend->unsure, now);

	if (!it)
		it = first_due(mend->turn ? &mend->unsure : &mend->wants, now);
	mend->turn = !mend->turn;
	if (it)
		TAILQ_REMOVE(list_of(mend, it), it, list);
	return it;
}

bool mend_wants_any(const struct mend *mend)
{
	return !TAILQ_EMPTY(&mend->wants) || !TAILQ_EMPTY(&mend->unsure);
}

/* Something may be in its way for ever. */
void mend_put_off(struct want *it)
{
	uint32_t doublings = min_u32(it->tries, DOUBLINGS_MOST);

	it->due = clock_monotonic() + ((uint64_t)PUT_OFF_MS << doublings) * CLOCK_NS_OF_MS;
}

void mend_want_again(struct mend *mend, struct want *it)
{
	TAILQ_INSERT_TAIL(list_of(mend, it), it, list);
}

void mend_drop(struct mend *mend, struct want *it)
{
	if (it->why == UNSURE)
		count_unsure(mend, -1);
	free(it);
}

static void free_list(struct want_list *list)
{
	struct want *it;

	while ((it = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, it, list);
		free(it);
	}
}

void mend_drop_all(struct mend *mend)
{
	free_list(&mend->wants);
	free_list(&mend->unsure);
	mend->nr_unsure = 0;
	mend->sweeps_again = false;
}

void mend_close_readings(struct mend *mend)
{
	struct want *it;

	mend->readings = readings_close(mend->readings);
	while ((it = TAILQ_FIRST(&mend->active))) {
		TAILQ_REMOVE(&mend->active, it, list);
		mend_want_again(mend, it);
	}
}

/* --- what follow.c tells of */

/* What is not kept is found by looking at all. */
static void sweep_again(struct mend *mend)
{
	if (!mend->sweeps_again)
		mirror_count_unsure(mend->mirror, 1);
	mend->sweeps_again = true;
	if (mend->sweep_at == TREE_NONE)
		mend_sweep(mend, LOOK);
}

static struct want *find_unsure(struct mend *mend, const char *path, uint32_t len)
{
	struct want *it;

	TAILQ_FOREACH(it, &mend->unsure, list)
		if (it->len == len && !memcmp(it->path, path, len))
			return it;
	return NULL;
}

static void unsure_cb(void *arg, const char *path, uint32_t len, bool deep)
{
	struct mend *mend = arg;
	struct want *it;

	if (mend->nr_unsure >= UNSURE_MOST) {
		sweep_again(mend);
		return;
	}
	it = find_unsure(mend, path, len);
	if (!it)
		it = mend_want(mend, UNSURE, path, len);
	if (!it) {
		mirror_break(mend->mirror, -ENOMEM);
		return;
	}
	it->deep = it->deep || deep;
	mend_wake_now(mend);
}

/* A read is in its way: it looks again a moment later. */
static void waits_cb(void *arg)
{
	struct mend *mend = arg;

	if (!evtimer_pending(mend->waits, NULL))
		loop_timer(mend->waits, WAIT_MS);
}

/* The loop has sessions run in between. */
static void ended_cb(void *arg)
{
	struct mend *mend = arg;

	if (mend->readings && readings_held(mend->readings))
		mend_wake_now(mend);
}

const struct follow_hooks mend_hooks = { unsure_cb, waits_cb, ended_cb };
