// SPDX-License-Identifier: MIT
#include "proxy/exchange/leave_give.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "link/conns.h"
#include "link/start.h"
#include "proxy/daemon.h"
#include "proxy/exchange/plan.h"
#include "proxy/exchange/starters.h"
#include "proxy/host/clients.h"
#include "proxy/host/domain.h"
#include "proxy/host/memfile.h"
#include "proxy/session/hand.h"
#include "proxy/session/session.h"

struct giving {
	struct daemon *daemon;
	struct starters *starters;
	const char *native; /* the daemon's path */
	FILE *file;
	uint32_t sockets;      /* so far */
	int fds[LINK_FDS_MAX]; /* that have not gone yet */
	int nr;
};

/* --- records */

static int put_daemon(const struct giving *giving)
{
	const char *native = giving->native;
	const struct conns_view view = {
		.record = { .kind = CONNS_DAEMON,
			    .target = CONNS_NO_TARGET,
			    .in_len = (uint32_t)strlen(native) },
		.in = (const uint8_t *)native,
	};

	return conns_put(giving->file, &view);
}

static int put_ring(const struct giving *giving, const struct session *s, int target)
{
	struct conns_record record = {
		.kind = CONNS_RING,
		.number = s->domid,
		.port = atomic_load(&s->attach->remote_port),
		.gfn = atomic_load(&s->attach->gfn),
		.local = (uint32_t)domains_local_port(giving->daemon->domains, s->domid),
		.target = target < 0 ? CONNS_NO_TARGET : (uint32_t)target,
	};

	return hand_out(s, giving->file, &record);
}

static int put_rings(const struct giving *giving)
{
	struct domains *domains = giving->daemon->domains;
	int *targets = plan_targets(domains), err = targets ? 0 : -ENOMEM;

	DOMAINS_EACH_SESSION(domains, s)
		if (!err && !s->unbound && session_state(s) != LEDGER_ENDED)
			err = put_ring(giving, s, targets[s->domid]);
	free(targets);
	return err;
}

static int put_socket(int fd, const struct session *s, void *arg)
{
	const struct conns_view nothing = { .record = { .kind = CONNS_SOCKET } };
	struct giving *giving = arg;
	struct conns_record record = {
		.kind = CONNS_SOCKET,
		.number = giving->sockets,
		.target = CONNS_NO_TARGET,
	};
	struct conns_view view = nothing;

	(void)fd;
	giving->sockets++;
	if (s)
		return hand_out(s, giving->file, &record);
	view.record = record;
	return conns_put(giving->file, &view);
}

static int put_all(FILE *out, void *arg)
{
	struct giving *giving = arg;
	int err;

	giving->file = out;
	err = put_daemon(giving);
	if (!err)
		err = put_rings(giving);
	return err ? err : clients_each_socket(giving->daemon->clients, put_socket, giving);
}

/* --- sockets */

static int flush(struct giving *giving)
{
	int err = giving->nr
			  ? starters_tell(giving->starters, START_SOCKETS, giving->fds, giving->nr)
			  : 0;

	giving->nr = 0;
	return err;
}

static int give_socket(int fd, const struct session *s, void *arg)
{
	struct giving *giving = arg;

	(void)s;
	giving->fds[giving->nr++] = fd;
	return giving->nr < LINK_FDS_MAX ? 0 : flush(giving);
}

static int give_sockets(struct giving *giving)
{
	const int door = clients_door(giving->daemon->clients);
	int err = clients_each_socket(giving->daemon->clients, give_socket, giving);

	if (!err)
		err = flush(giving);
	return err ? err : starters_tell(giving->starters, START_LISTENER, &door, 1);
}

int leave_give(struct daemon *daemon, struct starters *starters, int state, const char *native)
{
	struct giving giving = { .daemon = daemon, .starters = starters, .native = native };
	int fds[START_LEAVE_FDS] = { state, memfile_make("xsproxy-conns", put_all, &giving),
				     daemon->xen ? xen_fd(daemon->xen) : -1 };
	int err = fds[1] < 0 ? fds[1] : 0;

	if (!err && (fds[2] < 0 || lseek(state, 0, SEEK_SET)))
		err = -ENODEV;
	if (!err)
		err = starters_tell_value(starters, START_LEAVE, (int)giving.sockets, fds,
					  START_LEAVE_FDS);
	if (fds[1] >= 0)
		close(fds[1]);
	return err ? err : give_sockets(&giving);
}
