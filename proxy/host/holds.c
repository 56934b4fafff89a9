// SPDX-License-Identifier: MIT
#include "proxy/host/holds.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/host/hold.h"
#include "proxy/host/memory.h"
#include "proxy/host/upstream.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/session/session.h"
#include "proxy/session/stand.h"
#include "proxy/session/who.h"

#define LOOK_MS 1000

struct note {
	UT_hash_handle hh; /* by domid */
	uint32_t domid;
	bool seen; /* Xen has had the domain */
	struct stand stand;
	bool lingers; /* what Xen has may be the one that had the id before */
};

struct holds {
	struct daemon *daemon;
	struct event *timer; /* pending while a hold waits */
	struct note *notes;
	struct who new;			      /* who wants every new domain held */
	uint64_t unmapped[ARENA_DOMIDS / 64]; /* since it was last held */
};

static void look_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	holds_look(arg);
}

int holds_new(struct holds **out, struct daemon *daemon)
{
	struct holds *holds = calloc(1, sizeof(*holds));

	if (!holds)
		return -ENOMEM;
	holds->daemon = daemon;
	holds->timer = evtimer_new(daemon->base, look_cb, holds);
	if (!holds->timer) {
		free(holds);
		return -ENOMEM;
	}
	*out = holds;
	return 0;
}

static struct note *find(const struct holds *holds, uint32_t domid)
{
	struct note *note;

	HASH_FIND_INT(holds->notes, &domid, note);
	return note;
}

static void drop(struct holds *holds, struct note *note)
{
	HASH_DEL(holds->notes, note);
	free(note);
}

struct holds *holds_free(struct holds *holds)
{
	struct note *note, *tmp;

	if (!holds)
		return NULL;
	HASH_ITER(hh, holds->notes, note, tmp)
		drop(holds, note);
	event_free(holds->timer);
	free(holds);
	return NULL;
}

/* The note on a domain, a new one if there is none; NULL without memory. */
static struct note *get(struct holds *holds, uint32_t domid)
{
	struct note *note = find(holds, domid);

	if (note)
		return note;
	note = calloc(1, sizeof(*note));
	if (!note)
		return NULL;
	note->domid = domid;
	HASH_ADD_INT(holds->notes, domid, note);
	if (note->hh.tbl)
		return note;
	free(note);
	return NULL;
}

/* Return: 1, 0, or a negative errno: it cannot be told. */
static int in_xen(const struct holds *holds, uint32_t domid)
{
	return domains_in_xen(holds->daemon->domains, domid);
}

/* Return: whether the hold goes on. */
static bool look(struct holds *holds, const struct memory *memory, uint32_t domid)
{
	struct note *note = get(holds, domid);
	int there = note ? in_xen(holds, domid) : -ENOMEM;

	if (there < 0)
		return true;
	if (there && !note->lingers)
		note->seen = true;
	if (!there)
		note->lingers = false;
	if (there || !note->seen)
		return true;
	log_domain(LOG_NOTICE, domid,
		   "the domain ended before its INTRODUCE, and so does its hold; hold the next one "
		   "anew");
	hold_end(&memory->ledgers, domid);
	drop(holds, note);
	return false;
}

void holds_look(struct holds *holds)
{
	const struct memory *memory = holds ? upstream_memory(holds->daemon->upstream) : NULL;
	bool more = false;

	if (!memory)
		return;
	ARENA_EACH(memory->ledgers.held, domid)
		if (!hold_has_begun(&memory->ledgers, domid) && look(holds, memory, domid))
			more = true;
	if (more)
		loop_timer(holds->timer, LOOK_MS);
}

void holds_set(struct holds *holds, uint32_t domid, const struct who *who)
{
	struct note *note = holds ? get(holds, domid) : NULL;
	uint64_t bit = 1ULL << (domid % 64);

	if (!note)
		return;
	note->stand = stand_now(who);
	note->seen = false;
	note->lingers = (holds->unmapped[domid / 64] & bit) && in_xen(holds, domid) > 0;
	holds->unmapped[domid / 64] &= ~bit;
	holds_look(holds);
}

void holds_drop(struct holds *holds, uint32_t domid)
{
	struct note *note = holds ? find(holds, domid) : NULL;

	if (note)
		drop(holds, note);
}

void holds_unmapped(struct holds *holds, uint32_t domid)
{
	if (holds)
		holds->unmapped[domid / 64] |= 1ULL << (domid % 64);
}

bool holds_seen(const struct holds *holds, uint32_t domid)
{
	const struct note *note = holds ? find(holds, domid) : NULL;

	return note && note->seen;
}

void holds_set_new(struct holds *holds, bool on, const struct who *who)
{
	char text[WHO_TEXT_MAX];

	log_line(LOG_NOTICE, "hold --new by %s: domains that are introduced from now on %s",
		 who_text(who, text), on ? "stand still" : "run");
	if (holds)
		holds->new = *who;
}

void holds_begin(struct holds *holds, struct session *s)
{
	const struct note *note = holds ? find(holds, s->domid) : NULL;
	struct stand stand;

	if (!holds)
		return;
	/* Of one that an earlier xsproxyd was asked for, nobody is known. */
	stand = stand_now(note ? &note->stand.by : &holds->new);
	stand_set(s, &stand);
	who_log(s->domid, "HOLD", &stand.by, "it is introduced, and stands still");
	holds_drop(holds, s->domid);
}

const struct stand *holds_stand(const struct holds *holds, uint32_t domid)
{
	const struct note *note = holds ? find(holds, domid) : NULL;

	return note && note->stand.since ? &note->stand : NULL;
}
