/* SPDX-License-Identifier: MIT */
/*
 * daemon - the one context that is handed down.
 *
 * Built by main.c; modules take from it what they need. It must never hold a module's own state:
 * that is in the module's struct.
 */
#ifndef XSPROXY_PROXY_DAEMON_H
#define XSPROXY_PROXY_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "config/config.h"
#include "link/rings.h"
#include "proxy/notify.h"
#include "ring/xen.h"

struct clients;
struct controls;
struct domains;
struct event_base;
struct exchange;
struct follow;
struct holds;
struct keeper;
struct lease;
struct loop;
struct metrics;
struct mend;
struct op;
struct session;
struct session_hooks;
struct settings;
struct stop;
struct taps;
struct traces;
struct upstream;

struct daemon {
	struct config config;
	const struct settings *settings;       /* where it came from */
	char refused_run_dir[CONFIG_PATH_MAX]; /* the file's, where the default had to do; or "" */
	struct notify notify;		       /* what systemd is told */
	uint64_t started;		       /* seconds of CLOCK_MONOTONIC */
	struct event_base *base;
	struct loop *loop;
	struct xen *xen;		   /* NULL until the first attach */
	struct upstream *upstream;	   /* the bridge, or the wait for it */
	enum rings_flavour flavour;	   /* which xenstored it is in; 0: there is none */
	const struct session_hooks *hooks; /* what sessions ask of the toolstack's requests */
	uint32_t features;    /* server_features that xenstored has offered, to any ring */
	uint32_t watch_quota; /* xenstored's, of a guest; 0: not known (limit.h) */
	struct domains *domains;
	bool drains; /* we are about to leave: who does not read holds up nobody, as while ... */
	bool paused; /* no front is read, for xenstored is exchanged (exchange/) ... */
	bool ebbs;   /* ... but requests that are there in part, and what fronts have yet to get */
	uint64_t heard; /* turns of sessions in which something came from xenstored */
	bool parted;	/* ... and what sockets had of the one before is void */
	bool leaving;	/* an xsproxyd before us has left, or not: nothing is touched (leave.h) */
	bool left;	/* a native xenstored has all: we only wait to be stopped */
	struct exchange *exchange;		 /* of xenstored */
	const struct update_hooks *update_hooks; /* the same, for toolstack/ */
	struct update *update; /* of xenstored, that a toolstack is about to ask for; or NULL */
	/* exchange/ is told: a request that was asked again (session/again.h) is answered */
	void (*again_answered)(struct daemon *daemon, struct session *s);
	uint64_t crashes;     /* how often xenstored has ended unasked, since the start */
	uint64_t asked_again; /* requests that it had not answered then */
	uint64_t exchanged, unexchanged; /* exchanges of it that ended as they should, and others */
	struct follow *follow;		 /* what changes the store, for the mirror of it */
	struct mend *mend;		 /* that has the mirror; or NULL */
	bool survives; /* at the start: there is a mirror, if xenstored should be no more */
	struct holds *holds;
	struct keeper *keeper; /* holds descriptors for the xsproxyd after us, if it is there */
	struct clients *clients;
	struct controls *controls;
	struct metrics *metrics; /* NULL: nobody listens */
	struct stop *stop;
	struct taps *taps;		     /* NULL: nobody looks at the traffic */
	struct traces *traces;		     /* those who asked to see it */
	TAILQ_HEAD(op_list, op) ops;	     /* toolstack requests that wait for something (op.h) */
	LIST_HEAD(lease_list, lease) leases; /* lease.h */
	uint32_t next_session;
};

#endif
