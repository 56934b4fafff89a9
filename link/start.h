/* SPDX-License-Identifier: MIT */
/*
 * start - the messages between xsproxyd and the starter of xenstored (starter/).
 *
 * The starter is what a host starts as its xenstored: it becomes the daemon, afresh or with a state
 * that xsproxyd has. It is also the program that a daemon executes for a live update; then it
 * becomes nothing: it hands over the state that the daemon has written, and ends.
 *
 * xsproxyd listens at LINK_STARTER; the messages are struct link_msg, of types apart from those of
 * link.h and keep.h. The starter opens with START_COME, then does what it is told, one thing after
 * the other; the connection ends when it executes the daemon. It waits for xsproxyd without limit.
 *
 *	starter				xsproxyd
 *	START_COME			START_AFRESH, START_WANT or START_RESTORE
 *	START_STATE			START_ENOUGH or START_RESTORE
 *	START_FAILED (to START_RESTORE)	any of them
 *
 * A START_RESTORE brings the plan: lines of text, of words between blanks.
 *
 *	daemon PATH			what to execute; without it what is configured
 *	ring DOMID PORT GFN TARGET	a ring that the state has to have, with the domain's own
 *					port and frame, and SET_TARGET's domid, or - for none
 *
 * Everything else that has to do with connections in the state is left out: rings of others,
 * sockets, watches, transactions. xsproxyd makes them anew.
 *
 * Used by both.
 */
#ifndef XSPROXY_LINK_START_H
#define XSPROXY_LINK_START_H

#define START_VERSION	  1
#define START_RESTORE_FDS 3
#define LINK_STARTER	  "starter" /* below the run directory; xsproxyd listens here */
/*
 * Likewise: there as soon as an xsproxyd has served a xenstored since the host was booted. Without
 * it nobody waits for xsproxyd.
 */
#define LINK_SERVED "served"

/* Given to the daemon by the starter: the rings that its bridge goes on with (bridge/adopt.h) */
#define START_RINGS_ENV "XSPROXY_RINGS" /* number of a descriptor */

enum start_type {
	/* from the starter */
	START_COME = 128, /* value: START_VERSION; domid: enum start_role */
	START_STATE,	  /* value: 0, with the memfd of a state; domid: seconds since it was
			   * written; or value: a negative errno */
	START_FAILED,	  /* value: a negative errno; with a memfd that says why in a line */

	/* from xsproxyd */
	START_AFRESH,  /* start the daemon without a state */
	START_WANT,    /* give what state a daemon has left behind */
	START_ENOUGH,  /* nothing more is wanted: end */
	START_RESTORE, /* with the state's memfd, the plan's, and the rings' */
};

enum start_role {
	START_DAEMON, /* it becomes the daemon */
	START_UPDATE, /* a daemon has executed it for a live update */
};

#endif
