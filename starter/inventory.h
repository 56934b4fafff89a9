/* SPDX-License-Identifier: MIT */
/*
 * inventory - what connections have at the daemon that has executed us: what its state says of
 * them, for xsproxyd (link/conns.h), and which of the descriptors that we have inherited are
 * theirs.
 *
 * All rings and all sockets; of each its watches, and the octets that the daemon has taken from it
 * or has still to send. Open transactions are left out, as every exchange does: they conflict.
 *
 * Called by entering.c. Must never close or use a descriptor that the state names: until xsproxyd
 * says otherwise all of them are the daemon's.
 */
#ifndef XSPROXY_STARTER_INVENTORY_H
#define XSPROXY_STARTER_INVENTORY_H

#include <stddef.h>
#include <stdint.h>

#include "starter/reason.h"

/** inventory_remote_fn - channels_remote() or what stands for it. */
typedef int inventory_remote_fn(void *opaque, uint16_t domid, uint32_t local);

struct inventory {
	int conns;	    /* a memfd, as link/conns.h says; ours */
	int listener;	    /* the daemon's, as those below */
	int event_channels; /* -1: it had none */
	int *sockets;	    /* in the order of their numbers in @conns */
	size_t nr_sockets;
};

/**
 * inventory_new() - read a state.
 * @out: gets it; inventory_free() it
 * @state: a memfd, from its start; stays the caller's
 * @remote: asked for the port of each domain
 * @reason: gets why not
 *
 * Return: 0; -EBADMSG, if it is no state, or names descriptors that are not what they should be; or
 * another negative errno.
 */
int inventory_new(struct inventory **out, int state, inventory_remote_fn *remote, void *opaque,
		  struct reason *reason);

/** inventory_free() - free @inventory, which may be NULL; the daemon's descriptors stay open. */
void inventory_free(struct inventory *inventory);

#endif
