/* SPDX-License-Identifier: MIT */
/*
 * Event channels as their users see them: a handle and the ports bound through it. The library
 * builds libxenevtchn from it (dom0 processes), guest.c the guest kernel's side.
 */
#ifndef XENSIM_CHANNEL_H
#define XENSIM_CHANNEL_H

#include "tests/sim/common/state.h"

struct channel {
	int fd; /* readable while a port waits to be read */
	uint64_t ref;
	uint32_t domid;
};

/* A dom0 process opens its event channel device. */
int channel_open(struct sim *sim, bool cloexec, struct channel *ch);

/* Take over an inherited descriptor. */
int channel_fdopen(struct sim *sim, int fd, struct channel *ch);

/* Close the descriptor; if it was the last copy, its ports are unbound. */
void channel_close(struct sim *sim, struct channel *ch);

/* A guest kernel takes the events of @port of its own domain. -EBUSY: somebody plays it already. */
int channel_guest_attach(struct sim *sim, uint32_t domid, uint32_t port, struct channel *ch);

/* The guest kernel stops: its port stays as it is, events stay pending. */
void channel_guest_detach(struct sim *sim, struct channel *ch);

/* All return the local port; -ESRCH, -EINVAL, -EEXIST as Xen does. */
int channel_bind_unbound(struct sim *sim, struct channel *ch, uint32_t domid);
int channel_bind_interdomain(struct sim *sim, struct channel *ch, uint32_t domid, uint32_t port);
int channel_bind_virq(struct sim *sim, struct channel *ch, uint32_t virq);

int channel_unbind(struct sim *sim, struct channel *ch, uint32_t port);

/* One system call each, as on the real thing. */
int channel_notify(struct sim *sim, struct channel *ch, uint32_t port);
int channel_pending(struct sim *sim, struct channel *ch, uint32_t *port);
void channel_unmask(struct sim *sim, struct channel *ch, uint32_t port);

/* Find handles and mappings whose processes died, and do what their death does on real Xen. */
void channel_sweep(struct sim *sim);

#endif
