/* SPDX-License-Identifier: MIT */
/*
 * session_image - all of the shared memory that a session of session_rig.h may change, copied,
 * after each instruction of a turn that has changed something.
 */
#ifndef XSPROXY_TESTS_UNIT_SESSION_IMAGE_H
#define XSPROXY_TESTS_UNIT_SESSION_IMAGE_H

#include "tests/unit/dying_child.h"
#include "tests/unit/session_rig.h"

#define EXTENTS 48u /* more are not in use */

/* All of the shared memory that the session may change: two pages, the ledger, the extents. */
struct image {
	uint8_t page[3 + EXTENTS][ARENA_PAGE];
};

static inline uint8_t *image_page(struct rig *rig, uint32_t i)
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
static inline bool image_update(struct image *image, struct rig *rig)
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

/* A rig whose memory is as @image has it, without a session: rig_revive() is next. */
static inline void image_open(const struct image *image, struct rig *rig, uint32_t domid)
{
	rig_open(rig, domid, 0);
	session_free(rig->s, true);
	rig->s = NULL;
	rig->pool = pool_free(rig->pool);
	for (uint32_t i = 0; i < 3 + EXTENTS; i++) {
		const struct ledgers *ledgers = &rig->proxy.ledgers;

		if (i >= 3)
			assert_int_equal(arena_reserve(&ledgers->arena,
						       ledgers_extent_off(ledgers, i - 2),
						       ARENA_PAGE),
					 0);
		memcpy(image_page(rig, i), image->page[i], ARENA_PAGE);
	}
}

struct stepping {
	struct rig *rig;
	void (*check)(void *arg, const struct image *image);
	void *arg;
	struct image image;
	uint32_t states;
};

static inline bool image_stepped(void *arg)
{
	struct stepping *stepping = arg;

	if (image_update(&stepping->image, stepping->rig)) {
		stepping->check(stepping->arg, &stepping->image);
		stepping->states++;
	}
	return false;
}

/*
 * Run one turn in a child, with @check after each instruction that has changed something.
 * Return: how often that was.
 */
static inline uint32_t step_through(struct rig *rig,
				    void (*check)(void *arg, const struct image *image), void *arg)
{
	static struct stepping stepping;
	int status;
	pid_t pid = fork();

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		kill(getpid(), SIGSTOP);
		rig_turn(rig);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	memset(&stepping, 0, sizeof(stepping));
	stepping.rig = rig;
	stepping.check = check;
	stepping.arg = arg;
	image_update(&stepping.image, rig);
	child_lives(pid, NULL, 0, image_stepped, &stepping);
	return stepping.states;
}

#endif
