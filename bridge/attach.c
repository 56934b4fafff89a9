// SPDX-License-Identifier: MIT
/*
 * attach - map, bind, unbind and unmap of a domain. See attach.h.
 *
 * Called by the interposers. A back ring's page stays accessible for ever (only its memory is given
 * back), because a daemon that touches it once too often must not crash.
 */
#include "bridge/attach.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xen/io/xs_wire.h>

#include "bridge/adopt.h"
#include "bridge/bridge.h"
#include "bridge/doorbell.h"
#include "bridge/owner.h"
#include "link/link.h"

_Static_assert(sizeof(struct xenstore_domain_interface) <= ARENA_PAGE, "a ring is a page");

struct xenstore_domain_interface *attach_ring(const struct bridge *b, uint32_t domid)
{
	return rings_ring(&b->rings, domid);
}

bool attach_is_mapped(const struct bridge *b, uint32_t domid)
{
	return domid < ARENA_DOMID_MAX &&
	       (atomic_load(&rings_header(&b->rings)->mapped[domid / 64]) >> (domid % 64) & 1);
}

bool attach_is_bound(const struct bridge *b, uint32_t domid)
{
	/* Mapped comes first: nobody reserved the ledger of a domain that was never mapped. */
	return attach_is_mapped(b, domid) &&
	       (atomic_load(&rings_attach(&b->rings, domid)->bind_gen) & 1);
}

int attach_domid_at(const struct bridge *b, const void *addr)
{
	uintptr_t off = (uintptr_t)addr - (uintptr_t)b->rings.arena.base;

	if (b->state != BRIDGE_AWAKE || off >= (uintptr_t)ARENA_DOMID_MAX * ARENA_PAGE)
		return -1;
	return (int)(off / ARENA_PAGE);
}

int attach_bystander(const struct bridge *b)
{
	uint32_t domid;

	for (domid = 0; domid < ARENA_DOMID_MAX; domid++)
		if (attach_is_bound(b, domid))
			return (int)(RINGS_PORT_BASE + domid);
	return -1;
}

static void attach_set_fresh(struct bridge *b, uint32_t domid, bool fresh)
{
	uint64_t bit = 1ULL << (domid % 64);

	if (fresh)
		b->fresh[domid / 64] |= bit;
	else
		b->fresh[domid / 64] &= ~bit;
}

static bool attach_is_fresh(const struct bridge *b, uint32_t domid)
{
	return b->fresh[domid / 64] >> (domid % 64) & 1;
}

/*
 * To the next odd (even) number. The generations of struct rings_attach have one writer, this
 * process; so no exchange is needed. One before it may have been killed between the bit in `mapped`
 * and the number that goes with it.
 */
static void attach_bump(_Atomic uint32_t *gen, bool odd)
{
	uint32_t next = atomic_load(gen) + 1;

	atomic_store(gen, (next & 1) == odd ? next : next + 1);
}

static void attach_forget_map(struct bridge *b, uint32_t domid)
{
	atomic_fetch_and(&rings_header(&b->rings)->mapped[domid / 64], ~(1ULL << (domid % 64)));
	attach_bump(&rings_attach(&b->rings, domid)->map_gen, false);
	attach_set_fresh(b, domid, false);
}

static int attach_map_anew(struct bridge *b, uint32_t domid, uint64_t gfn)
{
	struct rings_attach *at = rings_attach(&b->rings, domid);
	int rc;

	/* The OCaml daemon leaks a mapping when the bind that follows it fails. */
	attach_unmap(b, domid);

	rc = rings_reserve(&b->rings, domid);
	if (rc < 0)
		return rc;
	memset(attach_ring(b, domid), 0, ARENA_PAGE);

	atomic_store(&at->gfn, gfn);
	attach_bump(&at->map_gen, true);
	atomic_fetch_or(&rings_header(&b->rings)->mapped[domid / 64], 1ULL << (domid % 64));

	rc = owner_call(b, LINK_MAP, domid, 0);
	if (rc < 0)
		attach_forget_map(b, domid);
	return rc;
}

int attach_map(struct bridge *b, uint32_t domid, uint64_t gfn, void **page)
{
	int rc = adopt_map(b, domid, gfn) ? 0 : attach_map_anew(b, domid, gfn);

	if (rc < 0)
		return rc;
	attach_set_fresh(b, domid, true);
	*page = attach_ring(b, domid);
	return 0;
}

/*
 * At every INTRODUCE the C daemon zeroes the four indexes after map and bind; when it then finds
 * `connection` 1 it stores 0 and notifies, which is how xsproxyd learns that the indexes are its
 * own from now on. Dom0's start-up bind comes without an INTRODUCE, so nothing would store the 0.
 */
static void attach_preset(struct bridge *b, uint32_t domid)
{
	if (b->flavour == RINGS_FLAVOUR_C && (domid != 0 || b->dom0_bound))
		__atomic_store_n(&attach_ring(b, domid)->connection, 1, __ATOMIC_SEQ_CST);
}

static int attach_bind_anew(struct bridge *b, uint32_t domid, uint32_t remote_port)
{
	struct rings_attach *at = rings_attach(&b->rings, domid);
	int rc;

	attach_unbind(b, domid);
	attach_preset(b, domid);
	atomic_store(&at->remote_port, remote_port);
	attach_bump(&at->bind_gen, true);

	/*
	 * As Xen would say; xsproxyd is not there to ask when the C daemon of 4.21+ starts, and
	 * binds port 0 of every domain that there is.
	 */
	rc = remote_port ? owner_call(b, LINK_BIND, domid, (int32_t)remote_port) : -EINVAL;
	if (rc < 0) {
		attach_bump(&at->bind_gen, false);
		/*
		 * INTRODUCE fails. The OCaml daemon forgets the domain without munmap(), and its
		 * page would stay mapped until the domain id comes again; the C daemon unmaps by
		 * itself. A rebind that fails leaves the domain introduced.
		 */
		if (b->flavour == RINGS_FLAVOUR_OCAML && attach_is_fresh(b, domid))
			attach_unmap(b, domid);
		return rc;
	}
	/* As with a real event channel, a port is pending when it has just been bound. */
	doorbell_ring_stored(b, domid);
	return 0;
}

int attach_bind(struct bridge *b, uint32_t domid, uint32_t remote_port)
{
	int rc = adopt_bind(b, domid, remote_port) ? 0 : attach_bind_anew(b, domid, remote_port);

	if (rc < 0)
		return rc;
	attach_set_fresh(b, domid, false);
	if (domid == 0)
		b->dom0_bound = true;
	return 0;
}

void attach_unbind(struct bridge *b, uint32_t domid)
{
	if (!attach_is_bound(b, domid))
		return;
	attach_bump(&rings_attach(&b->rings, domid)->bind_gen, false);
	owner_call(b, LINK_UNBIND, domid, 0);
}

void attach_unmap(struct bridge *b, uint32_t domid)
{
	if (!attach_is_mapped(b, domid))
		return;
	/* The OCaml daemon's RELEASE unmaps without having unbound. */
	attach_unbind(b, domid);
	attach_forget_map(b, domid);
	owner_call(b, LINK_UNMAP, domid, 0);
	arena_discard(&b->rings.arena, rings_ring_off(domid));
}
