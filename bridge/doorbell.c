// SPDX-License-Identifier: MIT
/*
 * doorbell - events in both directions. See doorbell.h.
 *
 * Called by the interposers, on xenstored's hot path: no allocation, no logging but for failures.
 * The eventfd `wake_stored` is readable as long as there are bells, and `stored_woken` is 1 as long
 * as it is readable; so a ringer writes it once a burst. The daemon polls level-triggered and asks
 * for one port at a time.
 */
#include "bridge/doorbell.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <xen/io/xs_wire.h>

#include "bridge/adopt.h"
#include "bridge/attach.h"
#include "bridge/bridge.h"
#include "bridge/owner.h"
#include "bridge/real.h"

/* Every so many calls the other sources come first, so that a flood of bells cannot starve them. */
#define DOORBELL_FAIRNESS 8

/* So many bells at most in one call, so that it ends also when they keep ringing. */
#define DOORBELL_BATCH 256

/*
 * Whether what lies there is worth a turn of xsproxyd's. The C daemon writes a message's header and
 * its payload apart, with an event each; a part is of use once its message is larger than the ring.
 */
static bool doorbell_has_message(const struct xenstore_domain_interface *ring)
{
	uint32_t cons = __atomic_load_n(&ring->rsp_cons, __ATOMIC_RELAXED);
	uint32_t used = ring->rsp_prod - cons, len;
	uint8_t octets[sizeof(len)];

	/* Full, or what it must not be: xsproxyd has to see. */
	if (used >= XENSTORE_RING_SIZE)
		return true;
	if (used < sizeof(struct xsd_sockmsg))
		return false;
	for (uint32_t i = 0; i < sizeof(len); i++)
		octets[i] = (uint8_t)ring->rsp[MASK_XENSTORE_IDX(
			cons + offsetof(struct xsd_sockmsg, len) + i)];
	memcpy(&len, octets, sizeof(len));
	return len > XENSTORE_RING_SIZE - sizeof(struct xsd_sockmsg) ||
	       used >= sizeof(struct xsd_sockmsg) + len;
}

/*
 * Both daemons send an event for each piece that they take of a request. xsproxyd wants to know of
 * it only when it waits for room.
 */
static bool doorbell_worth(struct bridge *b, uint32_t domid)
{
	const struct xenstore_domain_interface *ring = attach_ring(b, domid);
	uint32_t quiet;

	/* Its pages need not exist. */
	if (!attach_is_mapped(b, domid))
		return false;
	quiet = atomic_load_explicit(&rings_attach(&b->rings, domid)->quiet_bell,
				     memory_order_relaxed);
	if (quiet == RINGS_QUIET_NOTHING || ring->error)
		return true;
	if (quiet == RINGS_QUIET_PARTS && b->flavour == RINGS_FLAVOUR_C)
		return doorbell_has_message(ring);
	return __atomic_load_n(&ring->rsp_cons, __ATOMIC_RELAXED) != ring->rsp_prod;
}

void doorbell_notify(struct bridge *b, uint32_t domid)
{
	struct rings_header *header = rings_header(&b->rings);

	/* What the daemon did to the ring must be visible before the bell is. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!doorbell_worth(b, domid) || !bells_ring(&header->to_proxy, domid))
		return;
	/* A load first: mostly it is awake, and the cache line stays shared. */
	if (atomic_load(&header->proxy_asleep) && atomic_exchange(&header->proxy_asleep, 0))
		eventfd_write(b->wake_proxy, 1);
}

void doorbell_wake_stored(struct bridge *b)
{
	atomic_store(&rings_header(&b->rings)->stored_woken, 1);
	eventfd_write(b->wake_stored, 1);
}

void doorbell_ring_stored(struct bridge *b, uint32_t domid)
{
	bells_ring(&rings_header(&b->rings)->to_stored, domid);
	doorbell_wake_stored(b);
}

/*
 * The set looks empty: let the eventfd become quiet. A ringer either sees stored_woken 0 and writes
 * it anew, or rang before we stored the 0, and then the second look sees the bell.
 */
static void doorbell_settle(struct bridge *b)
{
	struct rings_header *header = rings_header(&b->rings);
	eventfd_t count;

	eventfd_read(b->wake_stored, &count);
	atomic_store(&header->stored_woken, 0);
	if (bells_any(&header->to_stored) && !atomic_exchange(&header->stored_woken, 1))
		eventfd_write(b->wake_stored, 1);
}

/*
 * The virtual port of one bell, or -1. The C daemon looks at all rings whatever the port, so there
 * one wake-up stands for all bells.
 */
static int doorbell_take(struct bridge *b)
{
	struct bells *bells = &rings_header(&b->rings)->to_stored;
	bool all = b->flavour == RINGS_FLAVOUR_C;
	int i, domid, port = -1;

	for (i = 0; (all || port < 0) && i < DOORBELL_BATCH; i++) {
		domid = bells_take(bells, &b->cursor);
		if (domid < 0)
			break;
		/* A bell may be older than the daemon's unbind. */
		if (attach_is_bound(b, (uint32_t)domid))
			port = (int)(RINGS_PORT_BASE + (uint32_t)domid);
	}
	if (!bells_any(bells))
		doorbell_settle(b);
	return port;
}

/* The real event channels are lost; what the daemon itself would make of that is to exit. */
static void doorbell_evtchn_failed(struct bridge *b, const char *reason)
{
	if (!b->evtchn_failed)
		bridge_log(
			LOG_CRIT,
			"real event channels failed (%s): dying domains go unnoticed; reboot dom0",
			reason);
	b->evtchn_failed = true;
	epoll_ctl(b->epoll, EPOLL_CTL_DEL, real_evtchn_fd(b->xce), NULL);
}

static int doorbell_real(struct bridge *b, uint32_t events)
{
	int port = -1;

	/* Reading an event channel descriptor that has nothing blocks. */
	if (events & EPOLLIN)
		port = real_evtchn_pending(b->xce);
	if (port < 0 && !((events & EPOLLIN) && (errno == EINTR || errno == EAGAIN)))
		doorbell_evtchn_failed(b, (events & EPOLLIN) ? strerror(errno) : "poll");
	return port;
}

/* Looks at everything but the bells. Return: a real port, or -1. */
static int doorbell_others(struct bridge *b)
{
	struct epoll_event events[SOURCES];
	int i, count, port = -1;

	count = epoll_wait(b->epoll, events, SOURCES, 0);
	for (i = 0; i < count; i++) {
		switch ((enum doorbell_source)events[i].data.u32) {
		case SOURCE_EVTCHN:
			port = doorbell_real(b, events[i].events);
			break;
		case SOURCE_LISTENER:
			owner_accept(b);
			break;
		case SOURCE_OWNER:
			owner_look(b);
			break;
		case SOURCE_BELLS:
		case SOURCES:
			break;
		}
	}
	return port;
}

static int doorbell_bystander(const struct bridge *b)
{
	int port;

	if (b->dom0_real_port)
		return (int)b->dom0_real_port;
	port = attach_bystander(b);
	/* Nobody is bound: then both daemons survive a port that they do not know. */
	return port < 0 ? (int)RINGS_PORT_BASE : port;
}

int doorbell_pending(struct bridge *b)
{
	bool others_first = ++b->turn % DOORBELL_FAIRNESS == 0;
	int port = b->adopt.underway ? adopt_finish(b) : -1;

	if (port >= 0)
		return port;
	port = others_first ? doorbell_others(b) : doorbell_take(b);
	if (port < 0)
		port = others_first ? doorbell_take(b) : doorbell_others(b);
	return port < 0 ? doorbell_bystander(b) : port;
}
