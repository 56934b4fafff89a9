// SPDX-License-Identifier: MIT
#include "proxy/exchange/entry_take.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "link/conns.h"
#include "link/link.h"
#include "link/rings.h"
#include "proxy/daemon.h"
#include "proxy/host/clients.h"
#include "proxy/host/domain.h"
#include "proxy/host/memory.h"
#include "proxy/host/upstream.h"
#include "proxy/log.h"
#include "proxy/session/hand.h"
#include "proxy/session/session.h"
#include "proxy/toolstack/target.h"

/* --- rings */

static bool is_sane(const struct daemon *daemon, const struct conns_record *ring)
{
	return ring->number < ARENA_DOMID_MAX && !domains_session(daemon->domains, ring->number);
}

/* Return: 0, or a negative errno: nothing of it stays. */
static int map(struct daemon *daemon, const struct conns_record *ring)
{
	const struct rings *rings = &upstream_memory(daemon->upstream)->rings;
	const struct link_msg mapped = { .type = LINK_MAP, .domid = ring->number };
	int err = rings_put(rings, ring->number, ring->port, ring->gfn);

	if (err)
		return err;
	err = domains_change(daemon->domains, &mapped);
	if (err)
		rings_take(rings, ring->number);
	return err;
}

/*
 * Whether it has closed its event channel: one that lives may have done so itself, and stays what
 * it is, a domain that is introduced and served no more. What dies loses its event channels first,
 * and its page with them; oxenstored keeps some for long.
 */
static bool is_closed(const struct conns_record *ring)
{
	return ring->number && !ring->port;
}

static int take_ring(struct daemon *daemon, struct entry_gift *gift, const struct conns_view *view)
{
	int err = is_sane(daemon, &view->record) ? map(daemon, &view->record) : -EBADMSG;

	if (err && err != -EBADMSG && err != -ENOMEM && is_closed(&view->record)) {
		gift->some_gone = true;
		return 0;
	}
	if (!err)
		err = hand_in(domains_session(daemon->domains, view->record.number), view);
	if (err)
		log_domain(LOG_ERR, view->record.number,
			   "cannot take up its connection to the native xenstored: %s",
			   strerror(-err));
	return err;
}

/* All rings are there. A domain that has died holds on to nothing. */
static void take_target(struct daemon *daemon, const struct conns_record *ring)
{
	const struct session *user = domains_session(daemon->domains, ring->number);
	struct session *target = ring->target == CONNS_NO_TARGET
					 ? NULL
					 : domains_session(daemon->domains, ring->target);

	if (target && user)
		target_set(target, user);
}

/* --- sockets */

static int take_socket(struct daemon *daemon, const struct entry_gift *gift,
		       const struct conns_view *view)
{
	uint32_t number = view->record.number;
	struct session *s;
	int err, fd;

	if (number >= gift->nr || gift->sockets[number] < 0)
		return -EBADMSG;
	fd = gift->sockets[number];
	gift->sockets[number] = -1;
	err = clients_lend(daemon->clients, fd, &s);
	if (!err)
		err = hand_in(s, view);
	if (err)
		log_line(LOG_ERR, "cannot take up a client of the native xenstored: %s",
			 strerror(-err));
	return err;
}

/* --- all */

static int take_one(struct daemon *daemon, struct entry_gift *gift, const struct conns_view *view)
{
	switch (view->record.kind) {
	case CONNS_RING:
		return take_ring(daemon, gift, view);
	case CONNS_SOCKET:
		return take_socket(daemon, gift, view);
	default:
		return -EBADMSG;
	}
}

static int take_all(struct daemon *daemon, struct entry_gift *gift, struct conns *conns)
{
	struct conns_view view;
	int r, err = 0;

	while (!err && (r = conns_next(conns, &view)) > 0)
		err = take_one(daemon, gift, &view);
	if (err || r)
		return err ? err : r;
	conns->at = 0;
	while (conns_next(conns, &view) > 0)
		if (view.record.kind == CONNS_RING)
			take_target(daemon, &view.record);
	return 0;
}

/* Return: 0, or a negative errno; unmap() it. */
static int map_conns(struct conns *conns, int fd)
{
	struct stat st;
	void *octets;

	if (fstat(fd, &st))
		return -errno;
	if (!st.st_size)
		return -EBADMSG;
	octets = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (octets == MAP_FAILED)
		return -errno;
	*conns = (struct conns){ octets, (size_t)st.st_size, 0 };
	return 0;
}

static void unmap_conns(const struct conns *conns)
{
	munmap((void *)conns->octets, conns->len);
}

int entry_crowded(int fd, uint32_t max, uint32_t *nr)
{
	struct conns_view view;
	struct conns conns;
	int domid = -1;

	if (map_conns(&conns, fd))
		return -1;
	while (domid < 0 && conns_next(&conns, &view) > 0) {
		if (view.record.kind != CONNS_RING || !view.record.number ||
		    view.record.nr_watches <= max)
			continue;
		domid = (int)view.record.number;
		*nr = view.record.nr_watches;
	}
	unmap_conns(&conns);
	return domid;
}

int entry_make(struct daemon *daemon, struct entry_gift *gift)
{
	struct conns conns;
	int err = map_conns(&conns, gift->conns);

	if (err)
		return err;
	err = take_all(daemon, gift, &conns);
	unmap_conns(&conns);
	if (err)
		return err;
	clients_lend_door(daemon->clients, gift->listener);
	/* dom0's kernel is served by no daemon without. */
	return domains_session(daemon->domains, 0) ? 0 : -ENODEV;
}

void entry_unmake(struct daemon *daemon)
{
	clients_return(daemon->clients);
	for (uint32_t domid = 0; domid < ARENA_DOMID_MAX; domid++) {
		const struct link_msg gone = { .type = LINK_UNMAP, .domid = domid };

		if (domains_session(daemon->domains, domid))
			domains_change(daemon->domains, &gone);
	}
	upstream_unmake(daemon->upstream);
}
