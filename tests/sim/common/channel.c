// SPDX-License-Identifier: MIT
/*
 * See channel.h.
 */
#include "tests/sim/common/channel.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/sim/common/domain.h"
#include "tests/sim/common/ends.h"
#include "tests/sim/common/handle.h"
#include "tests/sim/common/maps.h"

/* The price of a hypercall that found nothing to do. */
static void channel_pay(void)
{
	syscall(SYS_getppid);
}

static void port_unbind(struct sim *sim, uint32_t port)
{
	uint64_t link = atomic_load(&sim_end(sim, 0, port)->link);

	end_close(sim, 0, port, 0);
	if (link_kind(link) == LINK_ORPHAN)
		domain_collect(sim, link_domid(link));
}

/* Under the lock: the handle's last descriptor is closed. */
static void handle_reap(struct sim *sim, uint64_t ref)
{
	struct sim_handle *h = &sim->st->handles[handle_slot(ref)];
	uint32_t domid = atomic_load(&h->domid);
	uint32_t high = domid ? SIM_GUEST_PORTS - 1 : atomic_load(&sim->st->dom0_port_high);
	bool dev = atomic_load(&h->kind) == HANDLE_DEV;

	for (uint32_t port = 1; port <= high; port++) {
		if (end_owner(sim_end(sim, domid, port)) != ref)
			continue;
		end_repair_remote(sim, domid, port);
		if (dev)
			port_unbind(sim, port);
		else
			end_detach(sim, domid, port);
	}
	handle_free(sim, ref);
}

static bool handle_reap_dead(struct sim *sim, uint64_t ref)
{
	if (handle_alive(sim, ref))
		return false;
	handle_reap(sim, ref);
	return true;
}

static void sweep_handles(struct sim *sim, bool guests)
{
	uint32_t high = atomic_load(&sim->st->handle_high);

	for (uint32_t slot = 0; slot <= high; slot++) {
		struct sim_handle *h = &sim->st->handles[slot];
		uint32_t kind = atomic_load(&h->kind);

		if (kind == HANDLE_DEV || (guests && kind == HANDLE_GUEST))
			handle_reap_dead(sim, handle_ref(slot, atomic_load(&h->gen)));
	}
}

static int channel_new(struct sim *sim, enum handle_kind kind, uint32_t domid, bool cloexec,
		       struct channel *ch)
{
	int fd = handle_alloc(sim, kind, domid, cloexec, &ch->ref);

	if (fd == -ENFILE) {
		sweep_handles(sim, true);
		fd = handle_alloc(sim, kind, domid, cloexec, &ch->ref);
	}
	if (fd < 0)
		return fd;
	ch->fd = fd;
	ch->domid = domid;
	return 0;
}

int channel_open(struct sim *sim, bool cloexec, struct channel *ch)
{
	int rc;

	sim_lock(sim);
	/* A killed predecessor's ports must not run out the table. */
	sweep_handles(sim, false);
	rc = channel_new(sim, HANDLE_DEV, 0, cloexec, ch);
	sim_unlock(sim);
	return rc;
}

int channel_fdopen(struct sim *sim, int fd, struct channel *ch)
{
	int rc = handle_identify(sim, fd, &ch->ref);

	if (rc)
		return rc;
	ch->fd = fd;
	ch->domid = 0;
	atomic_store(&sim->st->handles[handle_slot(ch->ref)].pid, (uint32_t)getpid());
	return 0;
}

void channel_close(struct sim *sim, struct channel *ch)
{
	close(ch->fd);
	sim_lock(sim);
	handle_reap_dead(sim, ch->ref);
	sim_unlock(sim);
}

int channel_guest_attach(struct sim *sim, uint32_t domid, uint32_t port, struct channel *ch)
{
	struct sim_end *end = sim_end(sim, domid, port);
	struct domain_info info;
	int rc = 0;

	if (!end)
		return -EINVAL;
	sim_lock(sim);
	if (domain_get(sim, domid, &info) || info.flags & DOM_DYING)
		rc = -ESRCH;
	else if (link_kind(atomic_load(&end->link)) == LINK_FREE)
		rc = -EINVAL;
	else if (end_owner(end) && !handle_reap_dead(sim, end_owner(end)))
		rc = -EBUSY;
	if (!rc)
		rc = channel_new(sim, HANDLE_GUEST, domid, true, ch);
	if (!rc)
		end_attach(sim, ch->ref, domid, port);
	sim_unlock(sim);
	return rc;
}

void channel_guest_detach(struct sim *sim, struct channel *ch)
{
	sim_lock(sim);
	handle_reap(sim, ch->ref);
	sim_unlock(sim);
	close(ch->fd);
}

/* Under the lock: a free port of dom0; its owner is set before its link makes it count. */
static int port_alloc(struct sim *sim, uint64_t owner, uint64_t link)
{
	for (uint32_t port = SIM_DOM0_FIRST; port < SIM_DOM0_PORTS; port++) {
		struct sim_end *end = &sim->st->dom0_ends[port];

		if (link_kind(atomic_load(&end->link)) != LINK_FREE)
			continue;
		sim_raise_high(&sim->st->dom0_port_high, port);
		atomic_store(&end->ev, owner);
		atomic_store(&end->link, link);
		return (int)port;
	}
	return -ENOSPC;
}

int channel_bind_unbound(struct sim *sim, struct channel *ch, uint32_t domid)
{
	struct domain_info info;
	int rc;

	sim_lock(sim);
	rc = domain_get(sim, domid, &info);
	if (!rc)
		rc = port_alloc(sim, ch->ref, link_make(LINK_UNBOUND, domid, 0, 0));
	sim_unlock(sim);
	return rc;
}

static int bind_locked(struct sim *sim, struct channel *ch, uint32_t domid, uint32_t port)
{
	struct domain_info info;
	struct sim_end *remote;
	uint64_t link, owner;
	int local;

	if (domain_get(sim, domid, &info))
		return -ESRCH;
	remote = sim_end(sim, domid, port);
	if (!remote)
		return -EINVAL;
	link = atomic_load(&remote->link);
	if (link_kind(link) == LINK_INTERDOMAIN && link_domid(link) == 0) {
		owner = end_owner(sim_end(sim, 0, link_port(link)));
		if (owner && handle_reap_dead(sim, owner))
			link = atomic_load(&remote->link);
	}
	if (link != link_make(LINK_UNBOUND, 0, 0, 0))
		return -EINVAL;
	local = port_alloc(sim, ch->ref, link_make(LINK_INTERDOMAIN, domid, port, 0));
	if (local < 0)
		return local;
	atomic_store(&remote->link, link_make(LINK_INTERDOMAIN, 0, (uint32_t)local, 0));
	/* The binder may have missed events; the remote end learns nothing. */
	end_raise(sim, 0, (uint32_t)local);
	return local;
}

int channel_bind_interdomain(struct sim *sim, struct channel *ch, uint32_t domid, uint32_t port)
{
	int rc;

	sim_lock(sim);
	rc = bind_locked(sim, ch, domid, port);
	sim_unlock(sim);
	return rc;
}

int channel_bind_virq(struct sim *sim, struct channel *ch, uint32_t virq)
{
	uint32_t bound;
	int rc = 0;

	if (virq >= SIM_VIRQS)
		return -EINVAL;
	sim_lock(sim);
	bound = atomic_load(&sim->st->virq[virq]);
	if (bound && !handle_reap_dead(sim, end_owner(&sim->st->dom0_ends[bound])))
		rc = -EEXIST;
	if (!rc)
		rc = port_alloc(sim, ch->ref, link_make(LINK_VIRQ, 0, virq, 0));
	if (rc > 0)
		atomic_store(&sim->st->virq[virq], (uint32_t)rc);
	sim_unlock(sim);
	return rc;
}

int channel_unbind(struct sim *sim, struct channel *ch, uint32_t port)
{
	struct sim_end *end = sim_end(sim, ch->domid, port);
	int rc = 0;

	if (!end)
		return -EINVAL;
	sim_lock(sim);
	if (end_owner(end) == ch->ref)
		port_unbind(sim, port);
	else
		rc = -ENOTCONN;
	sim_unlock(sim);
	return rc;
}

int channel_notify(struct sim *sim, struct channel *ch, uint32_t port)
{
	struct sim_end *end = sim_end(sim, ch->domid, port);
	bool paid = false;
	uint64_t link;
	int rc = 0;

	if (!end || end_owner(end) != ch->ref) {
		rc = -ENOTCONN;
	} else {
		link = atomic_load(&end->link);
		if (link_kind(link) == LINK_INTERDOMAIN)
			paid = end_raise(sim, link_domid(link), link_port(link));
		else if (link_kind(link) == LINK_VIRQ)
			rc = -EINVAL;
	}
	if (!paid)
		channel_pay();
	return rc;
}

int channel_pending(struct sim *sim, struct channel *ch, uint32_t *port)
{
	ssize_t n = read(ch->fd, port, sizeof(*port));

	if (n != sizeof(*port))
		return n < 0 ? -errno : -EIO;
	end_take(sim, ch->ref, ch->domid, *port);
	return 0;
}

void channel_unmask(struct sim *sim, struct channel *ch, uint32_t port)
{
	if (!end_unmask(sim, ch->ref, ch->domid, port))
		channel_pay();
}

void channel_sweep(struct sim *sim)
{
	struct domain_info info;

	sim_lock(sim);
	maps_sweep(sim);
	sweep_handles(sim, true);
	for (uint32_t d = 1; !domain_next(sim, d, &info); d = info.domid + 1)
		domain_collect(sim, info.domid);
	sim_unlock(sim);
}
