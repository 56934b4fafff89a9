// SPDX-License-Identifier: MIT
/*
 * upstream_take - what a bridge's memory brings: taken up, gone on with, or left alone.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "link/keep.h"
#include "proxy/daemon.h"
#include "proxy/host/clients.h"
#include "proxy/host/domain.h"
#include "proxy/host/keeper.h"
#include "proxy/host/lasting.h"
#include "proxy/host/upstream.h"
#include "proxy/host/upstream_parts.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/session/blame.h"
#include "proxy/session/ledger.h"
#include "proxy/session/pool.h"

static void event_free_null(struct event **event)
{
	if (*event)
		event_free(*event);
	*event = NULL;
}

static void close_null(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void upstream_drop_left(struct upstream *up)
{
	for (int i = 0; i < LINK_PUT_FDS; i++)
		close_null(&up->left[i]);
}

static void close_bells(struct upstream *up)
{
	event_free_null(&up->bell_event);
	close_null(&up->to_proxy);
	close_null(&up->to_stored);
}

/* Give back what HELLO brought. */
static void forget_memory(struct upstream *up)
{
	blame_end();
	close_bells(up);
	up->pool = pool_free(up->pool);
	memory_close(&up->memory);
	up->ready = up->waits = up->fetching = false;
	up->daemon->flavour = 0;
	up->daemon->features = 0;
	up->daemon->watch_quota = 0;
	up->asked.type = 0;
}

void upstream_close(struct upstream *up)
{
	event_free_null(&up->sock_event);
	close_null(&up->sock);
	close_bells(up);
}

void upstream_forget(struct upstream *up)
{
	upstream_close(up);
	forget_memory(up);
	*up->foreign = '\0';
}

/*
 * The loop looks at the bells themselves. Nor is the descriptor read: it is edge-triggered, each
 * write to it is an edge, and its counter does not run over in the life of a host.
 */
static void bell_cb(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/*
 * Something here is of another version, and only another xsproxyd can help. Nothing is touched, so
 * that one finds all as it was left. The connection stays: it tells when xenstored ends, and what
 * xenstored would introduce meanwhile is refused (domains_change()).
 */
static void __attribute__((format(printf, 2, 3)))
stand_by(struct upstream *up, const char *fmt, ...)
{
	va_list args;

	forget_memory(up);
	va_start(args, fmt);
	vsnprintf(up->foreign, sizeof(up->foreign), fmt, args);
	va_end(args);
	log_line(LOG_ERR, "%s", up->foreign);
	notify_doing(&up->daemon->notify, "%s", up->foreign);
}

static void foreign_bridge(struct upstream *up, const char *what)
{
	stand_by(up,
		 "the bridge in the running xenstored is of another version (%s); guests and "
		 "toolstacks wait; install the xsproxy that this xenstored was started with, or "
		 "reboot dom0",
		 what);
}

/* One ledger that is not ours is enough: its extents cannot be told from free ones. */
static void foreign_ledgers(struct upstream *up, const char *what, uint32_t theirs, uint32_t ours)
{
	stand_by(
		up,
		"the guests' connections were left by an xsproxyd of another version (%s %u, this "
		"one knows %u); guests and toolstacks wait; install that version again and restart "
		"xsproxy",
		what, theirs, ours);
}

static int listen_to_bells(struct upstream *up)
{
	up->bell_event = event_new(up->daemon->base, up->to_proxy, EV_READ | EV_ET | EV_PERSIST,
				   bell_cb, up);
	return !up->bell_event || event_add(up->bell_event, NULL) ? -ENOMEM : 0;
}

static int keep_ledgers(struct upstream *up)
{
	const struct link_msg keep = { .type = LINK_KEEP };

	return link_send(up->sock, &keep, &up->memory.ledgers.arena.fd, 1);
}

static void put_state(const struct upstream *up)
{
	const int fds[] = { up->state, up->pidfd };

	keeper_put(up->daemon->keeper, KEEP_STATE, fds, up->pidfd < 0 ? 1 : 2);
}

void upstream_keep(struct upstream *up)
{
	if (up && up->ready && !up->memory.old && up->daemon->keeper) {
		const int fds[] = { up->memory.ledgers.arena.fd, up->memory.rings.arena.fd };

		keeper_put(up->daemon->keeper, KEEP_DOMAINS, fds, 2);
		if (up->state >= 0)
			put_state(up);
		upstream_keep_mirror(up, up->mirror);
	}
}

static bool is_there(void *arg, uint32_t domid)
{
	struct domains *domains = arg;

	return domains_session(domains, domid) || domains_in_xen(domains, domid);
}

/* The memory is there: take up every domain that is mapped in it. */
static int take_up_domains(struct upstream *up)
{
	int err = pool_new_shared(&up->pool, &up->memory.ledgers);

	if (err)
		return err;
	up->fetching = false;
	up->ready = true;
	up->daemon->flavour = (enum rings_flavour)upstream_header(up)->flavour;
	blame_begin(up->memory.ledgers.blame);
	err = domains_attach_all(up->daemon->domains);
	/* Domains may have ended while no xsproxyd ran. */
	if (!err)
		lasting_only(up->daemon, is_there, up->daemon->domains);
	return err;
}

static void say_connected(struct upstream *up)
{
	log_line(LOG_NOTICE, "connected to the bridge in %s (pid %d)",
		 up->daemon->flavour == RINGS_FLAVOUR_C ? "xenstored" : "oxenstored",
		 upstream_header(up)->pid);
	if (upstream_lacks(up))
		log_line(LOG_NOTICE, "%s", upstream_lacks(up));
	notify_doing(&up->daemon->notify, "Relaying for xenstored, pid %d",
		     upstream_header(up)->pid);
}

static int take_up(struct upstream *up)
{
	int err = listen_to_bells(up);

	if (!err)
		err = take_up_domains(up);
	if (err)
		return err;
	upstream_keep(up);
	say_connected(up);
	upstream_ready_all(up);
	if (up->watcher)
		up->watcher->came(up->watcher_arg);
	clients_upstream_up(up->daemon->clients);
	return 0;
}

static int take_up_if_ours(struct upstream *up)
{
	uint32_t version = memory_foreign(&up->memory);

	if (!version)
		return take_up(up);
	foreign_ledgers(up, "ledger", version, up->memory.ledgers.version);
	return 0;
}

/* A bridge of this version has the rings, and may have kept the ledgers. */
static int hello(struct upstream *up, int fd)
{
	const struct link_msg fetch = { .type = LINK_FETCH };
	int err = rings_open(&up->memory.rings, fd);

	if (err)
		return err;
	up->fetching = true;
	return link_send(up->sock, &fetch, NULL, 0);
}

/* That of xsproxy 0.1 has all in one. */
static int hello_old(struct upstream *up, int fd)
{
	int err = memory_open_old(&up->memory, fd);

	return err ? err : take_up_if_ours(up);
}

/* @err of what HELLO and KEPT brought, which has been carried out. */
static void settle(struct upstream *up, int err)
{
	if (err)
		upstream_refuse(up, strerror(-err));
	else
		up->refused = false;
}

/* Return: whether a bridge has the rings that are in use; then @fd is closed. */
static bool is_same(struct upstream *up, int *fd)
{
	struct rings rings;
	bool same;

	if (rings_open(&rings, *fd))
		return false;
	same = rings_header(&rings)->id == upstream_header(up)->id;
	if (same)
		*fd = -1;
	else
		rings.arena.fd = -1; /* it stays the caller's */
	rings_close(&rings);
	return same;
}

/* Another xenstored goes on with the rings of the one before. */
static void again(struct upstream *up, int fds[LINK_FDS_MAX])
{
	int err;

	evtimer_del(up->timer);
	up->to_proxy = fds[1];
	up->to_stored = fds[2];
	fds[1] = fds[2] = -1;
	err = listen_to_bells(up);
	if (!err)
		err = keep_ledgers(up);
	if (err) {
		/* The rings wait for the next attempt. */
		upstream_lost(up, strerror(-err));
		return;
	}
	up->waits = false;
	up->refused = false;
	up->daemon->flavour = (enum rings_flavour)upstream_header(up)->flavour;
	up->daemon->watch_quota = 0;
	say_connected(up);
	upstream_ready_all(up);
	up->watcher->again(up->watcher_arg);
}

void upstream_hello(struct upstream *up, const struct link_msg *msg, int fds[LINK_FDS_MAX])
{
	bool is_old = msg->value == LINK_VERSION_OLD;
	int err;

	if (up->waits && !is_old && is_same(up, &fds[0])) {
		again(up, fds);
		return;
	}
	if (up->waits) {
		/* It was started without what it was to go on with. */
		domains_detach_all(up->daemon->domains);
		forget_memory(up);
	}
	if (up->ready || up->fetching || *up->foreign) {
		upstream_refuse(up, "it said HELLO out of turn");
		return;
	}
	if (!is_old && msg->value != LINK_VERSION) {
		evtimer_del(up->timer);
		foreign_bridge(up, "its messages");
		return;
	}
	up->to_proxy = fds[1];
	up->to_stored = fds[2];
	fds[1] = fds[2] = -1;
	err = is_old ? hello_old(up, fds[0]) : hello(up, fds[0]);
	if (up->memory.rings.arena.base || *up->foreign)
		fds[0] = -1;
	if (!up->fetching)
		evtimer_del(up->timer);
	if (err == -EPROTONOSUPPORT)
		foreign_bridge(up, "its memory's layout");
	else
		settle(up, err);
}

void upstream_kept(struct upstream *up, int *fd)
{
	bool made, was_left = *fd < 0;
	struct link_msg asked = up->asked;
	int err;

	if (!up->fetching) {
		upstream_lost(up, "it gave what nobody asked for");
		return;
	}
	evtimer_del(up->timer);
	/* One that goes on with rings has nothing. */
	if (*fd < 0) {
		*fd = up->left[0];
		up->left[0] = -1;
	}
	upstream_drop_left(up);
	err = memory_adopt(&up->memory, *fd, &made);
	if (err == -EPROTONOSUPPORT) {
		foreign_ledgers(up, "layout", ledgers_version(*fd), LEDGERS_VERSION);
		return;
	}
	if (!err) {
		*fd = -1;
		/* Before the first guest is served. */
		err = made || was_left ? keep_ledgers(up) : 0;
	}
	if (!err)
		err = take_up_if_ours(up);
	settle(up, err);
	if (asked.type && up->sock >= 0)
		upstream_change(up, &asked);
}

bool upstream_left(const struct upstream *up, struct ledgers *ledgers)
{
	int fd = up->left[1] >= 0 ? dup(up->left[0]) : -1;

	if (fd < 0)
		return false;
	if (!ledgers_open(ledgers, fd)) {
		if (!ledgers_foreign(ledgers))
			return true;
		ledgers_close(ledgers);
		return false;
	}
	close(fd);
	return false;
}

int32_t upstream_left_pid(const struct upstream *up)
{
	int fd = up->left[1] >= 0 ? dup(up->left[1]) : -1;
	struct rings rings;
	int32_t pid;

	if (fd < 0)
		return 0;
	if (rings_open(&rings, fd)) {
		close(fd);
		return 0;
	}
	pid = rings_header(&rings)->pid;
	rings_close(&rings);
	return pid;
}

int upstream_restore(struct upstream *up)
{
	bool made;
	int err = rings_open(&up->memory.rings, up->left[1]);

	if (!err) {
		up->left[1] = -1;
		err = memory_adopt(&up->memory, up->left[0], &made);
	}
	if (!err) {
		up->left[0] = -1;
		err = made ? -ESTALE : 0;
	}
	if (!err && memory_foreign(&up->memory))
		err = -EPROTONOSUPPORT;
	if (!err)
		err = take_up_domains(up);
	if (err) {
		domains_detach_all(up->daemon->domains);
		forget_memory(up);
		return err;
	}
	up->waits = true;
	upstream_keep(up);
	return 0;
}

int upstream_make(struct upstream *up)
{
	bool made;
	int err = up->ready || up->fetching ? -EBUSY : 0;

	if (!err)
		err = rings_create(&up->memory.rings, RINGS_FLAVOUR_C);
	if (err)
		return err;
	upstream_drop_left(up);
	err = memory_adopt(&up->memory, -1, &made);
	if (!err)
		err = take_up_domains(up);
	if (err)
		forget_memory(up);
	else
		up->waits = true;
	return err;
}

void upstream_unmake(struct upstream *up)
{
	if (up->daemon->keeper)
		keeper_drop(up->daemon->keeper, KEEP_DOMAINS);
	forget_memory(up);
}

bool upstream_untaken(const struct upstream *up)
{
	struct ledgers left;
	bool untaken;

	if (!upstream_left(up, &left))
		return false;
	untaken = atomic_load(&ledgers_exchange(&left)->stage) == LEDGERS_ENTRY;
	ledgers_close(&left);
	return untaken;
}

void upstream_keep_mirror(struct upstream *up, int fd)
{
	up->mirror = fd;
	if (fd >= 0)
		keeper_put(up->daemon->keeper, KEEP_MIRROR, &up->mirror, 1);
}

void upstream_keep_state(struct upstream *up, int fd, int pidfd)
{
	up->state = fd;
	up->pidfd = pidfd;
	if (fd >= 0)
		put_state(up);
	else
		keeper_drop(up->daemon->keeper, KEEP_STATE);
}
