// SPDX-License-Identifier: MIT
/*
 * adopt - see adopt.h. Called once each at the start, then by map and bind until the first look.
 *
 * Nobody is connected meanwhile: who connects is accepted by pending, and the first call of that is
 * the first look (docs/daemons.md, "Restoring a state"). Must never believe more of the rings than
 * that their words are the last bridge's.
 */
#include "bridge/adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "bridge/attach.h"
#include "bridge/bridge.h"
#include "bridge/doorbell.h"
#include "link/start.h"

static int adopt_number(const char *text)
{
	char *end;
	long fd;

	errno = 0;
	fd = strtol(text, &end, 10);
	return errno || end == text || *end || fd < 0 || fd > INT_MAX ? -1 : (int)fd;
}

void adopt_ask(struct bridge *b)
{
	const char *value = getenv(START_RINGS_ENV);

	if (!value)
		return;
	b->adopt.asked = true;
	b->adopt.fd = adopt_number(value);
	if (b->adopt.fd >= 0)
		fcntl(b->adopt.fd, F_SETFD, FD_CLOEXEC);
	unsetenv(START_RINGS_ENV);
}

bool adopt_open(struct bridge *b)
{
	struct rings_header *header;
	uint32_t i;
	int rc;

	if (!b->adopt.asked)
		return false;
	rc = rings_open(&b->rings, b->adopt.fd);
	if (rc < 0) {
		if (b->adopt.fd >= 0)
			close(b->adopt.fd);
		b->adopt.fd = -1;
		bridge_log(LOG_ERR,
			   "%s: the rings of the xenstored before are lost (%s); making new ones: "
			   "guests are held until they are introduced anew",
			   b->dir, strerror(-rc));
		return false;
	}
	b->adopt.fd = -1;
	header = rings_header(&b->rings);
	header->flavour = b->flavour;
	header->pid = getpid();
	for (i = 0; i < ARENA_DOMIDS / 64; i++)
		b->adopt.unclaimed[i] = atomic_load(&header->mapped[i]);
	/* Or both would serve its real page. */
	b->relay_dom0 = attach_is_mapped(b, 0);
	b->adopt.underway = true;
	return true;
}

static bool adopt_is_unclaimed(const struct bridge *b, uint32_t domid)
{
	return b->adopt.unclaimed[domid / 64] >> (domid % 64) & 1;
}

bool adopt_map(struct bridge *b, uint32_t domid, uint64_t gfn)
{
	struct rings_attach *at = rings_attach(&b->rings, domid);
	uint64_t known;

	if (!b->adopt.underway || !adopt_is_unclaimed(b, domid))
		return false;
	b->adopt.unclaimed[domid / 64] &= ~(1ULL << (domid % 64));
	/* One of the two daemons names it, the other one does not. */
	known = atomic_load(&at->gfn);
	if (gfn && known && gfn != known)
		return false;
	if (gfn)
		atomic_store(&at->gfn, gfn);
	/* The C daemon takes its ports from the state, and calls no bind. */
	if (domid == 0)
		b->dom0_bound = attach_is_bound(b, 0);
	return true;
}

bool adopt_bind(struct bridge *b, uint32_t domid, uint32_t remote_port)
{
	return b->adopt.underway && attach_is_bound(b, domid) &&
	       atomic_load(&rings_attach(&b->rings, domid)->remote_port) == remote_port;
}

int adopt_finish(struct bridge *b)
{
	unsigned int kept = 0, dropped = 0;

	b->adopt.underway = false;
	ARENA_EACH(rings_header(&b->rings)->mapped, domid) {
		if (adopt_is_unclaimed(b, domid)) {
			attach_unmap(b, domid);
			dropped++;
		} else {
			/* What was rung before may have been taken by a daemon that is no more. */
			doorbell_ring_stored(b, domid);
			kept++;
		}
	}
	bridge_log(LOG_NOTICE, "%s: goes on with %u rings of the xenstored before, %u are let go",
		   b->dir, kept, dropped);
	return b->adopt.virq_port ? (int)b->adopt.virq_port : -1;
}
