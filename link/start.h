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
 *	START_COME			START_AFRESH, START_WANT, START_RESTORE or START_GIVE
 *	START_STATE			START_ENOUGH, START_RESTORE or START_LEAVE
 *	START_FAILED (to START_RESTORE	any of them
 *	or START_LEAVE)
 *
 * When xsproxyd is put before a native daemon, that has executed the program, which gives
 * (START_GIVE) the state, then what connections have, then their sockets, then the listening one:
 *
 *	START_STATE, START_CONNS,
 *	START_SOCKETS, START_LISTENER	START_ENOUGH or START_RETREAT
 *
 * A daemon that writes no state is read by xsproxyctl, which then comes as START_READER. It is told
 * START_WANT, gives START_STATE, and is told START_ENOUGH, when xsproxyd ends that daemon; or it is
 * told START_AFRESH, for nobody waits for what it has.
 *
 * Until START_ENOUGH all of it is the daemon's still: START_RETREAT has the program become that
 * daemon again, with its state as it was. START_FAILED instead of any of them says that it will. If
 * the connection ends before all was given, or nobody answers within LINK_TIMEOUT_MS, it does so by
 * itself; afterwards it comes to the next xsproxyd, which says one of both. START_ENOUGH is only
 * for who has given all, or it is told START_FAILED.
 *
 * When xsproxyd leaves, START_LEAVE is followed by as many START_SOCKETS as it takes, and by
 * START_LISTENER; then the program becomes the native daemon that the memfd of conns.h names, with
 * all of it, and with no bridge. The rings' ports are bound in the device, and not masked; nobody
 * else reads from it any more, nor is VIRQ_DOM_EXC bound. START_FAILED says that all is xsproxyd's
 * as before: what came is closed.
 *
 * A START_RESTORE brings the plan: lines of text, of words between blanks.
 *
 *	daemon PATH			what to execute; without it what is configured
 *	arguments WORD...		what to add to its configured arguments
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
#define START_LEAVE_FDS	  3
#define LINK_STARTER	  "starter" /* below the run directory; xsproxyd listens here */
/*
 * Likewise: there as soon as an xsproxyd has served a xenstored since the host was booted. Without
 * it nobody waits for xsproxyd.
 */
#define LINK_SERVED "served"
/* Likewise: a symbolic link to the native daemon that START_RETREAT brings back. */
#define LINK_NATIVE "native"
/*
 * Likewise: where systemd's socket is from the moment xsproxyd is to be put before a native daemon,
 * until the next boot: the toolstack's own is that daemon's.
 */
#define LINK_ENTERING "entering"
/*
 * Likewise: there once xsproxyd has left this host to a native daemon, which has all: it serves
 * nobody. The wrapper starts daemons without the bridge then.
 */
#define LINK_LEFT "left"

/* Likewise: how the last xenstored ended, as systemd says it: "killed KILL", "exited 1" */
#define LINK_ENDED "ended"

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

	/* from the starter */
	START_CONNS, /* with a memfd (conns.h); value: how many sockets come */

	/* from either to the other */
	START_SOCKETS,	/* one or more, in their order, LINK_FDS_MAX at most */
	START_LISTENER, /* the listening one: nothing follows */

	/* from xsproxyd */
	START_GIVE,    /* a native daemon's: give all that it had */
	START_RETREAT, /* become that daemon again */
	START_LEAVE,   /* with the state's memfd, that of conns.h, and the event channels' device;
			* value: how many sockets come */
};

enum start_role {
	START_DAEMON, /* it becomes the daemon */
	START_UPDATE, /* a daemon has executed it for a live update */
	START_NATIVE, /* the same, of a daemon without the bridge */
	START_READER, /* it has read the store, for the daemon writes no state; xsproxyctl */
};

#endif
