// SPDX-License-Identifier: MIT
#include "proxy/host/upstream.h"

#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "link/link.h"
#include "proxy/daemon.h"
#include "proxy/host/clients.h"
#include "proxy/host/domain.h"
#include "proxy/host/memory.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/session/blame.h"
#include "proxy/session/ledger.h"
#include "proxy/session/pool.h"

/* How often the bridge is looked for while there is none. */
#define CONNECT_MS 100

struct upstream {
	struct daemon *daemon;
	int sock;		 /* -1: none */
	int to_proxy, to_stored; /* eventfds */
	struct memory memory;
	struct pool *pool;
	uint32_t cursor;
	bool ready;	       /* the memory is here */
	bool fetching;	       /* the rings are, and the bridge was asked for the ledgers */
	bool told;	       /* that we wait */
	bool refused;	       /* the reason has been logged */
	char foreign[256];     /* what of another version there is, so that we stand by; or "" */
	struct link_msg asked; /* while fetching: what xenstored waits for; type 0: nothing */
	struct event *sock_event, *bell_event, *timer;
};

static struct rings_header *header(const struct upstream *up)
{
	return rings_header(&up->memory.rings);
}

const struct memory *upstream_memory(const struct upstream *up)
{
	return up->ready ? &up->memory : NULL;
}

struct pool *upstream_pool(const struct upstream *up)
{
	return up->pool;
}

const char *upstream_lacks(const struct upstream *up)
{
	if (!up->ready || !up->memory.old)
		return NULL;
	return "the bridge in the running xenstored is that of xsproxy 0.1: it does not fence "
	       "off an xsproxyd that stood still for 3 s; reboot dom0 when it suits";
}

const char *upstream_foreign(const struct upstream *up)
{
	return *up->foreign ? up->foreign : NULL;
}

static void wake_stored(struct upstream *up)
{
	eventfd_write(up->to_stored, 1);
}

void upstream_ring(struct upstream *up, uint32_t domid)
{
	if (!up->ready || !bells_ring(&header(up)->to_stored, domid))
		return;
	/* The set bit must be visible before we look whether xenstored is awake already. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_exchange(&header(up)->stored_woken, 1))
		wake_stored(up);
}

void upstream_take_bells(struct upstream *up)
{
	int domid;

	if (!up->ready)
		return;
	while ((domid = bells_take(&header(up)->to_proxy, &up->cursor)) >= 0)
		domains_bell(up->daemon->domains, (uint32_t)domid);
}

bool upstream_sleep(struct upstream *up)
{
	if (!up->ready)
		return true;
	atomic_store(&header(up)->proxy_asleep, 1);
	if (!bells_any(&header(up)->to_proxy))
		return true;
	atomic_store(&header(up)->proxy_asleep, 0);
	return false;
}

void upstream_wake(struct upstream *up)
{
	if (up->ready)
		atomic_store(&header(up)->proxy_asleep, 0);
}

/* Run every ring session once, and ring every bell. */
static void ready_all(struct upstream *up)
{
	domains_ready_all(up->daemon->domains);
	atomic_store(&header(up)->stored_woken, 1);
	wake_stored(up);
}

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

/* Give back what HELLO brought. */
static void forget_memory(struct upstream *up)
{
	blame_end();
	event_free_null(&up->bell_event);
	close_null(&up->to_proxy);
	close_null(&up->to_stored);
	up->pool = pool_free(up->pool);
	memory_close(&up->memory);
	up->ready = up->fetching = false;
	up->daemon->flavour = 0;
	up->daemon->watch_quota = 0;
	up->asked.type = 0;
}

static void disconnect(struct upstream *up)
{
	event_free_null(&up->sock_event);
	close_null(&up->sock);
	forget_memory(up);
	*up->foreign = '\0';
}

static void connect_later(struct upstream *up)
{
	loop_timer(up->timer, CONNECT_MS);
}

/* Domains' pages stay as they are, and so do their ledgers, for xenstored may be there still. */
static void let_go(struct upstream *up)
{
	domains_detach_all(up->daemon->domains);
	disconnect(up);
	connect_later(up);
}

/* Why the bridge cannot be used: once, for it is tried again and again. */
static void refuse_bridge(struct upstream *up, const char *why)
{
	if (!up->refused)
		log_line(LOG_ERR, "cannot use the bridge in xenstored: %s; trying again", why);
	up->refused = true;
	let_go(up);
}

/* xenstored has gone, talks nonsense, or has given us up because we did not answer in time. */
static void lost(struct upstream *up, const char *why)
{
	if (up->ready)
		log_line(LOG_ERR,
			 "the bridge in xenstored is gone (%s); guests are held until a xenstored "
			 "with the bridge is back",
			 why);
	if (up->ready || *up->foreign)
		let_go(up);
	else
		refuse_bridge(up, why);
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

/* The memory is there: take up every domain that the bridge knows. */
static int take_up(struct upstream *up)
{
	int err = pool_new_shared(&up->pool, &up->memory.ledgers);

	if (err)
		return err;
	up->bell_event = event_new(up->daemon->base, up->to_proxy, EV_READ | EV_ET | EV_PERSIST,
				   bell_cb, up);
	if (!up->bell_event || event_add(up->bell_event, NULL))
		return -ENOMEM;
	up->fetching = false;
	up->ready = true;
	up->daemon->flavour = (enum rings_flavour)header(up)->flavour;
	blame_begin(up->memory.ledgers.blame);
	err = domains_attach_all(up->daemon->domains);
	if (err)
		return err;
	log_line(LOG_NOTICE, "connected to the bridge in %s (pid %d)",
		 up->daemon->flavour == RINGS_FLAVOUR_C ? "xenstored" : "oxenstored",
		 header(up)->pid);
	if (upstream_lacks(up))
		log_line(LOG_NOTICE, "%s", upstream_lacks(up));
	notify_doing(&up->daemon->notify, "Relaying for xenstored, pid %d", header(up)->pid);
	ready_all(up);
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
		refuse_bridge(up, strerror(-err));
	else
		up->refused = false;
}

/* Takes over the descriptors. */
static void on_hello(struct upstream *up, const struct link_msg *msg, int fds[LINK_FDS_MAX])
{
	bool is_old = msg->value == LINK_VERSION_OLD;
	int err;

	if (up->ready || up->fetching || *up->foreign) {
		refuse_bridge(up, "it said HELLO out of turn");
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

static int keep_ledgers(struct upstream *up)
{
	const struct link_msg keep = { .type = LINK_KEEP };

	return link_send(up->sock, &keep, &up->memory.ledgers.arena.fd, 1);
}

static void on_change(struct upstream *up, const struct link_msg *msg)
{
	struct link_msg ack = { .type = LINK_ACK, .seq = msg->seq, .domid = msg->domid };
	int err;

	if (up->fetching) {
		up->asked = *msg;
		return;
	}
	ack.value = domains_change(up->daemon->domains, msg);
	err = link_send(up->sock, &ack, NULL, 0);
	if (err)
		lost(up, strerror(-err));
}

/* Takes over the descriptor, if there is one. */
static void on_kept(struct upstream *up, int *fd)
{
	struct link_msg asked = up->asked;
	bool made;
	int err;

	if (!up->fetching) {
		lost(up, "it gave what nobody asked for");
		return;
	}
	evtimer_del(up->timer);
	err = memory_adopt(&up->memory, *fd, &made);
	if (err == -EPROTONOSUPPORT) {
		foreign_ledgers(up, "layout", ledgers_version(*fd), LEDGERS_VERSION);
		return;
	}
	if (!err) {
		*fd = -1;
		/* Before the first guest is served. */
		err = made ? keep_ledgers(up) : 0;
	}
	if (!err)
		err = take_up_if_ours(up);
	settle(up, err);
	if (asked.type && up->sock >= 0)
		on_change(up, &asked);
}

static void sock_cb(evutil_socket_t fd, short what, void *arg)
{
	struct upstream *up = arg;
	int fds[LINK_FDS_MAX];
	struct link_msg msg;
	int err;

	(void)what;
	err = link_recv(fd, &msg, fds);
	if (err == -EAGAIN)
		return;
	if (err) {
		lost(up, err == -ECONNRESET ? "it ended" : strerror(-err));
		return;
	}
	switch (msg.type) {
	case LINK_HELLO:
		on_hello(up, &msg, fds);
		break;
	case LINK_KEPT:
		on_kept(up, &fds[0]);
		break;
	case LINK_BUSY:
		refuse_bridge(up, "another xsproxyd is connected to it, stop that one");
		break;
	case LINK_MAP:
	case LINK_BIND:
	case LINK_UNBIND:
	case LINK_UNMAP:
		on_change(up, &msg);
		break;
	default:
		lost(up, "it sent a message of unknown type");
	}
	link_close_fds(fds);
}

static void connect_cb(evutil_socket_t fd, short what, void *arg)
{
	struct upstream *up = arg;

	(void)fd;
	(void)what;
	if (up->sock >= 0) {
		log_line(LOG_ERR, "xenstored does not answer at %s/%s; still waiting for it",
			 up->daemon->config.run_dir, LINK_SOCKET);
		return;
	}
	up->sock = link_connect(up->daemon->config.run_dir, LINK_SOCKET);
	if (up->sock < 0) {
		if (!up->told) {
			log_line(LOG_NOTICE, "waiting for a xenstored with the bridge at %s/%s",
				 up->daemon->config.run_dir, LINK_SOCKET);
			notify_doing(&up->daemon->notify,
				     "Waiting for a xenstored with the bridge");
		}
		up->told = true;
		up->sock = -1;
		connect_later(up);
		return;
	}
	up->told = false;
	up->sock_event = event_new(up->daemon->base, up->sock, EV_READ | EV_PERSIST, sock_cb, up);
	if (!up->sock_event || event_add(up->sock_event, NULL)) {
		log_line(LOG_ERR, "no memory for the connection to the bridge; trying again");
		disconnect(up);
		connect_later(up);
		return;
	}
	loop_timer(up->timer, LINK_TIMEOUT_MS);
}

int upstream_new(struct upstream **out, struct daemon *daemon)
{
	struct upstream *up = calloc(1, sizeof(*up));

	if (!up)
		return -ENOMEM;
	up->daemon = daemon;
	up->sock = up->to_proxy = up->to_stored = -1;
	up->memory = (struct memory)MEMORY_NULL;
	up->timer = evtimer_new(daemon->base, connect_cb, up);
	if (!up->timer) {
		free(up);
		return -ENOMEM;
	}
	event_active(up->timer, EV_TIMEOUT, 0);
	*out = up;
	return 0;
}

struct upstream *upstream_free(struct upstream *up)
{
	if (!up)
		return NULL;
	disconnect(up);
	event_free_null(&up->timer);
	free(up);
	return NULL;
}
