// SPDX-License-Identifier: MIT
/*
 * See guest.h.
 */
#include "tests/sim/guest.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <xen/io/xs_wire.h>

#include "tests/sim/common/channel.h"
#include "tests/sim/common/domain.h"

struct event {
	struct event *next;
	struct xsguest_msg msg;
};

struct xsguest {
	struct sim *sim;
	uint32_t domid;
	uint32_t gen;
	uint32_t port;
	struct xenstore_domain_interface *page;
	struct channel ch; /* fd -1: stopped */
	int notify;
	int nudge_ms;
	uint64_t wakeups; /* events that were taken */
	uint32_t got;	  /* octets of @in that have come */
	struct xsguest_msg in;
	struct event *events, **events_tail;
};

_Static_assert(offsetof(struct xsguest_msg, payload) == sizeof(struct xsd_sockmsg),
	       "a message begins as it does on the wire");

/* The same words as the other side uses: each is read and written whole. */
static _Atomic uint32_t *page_word(struct xsguest *g, int field)
{
	struct xenstore_domain_interface *p = g->page;
	uint32_t *const words[XSGUEST_FIELDS] = {
		[XSGUEST_REQ_CONS] = &p->req_cons,
		[XSGUEST_REQ_PROD] = &p->req_prod,
		[XSGUEST_RSP_CONS] = &p->rsp_cons,
		[XSGUEST_RSP_PROD] = &p->rsp_prod,
		[XSGUEST_SERVER_FEATURES] = &p->server_features,
		[XSGUEST_CONNECTION] = &p->connection,
		[XSGUEST_ERROR] = &p->error,
	};

	return (_Atomic uint32_t *)words[field];
}

uint32_t xsguest_get(struct xsguest *g, int field)
{
	return field >= 0 && field < XSGUEST_FIELDS ? atomic_load(page_word(g, field)) : 0;
}

void xsguest_set(struct xsguest *g, int field, uint32_t value)
{
	if (field >= 0 && field < XSGUEST_FIELDS)
		atomic_store(page_word(g, field), value);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t deadline_make(int timeout_ms)
{
	return timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
}

static int deadline_left(int64_t deadline)
{
	int64_t left = deadline - now_ms();

	if (deadline < 0)
		return -1;
	return left < 0 ? 0 : (int)left;
}

static int page_map(struct xsguest *g)
{
	int fd = domain_open_page(g->sim, g->domid, &g->gen);
	void *page;

	if (fd < 0)
		return fd;
	page = mmap(NULL, SIM_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (page == MAP_FAILED)
		return -errno;
	g->page = page;
	return 0;
}

int xsguest_open(const char *dir, uint32_t domid, struct xsguest **out)
{
	struct xsguest *g = calloc(1, sizeof(*g));
	int rc;

	if (!g)
		return -ENOMEM;
	g->domid = domid;
	g->port = domid ? SIM_STORE_PORT : SIM_DOM0_KERNEL;
	g->ch.fd = -1;
	g->events_tail = &g->events;
	if (!dir)
		dir = getenv("XENSIM_DIR");
	rc = dir ? sim_open(dir, &g->sim) : -EINVAL;
	if (!rc)
		rc = page_map(g);
	if (!rc)
		rc = xsguest_start(g);
	if (rc) {
		xsguest_close(g);
		return rc;
	}
	*out = g;
	return 0;
}

static void events_drop(struct xsguest *g)
{
	while (g->events) {
		struct event *ev = g->events;

		g->events = ev->next;
		free(ev);
	}
	g->events_tail = &g->events;
}

void xsguest_close(struct xsguest *g)
{
	if (!g)
		return;
	xsguest_stop(g);
	events_drop(g);
	if (g->page)
		munmap(g->page, SIM_PAGE_SIZE);
	sim_close(g->sim);
	free(g);
}

void xsguest_stop(struct xsguest *g)
{
	if (g->ch.fd < 0)
		return;
	channel_guest_detach(g->sim, &g->ch);
	g->ch.fd = -1;
}

int xsguest_start(struct xsguest *g)
{
	struct domain_info info;

	if (g->ch.fd >= 0)
		return 0;
	if (domain_get(g->sim, g->domid, &info) || info.gen != g->gen)
		return -ESRCH;
	return channel_guest_attach(g->sim, g->domid, g->port, &g->ch);
}

uint32_t xsguest_domid(struct xsguest *g)
{
	return g->domid;
}

int xsguest_fd(struct xsguest *g)
{
	return g->ch.fd < 0 ? -ENOTCONN : g->ch.fd;
}

void xsguest_set_notify(struct xsguest *g, int mode)
{
	g->notify = mode;
}

int xsguest_notify(struct xsguest *g)
{
	return g->ch.fd < 0 ? -ENOTCONN : channel_notify(g->sim, &g->ch, g->port);
}

void xsguest_set_nudge(struct xsguest *g, int ms)
{
	g->nudge_ms = ms;
}

/* 0: there is an event. */
static int event_poll(struct xsguest *g, int64_t deadline)
{
	struct pollfd pfd = { .fd = g->ch.fd, .events = POLLIN };
	bool nudges = g->nudge_ms && g->notify != XSGUEST_NOTIFY_NEVER;

	for (;;) {
		int left = deadline_left(deadline);
		bool nudge = nudges && (left < 0 || left > g->nudge_ms);
		int rc = poll(&pfd, 1, nudge ? g->nudge_ms : left);

		if (rc > 0)
			return 0;
		if (rc < 0 && errno != EINTR)
			return -errno;
		if (!rc && !nudge)
			return -ETIMEDOUT;
		if (!rc)
			xsguest_notify(g);
	}
}

/* 0: an event was taken. */
static int event_wait(struct xsguest *g, int64_t deadline)
{
	uint32_t port;
	int rc;

	if (g->ch.fd < 0)
		return -ENOTCONN;
	rc = event_poll(g, deadline);
	if (rc)
		return rc;
	rc = channel_pending(g->sim, &g->ch, &port);
	if (rc)
		return rc;
	g->wakeups++;
	channel_unmask(g->sim, &g->ch, port);
	return 0;
}

int xsguest_wait_event(struct xsguest *g, int timeout_ms)
{
	return event_wait(g, deadline_make(timeout_ms));
}

uint64_t xsguest_wakeups(struct xsguest *g)
{
	return g->wakeups;
}

int xsguest_page_read(struct xsguest *g, uint32_t offset, void *buf, uint32_t len)
{
	if (offset > SIM_PAGE_SIZE || len > SIM_PAGE_SIZE - offset)
		return -EINVAL;
	memcpy(buf, (char *)g->page + offset, len);
	return 0;
}

int xsguest_page_write(struct xsguest *g, uint32_t offset, const void *buf, uint32_t len)
{
	if (offset > SIM_PAGE_SIZE || len > SIM_PAGE_SIZE - offset)
		return -EINVAL;
	memcpy((char *)g->page + offset, buf, len);
	return 0;
}

void *xsguest_page(struct xsguest *g)
{
	return g->page;
}

static int guest_tell(struct xsguest *g, bool waiting)
{
	if (g->notify == XSGUEST_NOTIFY_NEVER)
		return 0;
	if (g->notify == XSGUEST_NOTIFY_LINUX && !waiting)
		return 0;
	return xsguest_notify(g);
}

int xsguest_push(struct xsguest *g, const void *buf, uint32_t len)
{
	const char *src = buf;
	uint32_t done = 0;
	int rc;

	while (done < len) {
		uint32_t cons = xsguest_get(g, XSGUEST_REQ_CONS);
		uint32_t prod = xsguest_get(g, XSGUEST_REQ_PROD);
		uint32_t n = XENSTORE_RING_SIZE - MASK_XENSTORE_IDX(prod);

		if (prod - cons > XENSTORE_RING_SIZE)
			return -EPROTO;
		if (n > XENSTORE_RING_SIZE - (prod - cons))
			n = XENSTORE_RING_SIZE - (prod - cons);
		if (n > len - done)
			n = len - done;
		if (!n)
			break;
		memcpy(g->page->req + MASK_XENSTORE_IDX(prod), src + done, n);
		/* Sequentially consistent: the octets before the index, the index before req_cons.
		 */
		xsguest_set(g, XSGUEST_REQ_PROD, prod + n);
		done += n;
		rc = guest_tell(g, (int32_t)(prod - xsguest_get(g, XSGUEST_REQ_CONS)) <= 0);
		if (rc)
			return rc;
	}
	return (int)done;
}

int xsguest_pull(struct xsguest *g, void *buf, uint32_t len)
{
	uint32_t done = 0;
	char *dst = buf;
	int rc;

	while (done < len) {
		uint32_t cons = xsguest_get(g, XSGUEST_RSP_CONS);
		uint32_t prod = xsguest_get(g, XSGUEST_RSP_PROD);
		uint32_t n = XENSTORE_RING_SIZE - MASK_XENSTORE_IDX(cons);

		if (prod - cons > XENSTORE_RING_SIZE)
			return -EPROTO;
		if (n > prod - cons)
			n = prod - cons;
		if (n > len - done)
			n = len - done;
		if (!n)
			break;
		memcpy(dst + done, g->page->rsp + MASK_XENSTORE_IDX(cons), n);
		xsguest_set(g, XSGUEST_RSP_CONS, cons + n);
		done += n;
		rc = guest_tell(g, xsguest_get(g, XSGUEST_RSP_PROD) - cons >= XENSTORE_RING_SIZE);
		if (rc)
			return rc;
	}
	return (int)done;
}

static int send_until(struct xsguest *g, const void *buf, uint32_t len, int64_t deadline)
{
	const char *src = buf;
	int rc;

	while (len) {
		rc = xsguest_push(g, src, len);
		if (rc < 0)
			return rc;
		src += rc;
		len -= (uint32_t)rc;
		rc = len ? event_wait(g, deadline) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

int xsguest_send(struct xsguest *g, const void *buf, uint32_t len, int timeout_ms)
{
	return send_until(g, buf, len, deadline_make(timeout_ms));
}

static int send_request(struct xsguest *g, uint32_t type, uint32_t req_id, uint32_t tx_id,
			const void *payload, uint32_t len, int64_t deadline)
{
	struct xsd_sockmsg hdr = { .type = type, .req_id = req_id, .tx_id = tx_id, .len = len };
	int rc = send_until(g, &hdr, sizeof(hdr), deadline);

	return rc ? rc : send_until(g, payload, len, deadline);
}

int xsguest_send_request(struct xsguest *g, uint32_t type, uint32_t req_id, uint32_t tx_id,
			 const void *payload, uint32_t len, int timeout_ms)
{
	return send_request(g, type, req_id, tx_id, payload, len, deadline_make(timeout_ms));
}

/* Bring g->in to @want octets. */
static int recv_until(struct xsguest *g, uint32_t want, int64_t deadline)
{
	int rc;

	while (g->got < want) {
		rc = xsguest_pull(g, (char *)&g->in + g->got, want - g->got);
		if (rc < 0)
			return rc;
		g->got += (uint32_t)rc;
		rc = g->got < want ? event_wait(g, deadline) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

static int msg_recv(struct xsguest *g, struct xsguest_msg *msg, int64_t deadline)
{
	uint32_t head = offsetof(struct xsguest_msg, payload);
	int rc = recv_until(g, head, deadline);

	if (rc)
		return rc;
	if (g->in.len > XENSTORE_PAYLOAD_MAX)
		return -EPROTO;
	rc = recv_until(g, head + g->in.len, deadline);
	if (rc)
		return rc;
	memcpy(msg, &g->in, head + g->in.len);
	msg->payload[msg->len] = '\0';
	g->got = 0;
	return 0;
}

int xsguest_recv(struct xsguest *g, struct xsguest_msg *msg, int timeout_ms)
{
	return msg_recv(g, msg, deadline_make(timeout_ms));
}

static int reply_recv(struct xsguest *g, struct xsguest_msg *msg, int64_t deadline)
{
	struct event *ev;
	int rc;

	for (;;) {
		rc = msg_recv(g, msg, deadline);
		if (rc || msg->type != XS_WATCH_EVENT)
			return rc;
		ev = malloc(sizeof(*ev));
		if (!ev)
			return -ENOMEM;
		ev->next = NULL;
		ev->msg = *msg;
		*g->events_tail = ev;
		g->events_tail = &ev->next;
	}
}

int xsguest_recv_reply(struct xsguest *g, struct xsguest_msg *msg, int timeout_ms)
{
	return reply_recv(g, msg, deadline_make(timeout_ms));
}

int xsguest_recv_event(struct xsguest *g, struct xsguest_msg *msg, int timeout_ms)
{
	struct event *ev = g->events;
	int rc;

	if (ev) {
		*msg = ev->msg;
		g->events = ev->next;
		if (!g->events)
			g->events_tail = &g->events;
		free(ev);
		return 0;
	}
	rc = msg_recv(g, msg, deadline_make(timeout_ms));
	return !rc && msg->type != XS_WATCH_EVENT ? -EPROTO : rc;
}

int xsguest_request(struct xsguest *g, uint32_t type, uint32_t req_id, uint32_t tx_id,
		    const void *payload, uint32_t len, struct xsguest_msg *reply, int timeout_ms)
{
	int64_t deadline = deadline_make(timeout_ms);
	int rc = send_request(g, type, req_id, tx_id, payload, len, deadline);

	if (!rc)
		rc = reply_recv(g, reply, deadline);
	return !rc && reply->req_id != req_id ? -EPROTO : rc;
}

int xsguest_reconnect(struct xsguest *g, int timeout_ms)
{
	int64_t deadline = deadline_make(timeout_ms);
	int rc;

	g->got = 0;
	xsguest_set(g, XSGUEST_CONNECTION, XENSTORE_RECONNECT);
	rc = xsguest_notify(g);
	while (!rc && xsguest_get(g, XSGUEST_CONNECTION) != XENSTORE_CONNECTED)
		rc = event_wait(g, deadline);
	return rc;
}
