// SPDX-License-Identifier: MIT
#include "proxy/host/lease.h"

#include <errno.h>
#include <stdlib.h>

#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/log.h"
#include "proxy/session/session.h"

struct lease {
	LIST_ENTRY(lease) link;
	uint32_t domid;
	const void *holder;
};

static struct lease *find(const struct daemon *daemon, uint32_t domid)
{
	struct lease *lease;

	LIST_FOREACH(lease, &daemon->leases, link)
		if (lease->domid == domid)
			return lease;
	return NULL;
}

bool lease_is(const struct daemon *daemon, uint32_t domid)
{
	return find(daemon, domid);
}

static void lease_free(struct lease *lease)
{
	LIST_REMOVE(lease, link);
	free(lease);
}

int lease_take(struct daemon *daemon, uint32_t domid, const void *holder)
{
	struct lease *lease;

	LIST_FOREACH(lease, &daemon->leases, link)
		if (lease->domid == domid && lease->holder == holder)
			return 0;
	lease = malloc(sizeof(*lease));
	if (!lease)
		return -ENOMEM;
	lease->domid = domid;
	lease->holder = holder;
	LIST_INSERT_HEAD(&daemon->leases, lease, link);
	return 0;
}

void lease_drop(struct daemon *daemon, uint32_t domid)
{
	struct lease *lease;

	while ((lease = find(daemon, domid)))
		lease_free(lease);
}

/* It may be permanent by now, which the ledger says. */
static void let_go_on(struct daemon *daemon, uint32_t domid)
{
	struct session *s = domains_session(daemon->domains, domid);

	if (!s || !word_get(&s->ledger->lease) || session_state(s) != LEDGER_QUIET)
		return;
	log_domain(LOG_NOTICE, domid,
		   "the connection that it stood still for has ended; it goes on");
	session_resume(s);
}

void lease_end(struct daemon *daemon, const void *holder)
{
	struct lease *lease, *next;

	for (lease = LIST_FIRST(&daemon->leases); lease; lease = next) {
		uint32_t domid = lease->domid;

		next = LIST_NEXT(lease, link);
		if (lease->holder != holder)
			continue;
		lease_free(lease);
		if (!find(daemon, domid))
			let_go_on(daemon, domid);
	}
}

bool lease_held(const struct daemon *daemon, const void *holder)
{
	const struct lease *lease;

	LIST_FOREACH(lease, &daemon->leases, link)
		if (lease->holder == holder)
			return true;
	return false;
}
