/* SPDX-License-Identifier: MIT */
/*
 * bridge - what the files of libxsproxy-bridge.so share; nobody else includes this.
 *
 * The library sits in an unmodified xenstored or oxenstored (LD_PRELOAD) and does nothing until
 * that process opens its event channels. From then on guests' pages are back rings in shared
 * memory (rings.h) and guests' event channels are virtual ports, RINGS_PORT_BASE + domid; xsproxyd
 * does the real mapping and binding, told so over the link (link.h).
 *
 *	interpose_xen.c, interpose_libc.c   the exported symbols: decide and pass on
 *	real.c                              the functions behind them (RTLD_NEXT)
 *	redirect.c                          the daemon's own socket goes to the run directory
 *	adopt.c                             rings of the xenstored before this one
 *	bridge.c                            the context, the wake-up
 *	attach.c                            map, bind, unbind, unmap of a domain
 *	doorbell.c                          notify and pending
 *	owner.c, fence.c                    the link to xsproxyd
 *	say.c                               lines that are lost rather than waited with
 *
 * It must never end the process, start a thread, or wait (but for LINK_TIMEOUT_MS in a round trip,
 * and then for the end of an xsproxyd that did not answer, fence.h).
 * Both daemons have one thread, so nothing here is locked.
 */
#ifndef XSPROXY_BRIDGE_BRIDGE_H
#define XSPROXY_BRIDGE_BRIDGE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>
#include <xenevtchn.h>

#include "bridge/adopt.h"
#include "bridge/say.h"
#include "link/rings.h"

enum bridge_state {
	BRIDGE_NEW,    /* the environment has not been read yet */
	BRIDGE_INERT,  /* not in a xenstored, or given up: every call is passed on */
	BRIDGE_READY,  /* in a xenstored; nothing decided yet */
	BRIDGE_USABLE, /* the run directory is good: paths are redirected */
	BRIDGE_AWAKE,  /* rings and link exist */
};

#define BRIDGE_PATH_MAX	    sizeof(((struct sockaddr_un *)0)->sun_path)
#define BRIDGE_PUBLIC_PATHS 2

struct bridge {
	enum bridge_state state;
	enum rings_flavour flavour;

	struct say say;
	struct adopt adopt;

	/* from the environment */
	bool relay_dom0;		/* with rings that are adopted: as it was before */
	char dir[PATH_MAX];		/* XSPROXY_DIR */
	char upstream[BRIDGE_PATH_MAX]; /* the daemon's socket below it */
	const char *publics[BRIDGE_PUBLIC_PATHS]; /* names that the daemon would use; or NULL */
	const char *xsd_kva;			  /* name of dom0's page */
	const char *asked;			  /* public name of a socket bound at upstream */

	/* valid while awake */
	struct rings rings;
	xenevtchn_handle *xce; /* the daemon's; NULL once it closed it */
	int epoll;	       /* what the daemon polls instead of the real descriptor */
	int wake_stored;       /* eventfd: to_stored has bells */
	int wake_proxy;	       /* eventfd: to_proxy has bells */
	int listener;
	int owner;	 /* connection to xsproxyd, or -1 */
	int owner_pidfd; /* its process, or -1 */
	int kept;	 /* what it gave us to keep (link.h), or -1 */
	uint32_t seq;
	uint32_t cursor; /* round robin over to_stored */
	uint32_t turn;	 /* calls of pending, for fairness */
	bool evtchn_failed;

	bool dom0_bound;	      /* dom0's first bind is over */
	evtchn_port_t dom0_real_port; /* where dom0 is not relayed; 0: none */
	uint64_t
		fresh[ARENA_DOMIDS / 64]; /* domids that are mapped and have not been bound since */
};

/** bridge_get() - the context, with the environment read. Never NULL. */
struct bridge *bridge_get(void);

/**
 * bridge_usable() - decide, once, whether this xenstored runs behind xsproxy.
 *
 * Asked when the daemon first names its socket, so that either all of its life is redirected or
 * nothing. A run directory that is missing or not ours alone makes the bridge inert, with one line
 * in the log.
 */
bool bridge_usable(struct bridge *b);

/**
 * bridge_wake() - make the rings and the link, now that the daemon has its event channels.
 * @xce: the daemon's real handle; stays the daemon's
 *
 * On failure the bridge says so, gives the public socket path back and stays inert.
 * Return: whether the daemon may have event channels. Not if it has a state with rings, and no
 * bridge: it would take the guests' real pages, which xsproxyd serves.
 */
bool bridge_wake(struct bridge *b, xenevtchn_handle *xce);

/** bridge_log() - one line to stderr and to syslog, or lost; keeps errno. For rare events only. */
void bridge_log(int priority, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline bool bridge_owns(const struct bridge *b, const xenevtchn_handle *xce)
{
	return b->state == BRIDGE_AWAKE && b->xce == xce;
}

#endif
