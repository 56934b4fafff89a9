/* SPDX-License-Identifier: MIT */
/*
 * endpoint - one side of a session: a queue of octets from that side, one towards it, and a way to
 * wake it.
 *
 * The front of a guest is its shared page, its back is a page of the rings; a toolstack client's
 * two sides are socket buffers. The session sees no difference. Indexes are loaded at the start of
 * a turn and never kept beyond it (a guest may reset its ring at any time).
 */
#ifndef XSPROXY_PROXY_SESSION_ENDPOINT_H
#define XSPROXY_PROXY_SESSION_ENDPOINT_H

#include <stdbool.h>

#include "proxy/session/ledger.h"
#include "ring/ring.h"

struct endpoint {
	struct ring in;	 /* we consume */
	struct ring out; /* we produce */
	void (*kick)(void *owner);
	void *owner;

	/* this turn's indexes, moved along by the steps */
	struct ring_view in_view;
	struct ring_view out_view;
	uint32_t in_start;
	bool produced;
	bool nudge;   /* wake the other side in any case */
	bool starved; /* had something to say and no room for all of it */
};

/**
 * endpoint_served() - the guest's side of a page: it writes req[], req_prod and rsp_cons; we write
 * rsp[], req_cons and rsp_prod, as xenstored would.
 */
struct endpoint endpoint_served(struct xenstore_domain_interface *page, void (*kick)(void *owner),
				void *owner);

/** endpoint_serving() - xenstored's side of one: here we are what the guest is to xenstored. */
struct endpoint endpoint_serving(struct xenstore_domain_interface *page, void (*kick)(void *owner),
				 void *owner);

/** endpoint_begin() - load the indexes. Return: 0, or -EIO when they cannot be. */
int endpoint_begin(struct endpoint *end);

/** endpoint_consumed() - whether this turn took octets from the other side. */
bool endpoint_consumed(const struct endpoint *end);

/**
 * endpoint_kick() - wake the other side if it may be waiting for what this turn did.
 *
 * A full barrier must lie between the turn's last store and this call.
 */
void endpoint_kick(struct endpoint *end);

/**
 * endpoint_again() - whether there is something new to do already: octets came in, or room that was
 * missing. To be asked after the kicks: a socket may have taken all there was, and will not say so.
 */
bool endpoint_again(const struct endpoint *end);

/** endpoint_consume() - have @commit take @len octets from the queue that comes in. */
void endpoint_consume(struct endpoint *end, struct commit *commit, uint32_t len);

/** endpoint_produce() - have @commit publish @len octets, written at out_view.prod. */
void endpoint_produce(struct endpoint *end, struct commit *commit, uint32_t len);

#endif
