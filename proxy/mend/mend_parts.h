/* SPDX-License-Identifier: MIT */
/*
 * mend_parts - who has the mirror of the store, for mend.c, which has the store read,
 * mend_wants.c, which knows what of it, and mend_mirror.c, which finds a mirror, or makes one.
 */
#ifndef XSPROXY_PROXY_MEND_MEND_PARTS_H
#define XSPROXY_PROXY_MEND_MEND_PARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proxy/log.h"

struct daemon;
struct event;
struct follow_hooks;
struct mend_waiter;
struct mirror;
struct readings;

enum why {
	WALK,	/* it is known by its name alone */
	UNSURE, /* what has become of it is not known */
	LOOK,	/* to compare it */
};

/* A node to be read. */
struct want {
	TAILQ_ENTRY(want) list;
	enum why why;
	bool deep; /* UNSURE: and all below it */
	uint32_t tries;
	uint64_t due;	/* ns of CLOCK_MONOTONIC; not before */
	uint32_t round; /* LOOK: of the sweep that it is of */
	uint16_t len;
	char path[];
};

struct mend {
	struct daemon *daemon;
	struct mirror *mirror; /* NULL: none */
	struct readings *readings;
	struct alarm *timer;
	struct event *waits;  /* somebody waits for a read, for a moment */
	struct alarm *remake; /* of a mirror that is broken */
	uint32_t remake_s;
	bool unmade; /* there was no memory to make one */
	bool up;
	bool sifts;	   /* sessions are being taken up */
	bool fresh;	   /* and the mirror knows nothing of their transactions */
	enum why sweep;	   /* WALK or LOOK, as long as ... */
	uint64_t audit_at; /* ns of CLOCK_MONOTONIC: no earlier */
	uint64_t next_at;  /* ns of CLOCK_MONOTONIC; when the next node may be read */
	uint32_t sweep_at; /* ... the next number to look at is not TREE_NONE */
	bool missed;	   /* WALK: some are unread, and cannot be read */
	bool sweeps_again; /* there was more that is unsure than is kept here */
	TAILQ_HEAD(want_list, want) wants;
	struct want_list unsure; /* WALK and LOOK are in `wants`; they take turns */
	struct want_list active; /* being read */
	uint32_t nr_unsure;	 /* of both */
	bool turn;
	const struct mend_waiter *waiter;
	void *arg;
	uint32_t round;		   /* of sweeps */
	uint32_t looked, differed; /* since this one began */
	uint64_t all_looked, all_differed;
	struct log_source source;
};

/* What follow.c tells of: `arg` is the mend. */
extern const struct follow_hooks mend_hooks;

/** mend_sweep() - begin to look at all nodes. @why: WALK or LOOK */
void mend_sweep(struct mend *mend, enum why why);

/** mend_remake() - the mirror is made anew. */
void mend_remake(struct mend *mend);

/** mend_blind() - what transactions that are open have changed is not known. */
void mend_blind(struct mend *mend);

/** mend_close_readings() - what was being read is to be read, over another connection. */
void mend_close_readings(struct mend *mend);

/** mend_wake_now() - something is to be read. */
void mend_wake_now(struct mend *mend);

/** mend_want() - have a node read, after the others. Return: it, or NULL. */
struct want *mend_want(struct mend *mend, enum why why, const char *path, uint32_t len);

/** mend_want_specials() - and special watches' permissions, which no directory lists. */
void mend_want_specials(struct mend *mend);

/** mend_next() - take the next one. Return: it, which the caller owns; or NULL. */
struct want *mend_next(struct mend *mend);

/** mend_wants_any() - whether there is one. */
bool mend_wants_any(const struct mend *mend);

/** mend_want_again() - of mend_next(); after the others. */
void mend_want_again(struct mend *mend, struct want *it);

/** mend_put_off() - not at once, and later each time: `tries` says how often it was tried. */
void mend_put_off(struct want *it);

/** mend_drop() - of mend_next(); it was read. */
void mend_drop(struct mend *mend, struct want *it);

/** mend_drop_all() - nothing is to be read any more; what is unsure is so for the next xsproxyd. */
void mend_drop_all(struct mend *mend);

/** mend_end_look() - whoever waits for it is told. @why: NULL; or why not all were compared */
void mend_end_look(struct mend *mend, const char *why);

#endif
