/* SPDX-License-Identifier: MIT */
/*
 * exchange_parts - an exchange of xenstored, for exchange.c, which goes from stage to stage,
 * exchange_before.c, which gets it as far as the state, exchange_handing.c, which tells starters
 * what to do, exchange_sessions.c, which has all sessions do something, and go on afterwards,
 * entry.c, for one of a native daemon, exchange_crash.c, for one that nobody has asked for,
 * exchange_again.c, exchange_steps.c, for a daemon that does not take the state, and
 * exchange_end.c.
 */
#ifndef XSPROXY_PROXY_EXCHANGE_EXCHANGE_PARTS_H
#define XSPROXY_PROXY_EXCHANGE_EXCHANGE_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link/rings.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/starters.h"

struct entry;
struct event;
struct leave;
struct ledgers_exchange;
struct own;
struct own_reply;
struct pour;
struct session;

#define EXCHANGE_LOOK_MS 2

struct exchange {
	struct daemon *daemon;
	struct starters *starters;
	struct entry *entry;	    /* NULL: no native daemon is expected */
	struct leave *leave;	    /* NULL: we are not leaving */
	struct own *own;	    /* NULL: none */
	enum rings_flavour crashed; /* what it was that has; 0: not known */
	char how[40];		    /* " (signal KILL)", it has; "": not known yet */
	struct pour *pour;	    /* NULL: every xenstored has taken what it was given */
	struct event *timer;
	int state;	      /* what the daemon before had; -1: none */
	int pidfd;	      /* STARTED: of who has been given it; or negative */
	enum start_role role; /* of the starter that came last */
	bool untold;	      /* which has not been told what to do yet */
	bool came;	  /* CRASHED: one has come, and waits until the mirror was written down */
	bool begun;	  /* what this stage begins with has been done */
	uint32_t answers; /* to requests over `own` */
	uint32_t asked;	  /* of these requests */
	uint64_t heard;	  /* PART, with `reads`: as daemon.h has it, at the last look */
	uint32_t quiet;	  /* the same: in how many of its rounds nothing has come */
	bool reads;	  /* ASKED: who waits reads the store */
	bool abort;	  /* UNDO: the daemon may still be about to write its state */
	bool told;	  /* RETURN: it knows what no state has, so sessions may begin */
	bool sifted;	  /* RETURN: domains have gone with the daemon before */
	uint32_t asks_again; /* CRASHED, AGAIN: requests that were not answered */
	bool some_gone;	     /* the same, already when a native one handed over what it had */
	uint64_t ask_again;  /* as `deadline`; ASKED: xenstored was not able to; 0: no */
	uint64_t since;	     /* ns of CLOCK_MONOTONIC; no front has been read */
	uint64_t deadline;   /* the same; of this stage; 0: it has none yet */
	const struct exchange_waiter *waiter; /* NULL: nobody waits */
	void *arg;
	struct exchange_result result; /* outcome: 0 as long as it is that which `why` says */
};

/* --- exchange.c */

/** exchange_words() - where the stage is; NULL: there is no memory, or it is of xsproxy 0.1. */
struct ledgers_exchange *exchange_words(const struct exchange *exchange);

/** exchange_stage() - where it is. */
enum exchange_stage exchange_stage(const struct exchange *exchange);

/**
 * exchange_start() - no front is read from now on; what it is about is set.
 * @with: the daemon that is to be; NULL: the one that is
 */
void exchange_start(struct exchange *exchange, const char *with);

/** exchange_reads() - whether the store has to be read, for xenstored writes nothing down. */
bool exchange_reads(const struct daemon *daemon);

/** exchange_resume() - take up what an xsproxyd before us had. Return: 0 or a negative errno. */
int exchange_resume(struct exchange *exchange, enum exchange_stage stage);

/** exchange_enter() - it is there from now on. */
void exchange_enter(struct exchange *exchange, enum exchange_stage stage);

/* --- exchange_handing.c */

/* What they say. */
extern const struct starters_news exchange_news;

/**
 * exchange_know() - who has been given the state, so that the next xsproxyd knows it as well.
 * @pidfd: taken over; or negative: nobody
 */
void exchange_know(struct exchange *exchange, int pidfd);

/** exchange_end_daemon() - the one of which the store was read must be no more. */
void exchange_end_daemon(const struct exchange *exchange);

/** exchange_look_started() - one that does not get as far as its bridge is killed, so the next one
 * comes. Return: whether to look again. */
bool exchange_look_started(struct exchange *exchange);

/** exchange_hand_over() - tell the starter that is there, once the keeper has the state. */
void exchange_hand_over(struct exchange *exchange);

/** exchange_wait_no_more() - a starter that waits for the mirror begins afresh, if there is one. */
void exchange_wait_no_more(struct exchange *exchange);

/* --- exchange_end.c */

/** exchange_blame() - why nothing will have come of it, or that of the daemon that is to be. */
void exchange_blame(struct exchange *exchange, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** exchange_drop_state() - what the daemon before had is of no more use, if there is any. */
void exchange_drop_state(struct exchange *exchange);

/** exchange_end() - everybody goes on. */
void exchange_end(struct exchange *exchange);

/** exchange_lost() - the same: neither the daemon is there any more nor what it had. */
void exchange_lost(struct exchange *exchange, const char *why);

/* --- exchange_before.c */

/** exchange_look_before() - in a stage before the state is there. Return: whether to look again. */
bool exchange_look_before(struct exchange *exchange);

/** exchange_unread() - in ASKED: nobody will have read the store. */
void exchange_unread(struct exchange *exchange, const char *why);

/** exchange_reply() - what xenstored answers to a request over `own`; @arg: the exchange. */
void exchange_reply(void *arg, const struct own_reply *reply);

/* --- exchange_crash.c */

/**
 * exchange_crashed() - xenstored is there no more, and nobody has asked it to end.
 *
 * Return: whether another one can go on; if not, nothing was done.
 */
bool exchange_crashed(struct exchange *exchange);

/** exchange_note_how() - how the one that has crashed has ended, if its unit has noted that; those
 * that end after it do the same. */
void exchange_note_how(struct exchange *exchange);

/** exchange_found_dead() - the same, of one that has ended before we were started. */
bool exchange_found_dead(struct exchange *exchange);

/** exchange_is_dead() - whether the one that there was has ended, though its bridge has not told.
 */
bool exchange_is_dead(const struct exchange *exchange);

/** exchange_look_crashed() - in CRASHED. Return: whether to look again. */
bool exchange_look_crashed(struct exchange *exchange);

/* --- exchange_again.c */

/** exchange_begin_again() - in RETURN, at its end, or an xsproxyd before us was in AGAIN. Return:
 * whether there is anything to be asked. */
bool exchange_begin_again(struct exchange *exchange);

/** exchange_again_answered() - one that was asked again has its answer, of whatever kind. */
void exchange_again_answered(struct daemon *daemon, struct session *s);

/** exchange_let_late() - those that have had nobody wait for them ask what is left. */
void exchange_let_late(struct exchange *exchange);

/** exchange_look_again() - in AGAIN. Return: whether to look again. */
bool exchange_look_again(struct exchange *exchange);

/**
 * exchange_judge() - xenstored has crashed, maybe in AGAIN, and all that it has said was taken;
 * before what it has not answered is taken back.
 */
void exchange_judge(struct exchange *exchange);

/* --- exchange_steps.c */

/**
 * exchange_step() - the state is about to be given to a starter, not for the first time: a
 * xenstored that ends over it gets it another way.
 */
void exchange_step(struct exchange *exchange);

/** exchange_pour() - in RETURN. Return: whether all that the new one was not given as a state was
 * told. */
bool exchange_pour(struct exchange *exchange);

/** exchange_poured_out() - the new one has ended: the next one has been told nothing. */
void exchange_poured_out(struct exchange *exchange);

/* --- exchange_update.c */

extern const struct update_hooks exchange_update_hooks;

/* --- exchange_sessions.c */

/** exchange_restless() - a session that has not come to rest, or NULL. */
const struct session *exchange_restless(struct daemon *daemon);

/** exchange_expect() - of sessions of rings, which may have begun to make anew what they had. */
void exchange_expect(struct daemon *daemon);

/** exchange_put_targets() - SET_TARGET over `own`, of each that there is; `asked` counts them.
 * Return: 0 or a negative errno. */
int exchange_put_targets(struct exchange *exchange);

/** exchange_return() - the other daemon is there. */
void exchange_return(struct exchange *exchange);

/** exchange_look_after() - in RETURN and UNDO. Return: whether to look again. */
bool exchange_look_after(struct exchange *exchange);

/** exchange_forget_all() - there is no daemon: nothing is under way between it and sessions. */
void exchange_forget_all(struct daemon *daemon);

/** exchange_wake_sessions() - all sessions run. */
void exchange_wake_sessions(struct daemon *daemon);

/** exchange_wake_all() - all sessions run, and clients that wait are connected. */
void exchange_wake_all(struct daemon *daemon);

#endif
