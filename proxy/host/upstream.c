// SPDX-License-Identifier: MIT
#include "proxy/host/upstream.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "link/keep.h"
#include "link/link.h"
#include "proxy/daemon.h"
#include "proxy/host/clients.h"
#include "proxy/host/domain.h"
#include "proxy/host/keeper.h"
#include "proxy/host/memory.h"
#include "proxy/host/upstream_parts.h"
#include "proxy/local.h"
#include "proxy/log.h"
#include "proxy/loop.h"

/* How often the bridge is looked for while there is none. */
#define CONNECT_MS 100

const struct memory *upstream_memory(const struct upstream *up)
{
	return up->ready ? &up->memory : NULL;
}

bool upstream_serves(const struct upstream *up)
{
	return up->ready && !up->waits;
}

void upstream_watch(struct upstream *up, const struct upstream_watcher *watcher, void *arg)
{
	up->watcher = watcher;
	up->watcher_arg = arg;
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
	if (!up->ready || !bells_ring(&upstream_header(up)->to_stored, domid))
		return;
	/* The set bit must be visible before we look whether xenstored is awake already. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!atomic_exchange(&upstream_header(up)->stored_woken, 1))
		wake_stored(up);
}

void upstream_take_bells(struct upstream *up)
{
	int domid;

	if (!up->ready)
		return;
	while ((domid = bells_take(&upstream_header(up)->to_proxy, &up->cursor)) >= 0)
		domains_bell(up->daemon->domains, (uint32_t)domid);
}

bool upstream_sleep(struct upstream *up)
{
	if (!up->ready)
		return true;
	atomic_store(&upstream_header(up)->proxy_asleep, 1);
	if (!bells_any(&upstream_header(up)->to_proxy))
		return true;
	atomic_store(&upstream_header(up)->proxy_asleep, 0);
	return false;
}

void upstream_wake(struct upstream *up)
{
	if (up->ready)
		atomic_store(&upstream_header(up)->proxy_asleep, 0);
}

void upstream_ready_all(struct upstream *up)
{
	domains_ready_all(up->daemon->domains);
	atomic_store(&upstream_header(up)->stored_woken, 1);
	wake_stored(up);
}

static void connect_later(struct upstream *up)
{
	loop_timer(up->timer, CONNECT_MS);
}

void upstream_let_go(struct upstream *up)
{
	domains_detach_all(up->daemon->domains);
	upstream_forget(up);
	connect_later(up);
}

void upstream_give_up(struct upstream *up)
{
	if (up->waits)
		upstream_let_go(up);
}

int upstream_end(const struct upstream *up)
{
	int pidfd = up->sock < 0 ? -ENOTCONN : local_peer_pidfd(up->sock);
	int err = pidfd < 0 ? pidfd : local_kill(pidfd);

	if (pidfd >= 0)
		close(pidfd);
	return err;
}

void upstream_refuse(struct upstream *up, const char *why)
{
	if (!up->refused)
		log_line(LOG_ERR, "cannot use the bridge in xenstored: %s; trying again", why);
	up->refused = true;
	upstream_let_go(up);
}

void upstream_lost(struct upstream *up, const char *why)
{
	if (up->ready && up->watcher && up->watcher->gone(up->watcher_arg)) {
		upstream_close(up);
		up->waits = true;
		connect_later(up);
		return;
	}
	if (up->ready)
		log_line(LOG_ERR,
			 "the bridge in xenstored is gone (%s); guests are held until a xenstored "
			 "with the bridge is back",
			 why);
	if (up->ready || *up->foreign)
		upstream_let_go(up);
	else
		upstream_refuse(up, why);
}

void upstream_change(struct upstream *up, const struct link_msg *msg)
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
		upstream_lost(up, strerror(-err));
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
		upstream_lost(up, err == -ECONNRESET ? "it ended" : strerror(-err));
		return;
	}
	switch (msg.type) {
	case LINK_HELLO:
		upstream_hello(up, &msg, fds);
		break;
	case LINK_KEPT:
		upstream_kept(up, &fds[0]);
		break;
	case LINK_BUSY:
		upstream_refuse(up, "another xsproxyd is connected to it, stop that one");
		break;
	case LINK_MAP:
	case LINK_BIND:
	case LINK_UNBIND:
	case LINK_UNMAP:
		upstream_change(up, &msg);
		break;
	default:
		upstream_lost(up, "it sent a message of unknown type");
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
		upstream_close(up);
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
	up->sock = up->to_proxy = up->to_stored = up->state = up->mirror = -1;
	up->left[0] = up->left[1] = -1;
	if (daemon->keeper)
		keeper_take(daemon->keeper, KEEP_DOMAINS, up->left);
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
	upstream_forget(up);
	upstream_drop_left(up);
	event_free(up->timer);
	free(up);
	return NULL;
}
