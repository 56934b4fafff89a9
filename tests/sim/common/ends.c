// SPDX-License-Identifier: MIT
/*
 * See ends.h; the words and who writes them are explained in state.h.
 */
#include "tests/sim/common/ends.h"

#include <unistd.h>

#include "tests/sim/common/handle.h"

bool end_raise(struct sim *sim, uint32_t domid, uint32_t port)
{
	struct sim_end *end = sim_end(sim, domid, port);
	uint64_t old;

	if (!end)
		return false;
	old = atomic_fetch_or(&end->ev, EV_PENDING);
	if (old & EV_BITS || !(old & ~EV_BITS))
		return false;
	handle_ring(sim, old & ~EV_BITS, port);
	return true;
}

void end_take(struct sim *sim, uint64_t owner, uint32_t domid, uint32_t port)
{
	struct sim_end *end = sim_end(sim, domid, port);
	uint64_t old;

	if (!end)
		return;
	old = atomic_load(&end->ev);
	/* Unbound after it was queued: the number is reported all the same, as Linux does. */
	while ((old & ~EV_BITS) == owner)
		if (atomic_compare_exchange_weak(&end->ev, &old, owner | EV_MASKED))
			break;
}

bool end_unmask(struct sim *sim, uint64_t owner, uint32_t domid, uint32_t port)
{
	struct sim_end *end = sim_end(sim, domid, port);
	uint64_t old;

	if (!end)
		return false;
	old = atomic_load(&end->ev);
	do {
		if ((old & ~EV_BITS) != owner || !(old & EV_MASKED))
			return false;
	} while (!atomic_compare_exchange_weak(&end->ev, &old, old & ~EV_MASKED));
	if (!(old & EV_PENDING))
		return false;
	handle_ring(sim, owner, port);
	return true;
}

void end_attach(struct sim *sim, uint64_t owner, uint32_t domid, uint32_t port)
{
	struct sim_end *end = sim_end(sim, domid, port);
	uint64_t old = atomic_load(&end->ev);

	while (!atomic_compare_exchange_weak(&end->ev, &old, owner | (old & EV_PENDING)))
		;
	if (old & EV_PENDING)
		handle_ring(sim, owner, port);
}

void end_detach(struct sim *sim, uint32_t domid, uint32_t port)
{
	struct sim_end *end = sim_end(sim, domid, port);

	atomic_fetch_and(&end->ev, EV_PENDING);
}

void end_close(struct sim *sim, uint32_t domid, uint32_t port, uint32_t dying_gen)
{
	struct sim_end *end = sim_end(sim, domid, port);
	uint64_t link = atomic_load(&end->link);
	struct sim_end *remote;

	switch (link_kind(link)) {
	case LINK_INTERDOMAIN:
		remote = sim_end(sim, link_domid(link), link_port(link));
		/* Not so when the binder was killed before it had linked both. */
		if (atomic_load(&remote->link) == link_make(LINK_INTERDOMAIN, domid, port, 0))
			atomic_store(&remote->link,
				     link_make(dying_gen ? LINK_ORPHAN : LINK_UNBOUND, domid, 0,
					       dying_gen));
		break;
	case LINK_VIRQ:
		if (atomic_load(&sim->st->virq[link_port(link)]) == port)
			atomic_store(&sim->st->virq[link_port(link)], 0);
		break;
	case LINK_FREE:
	case LINK_UNBOUND:
	case LINK_ORPHAN:
		break;
	}
	/* In this order: an end that is in use has an owner, or never had one. */
	atomic_store(&end->link, link_make(LINK_FREE, 0, 0, 0));
	atomic_store(&end->ev, 0);
}

void end_repair_remote(struct sim *sim, uint32_t domid, uint32_t port)
{
	uint64_t link = atomic_load(&sim_end(sim, domid, port)->link);
	struct sim_end *remote;
	uint64_t ev;

	if (link_kind(link) != LINK_INTERDOMAIN)
		return;
	remote = sim_end(sim, link_domid(link), link_port(link));
	ev = atomic_load(&remote->ev);
	/* Told twice at worst, which is one event too many; told never would be a dead channel. */
	if ((ev & EV_BITS) == EV_PENDING && (ev & ~EV_BITS))
		handle_ring(sim, ev & ~EV_BITS, link_port(link));
}

unsigned int ends_orphans(struct sim *sim, uint32_t domid, uint32_t gen)
{
	uint32_t high = atomic_load(&sim->st->dom0_port_high);
	uint64_t want = link_make(LINK_ORPHAN, domid, 0, gen);
	unsigned int n = 0;

	for (uint32_t port = 1; port <= high; port++)
		if (atomic_load(&sim->st->dom0_ends[port].link) == want)
			n++;
	return n;
}
