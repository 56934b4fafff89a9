/* SPDX-License-Identifier: MIT */
/*
 * doorbell - xenevtchn_notify() and xenevtchn_pending() over the rings' bells. While awake only.
 *
 * Called by interpose_xen.c; rung within the bridge by attach.c and owner.c. Must never wait for an
 * event.
 */
#ifndef XSPROXY_BRIDGE_DOORBELL_H
#define XSPROXY_BRIDGE_DOORBELL_H

#include <stdint.h>

struct bridge;

/* What the bridge's epoll descriptor watches. */
enum doorbell_source {
	SOURCE_EVTCHN,	 /* the daemon's real event channels: VIRQs, dom0 if it is not relayed */
	SOURCE_BELLS,	 /* the eventfd of to_stored */
	SOURCE_LISTENER, /* the link's socket */
	SOURCE_OWNER,	 /* the connection to xsproxyd */
	SOURCES,
};

/** doorbell_notify() - xenstored notifies a domain: ring for xsproxyd, wake it if it sleeps. */
void doorbell_notify(struct bridge *b, uint32_t domid);

/**
 * doorbell_pending() - which port has an event.
 *
 * The first call is the end of an adoption (adopt.h).
 * Return: a virtual or real port; without any event a port whose spurious event does no harm.
 * Never -1 (the C daemon would exit), and never waits.
 */
int doorbell_pending(struct bridge *b);

/** doorbell_ring_stored() - make a virtual port pending in this very process. */
void doorbell_ring_stored(struct bridge *b, uint32_t domid);

/** doorbell_wake_stored() - make the daemon call pending, whatever the bells say. */
void doorbell_wake_stored(struct bridge *b);

#endif
