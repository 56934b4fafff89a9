/* SPDX-License-Identifier: MIT */
/*
 * refusal - what a domain was refused, by request and error: quotas and permissions that run out
 * unseen are what users of such hosts complain about most.
 *
 * The first refusal of each kind is logged at once; whatever follows within a minute makes one line
 * with the totals at its end. The counts are shown by `xsproxyctl domains`. Only errors that mean
 * "you may not" or "you have too much" count, and which do depends on the request: E2BIG to WATCH
 * is a quota, to DIRECTORY a hint to ask for parts. One table in refusal.c decides it.
 *
 * Noted by down.c (xenstored's) and up.c (our own), shown by control_show.c.
 */
#ifndef XSPROXY_PROXY_SESSION_REFUSAL_H
#define XSPROXY_PROXY_SESSION_REFUSAL_H

#include <stdint.h>

#define REFUSAL_KINDS 16

struct event;
struct session;

/* Why a request was refused, which is what can be done about it */
enum refusal_cause {
	REFUSAL_NOT, /* the error is no refusal */
	REFUSAL_PERMISSION,
	REFUSAL_QUOTA,
	REFUSAL_WATCHES,      /* it has too many */
	REFUSAL_TRANSACTIONS, /* likewise */
};

struct refusal {
	uint32_t type; /* the request's */
	int err;       /* a positive errno */
	uint32_t count;
	uint32_t fresh; /* not logged yet */
};

struct refusals {
	struct refusal *kind; /* REFUSAL_KINDS of them, once there was one */
	uint32_t kinds;	      /* how many there are */
	uint32_t last;	      /* which was the last one */
	uint32_t others;      /* of kinds that the table has no room for */
	struct event *timer;  /* pending: the minute's line is still to come */
};

/** refusal_cause() - what @err, a positive errno, means as the answer to a request of @type. */
enum refusal_cause refusal_cause(uint32_t type, int err);

/**
 * refusal_note() - a domain got an error; count and log it if it is a refusal.
 * @type: of the request
 * @err: a positive errno
 * @of: what the request is about (wording_first()), or ""
 */
void refusal_note(struct session *s, uint32_t type, int err, const char *of);

/**
 * refusal_bound() - a request is refused, by us: for what nobody sees otherwise, a bound of ours
 * (watch.h), want of memory or a user who is not root, log what it is and what to do, now and then.
 * @err: a positive errno: EDQUOT and ENOBUFS as of watch_intend(); EPERM: only root may ask; or any
 *	 other
 *
 * Return: the errno to answer.
 */
int refusal_bound(struct session *s, uint32_t type, int err);

/** refusal_cause_name() - the same for programs: "permission", "quota", "watches"... */
const char *refusal_cause_name(uint32_t type, int err);

/** refusal_error() - an error's name as the daemons say it. */
const char *refusal_error(int err);

/** refusals_fini() - the session ends. */
void refusals_fini(struct refusals *refusals);

#endif
