/* SPDX-License-Identifier: MIT */
/*
 * renew - what a session has at xenstored is ended there, or made anew with another xenstored.
 *
 * While xenstored is exchanged (exchange/) no front is read. With the old one renew_part() ends the
 * open transactions, which conflict from then on: END gets EAGAIN. With the new one, or the old one
 * if nothing comes of it, renew_begin() registers the watches and opens the transactions again. Of
 * each watch the first event is dropped, for its owner has had one. The last request changes
 * nothing: no such event comes behind its reply.
 *
 * An xsproxyd that is killed meanwhile leaves pending slots as with any request; the next one
 * begins once more, and a watch that is there already is as good as one that was registered.
 *
 * A part of a session: run by up.c, told of replies and events by down.c. Must never be seen by the
 * front, but for what it is owed.
 */
#ifndef XSPROXY_PROXY_SESSION_RENEW_H
#define XSPROXY_PROXY_SESSION_RENEW_H

#include <stdbool.h>
#include <stdint.h>

struct commit;
struct ledger_pending;
struct message;
struct session;
struct watch;

enum renew_what {
	RENEW_NOTHING,
	RENEW_PART,	    /* transactions are being ended */
	RENEW_EXPECTED,	    /* renew_begin() is to come; an xsproxyd before us had begun */
	RENEW_SETTLE,	    /* what was asked before is being answered, */
	RENEW_WATCHES,	    /* then watches are being registered, */
	RENEW_TRANSACTIONS, /* then transactions opened, */
	RENEW_LAST,	    /* then the request that changes nothing is under way */
};

/* A session's part; zero at first. */
struct renew {
	enum renew_what what;
	bool watches;	     /* they, too */
	bool pass;	     /* first events are for their owners */
	struct watch *watch; /* the next one to be registered, or NULL */
	uint32_t slot;	     /* the next transaction to look at */
	uint32_t lost;	     /* watches that xenstored did not take */
	bool flat;	     /* it knows no depth of a watch, */
	bool again;	     /* so those that it refused for that are asked for once more */
};

/**
 * renew_rests() - whether there is nothing between a session and upstream: no request, no reply, no
 * event, and nothing that an op will send.
 */
bool renew_rests(const struct session *s);

/** renew_part() - end the open transactions upstream; the session has no request under way. */
void renew_part(struct session *s);

/**
 * renew_expect() - an xsproxyd before us may have begun with the watches, and so will we: first
 * events are dropped from now on. Nothing of a session whose connection has ended.
 */
void renew_expect(struct session *s);

/**
 * renew_begin() - make anew what it has; nothing of a session whose connection has ended.
 * @watches: too, for this xenstored has none of them
 */
void renew_begin(struct session *s, bool watches);

/** renew_busy() - whether either is under way. */
bool renew_busy(const struct session *s);

/**
 * renew_parted() - whether anything of renew_part() has come about, or may yet. If not, xenstored
 * has all that it had, and the session need not be waited for.
 */
bool renew_parted(const struct session *s);

/** renew_step() - send the next request. Return: whether one was sent. */
bool renew_step(struct session *s);

/**
 * renew_split() - have @commit note that only the first @sent octets of a WATCH of @size fit the
 * back ring.
 *
 * What follows is in the log, so it needs no page, and the front may have sent a request in part.
 */
void renew_split(struct session *s, struct commit *commit, int slot, uint32_t sent, uint32_t size);

/** renew_more() - send more of it. Return: whether there was room. */
bool renew_more(struct session *s);

/** renew_reply() - upstream answered a request of ours; @commit notes what has come of it. */
void renew_reply(struct session *s, struct commit *commit, const struct ledger_pending *pending,
		 struct message *msg);

/** renew_takes() - whether a message goes no further: a reply to us, or what renew_drops(). */
bool renew_takes(const struct session *s, const struct message *msg);

/**
 * renew_overflows() - whether an event for which there is no room is lost.
 *
 * All others wait as long as it does, and may have the memory that it waits for.
 *
 * @err: why there is none; 0: there is room
 */
bool renew_overflows(struct session *s, int err);

/**
 * renew_drops() - whether an event is the first one of a watch that was registered anew; a second
 * one is not. That of @releaseDomain never is dropped: a domain may have ended meanwhile, and a
 * guest must not learn from it whether one has. None is where renew_pass() said so.
 */
bool renew_drops(struct session *s, const struct message *msg);

/** renew_pass() - after renew_begin(): nodes went with a domain meanwhile, whoever watched them. */
void renew_pass(struct session *s);

/**
 * renew_end() - the reply to an END of the front's, in a transaction that xenstored may not have:
 * as if it had.
 */
void renew_end(const struct session *s, const struct ledger_pending *pending, struct message *msg);

/**
 * renew_forget() - what was asked will not be answered, for xenstored is there no more: nothing is
 * under way between the two. Only while no front is read.
 */
void renew_forget(struct session *s);

#endif
