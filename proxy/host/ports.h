/* SPDX-License-Identifier: MIT */
/*
 * ports - our ends of the guests' event channels: real Xen, opened when it is needed first, and
 * whose session an event is for.
 *
 * Called by domain.c. An event only marks a session ready; nothing else happens in its callback.
 */
#ifndef XSPROXY_PROXY_HOST_PORTS_H
#define XSPROXY_PROXY_HOST_PORTS_H

#include <stdbool.h>
#include <stdint.h>

/* A full table must be an error of one INTRODUCE, not the end of the daemon. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct daemon;
struct event;
struct session;

#define PORT_NONE (-1)

/* A domain's, in its struct domain. */
struct port {
	UT_hash_handle hh; /* only while bound */
	int local;	   /* PORT_NONE while unbound */
	uint32_t domid, remote;
	struct session *session;
};

struct ports {
	struct daemon *daemon;
	struct port *bound;
	struct event *event; /* of the event channel device */
	bool busy;	     /* there were several events at once */
	uint32_t alone;	     /* single ones, counted */
};

/** ports_fini() - all must be unbound. */
void ports_fini(struct ports *ports);

/**
 * ports_open() - open Xen's devices, if they are not yet: they appear after us at boot.
 *
 * Return: 0, or a negative errno: what xen_open() says, or -ENOMEM.
 */
int ports_open(struct ports *ports);

/** ports_rest() - take no events, for another one does, from the same device; or again. */
void ports_rest(const struct ports *ports, bool rest);

/**
 * ports_anew() - bind all anew, in the device opened anew: what else was bound in it is not bound
 * any more, by whomever that was who had it. A port that cannot be is unbound, and logged.
 */
void ports_anew(struct ports *ports);

/**
 * port_bind() - from now on events of @remote_port of @domid make @session ready.
 * @port: unbound
 *
 * Return: 0, or a negative errno: what xen_bind() says, or -ENOMEM.
 */
int port_bind(struct ports *ports, struct port *port, uint32_t domid, uint32_t remote_port,
	      struct session *session);

/** port_unbind() - Return: whether it was bound. */
bool port_unbind(struct ports *ports, struct port *port);

/** port_notify() - send an event to the other end, if it is bound. */
void port_notify(const struct ports *ports, const struct port *port);

#endif
