// SPDX-License-Identifier: MIT
#include "proxy/host/ports.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "proxy/daemon.h"
#include "proxy/log.h"
#include "proxy/session/session.h"

#define EVENTS_AT_ONCE 32
#define LOOK_AGAIN     8

void ports_fini(struct ports *ports)
{
	if (ports->event)
		event_free(ports->event);
	ports->event = NULL;
}

/* Take one event. Return: whether there was one. */
static bool take_event(struct ports *ports)
{
	int local = xen_pending(ports->daemon->xen);
	struct port *port;

	if (local < 0) {
		if (local != -EAGAIN)
			log_line(LOG_ERR, "cannot read an event from the event channel device: %s",
				 strerror(-local));
		return false;
	}
	HASH_FIND_INT(ports->bound, &local, port);
	if (port && port->session)
		session_ready(port->session);
	return true;
}

void ports_rest(const struct ports *ports, bool rest)
{
	if (!ports->event)
		return;
	if (rest)
		event_del(ports->event);
	else
		event_add(ports->event, NULL);
}

/*
 * Several guests' events make one round, and one bell to xenstored. Looking for a second event
 * costs a system call, so when there was none last time it is done only now and then.
 */
static void xen_cb(evutil_socket_t fd, short what, void *arg)
{
	struct ports *ports = arg;
	uint32_t n = 0;

	(void)fd;
	(void)what;
	while (n < EVENTS_AT_ONCE && take_event(ports)) {
		n++;
		if (n == 1 && !ports->busy && ++ports->alone % LOOK_AGAIN)
			return;
	}
	ports->busy = n > 1;
}

static bool hear(struct ports *ports)
{
	struct daemon *daemon = ports->daemon;

	ports->event =
		event_new(daemon->base, xen_fd(daemon->xen), EV_READ | EV_PERSIST, xen_cb, ports);
	return ports->event && !event_add(ports->event, NULL);
}

int ports_open(struct ports *ports)
{
	struct daemon *daemon = ports->daemon;
	int err;

	if (daemon->xen)
		return 0;
	err = xen_open(&daemon->xen);
	if (err)
		return err;
	if (hear(ports))
		return 0;
	ports_fini(ports);
	daemon->xen = xen_free(daemon->xen);
	return -ENOMEM;
}

int port_bind(struct ports *ports, struct port *port, uint32_t domid, uint32_t remote_port,
	      struct session *session)
{
	struct xen *xen = ports->daemon->xen;
	int local = xen_bind(xen, domid, remote_port);

	if (local < 0)
		return local;
	port->local = local;
	port->domid = domid;
	port->remote = remote_port;
	port->session = session;
	HASH_ADD_INT(ports->bound, local, port);
	if (port->hh.tbl)
		return 0;
	port->local = PORT_NONE;
	xen_unbind(xen, (uint32_t)local);
	return -ENOMEM;
}

static void bind_anew(struct ports *ports, struct port *port)
{
	int err = port_bind(ports, port, port->domid, port->remote, port->session);

	if (err)
		log_domain(LOG_WARNING, port->domid, "cannot bind its event channel %u anew: %s",
			   port->remote, strerror(-err));
}

/* Their numbers may change one after the other, so all leave the table before. */
static void bind_all_anew(struct ports *ports)
{
	struct port *port, *tmp, *first = ports->bound;

	ports->bound = NULL;
	HASH_ITER(hh, first, port, tmp) {
		HASH_DELETE(hh, first, port);
		port->local = PORT_NONE;
		bind_anew(ports, port);
	}
}

void ports_anew(struct ports *ports)
{
	struct xen *xen = ports->daemon->xen;
	int err;

	if (!xen)
		return;
	ports_fini(ports);
	err = xen_anew(xen);
	if (err)
		log_line(LOG_ERR, "cannot open /dev/xen/evtchn anew: %s", strerror(-err));
	if (!hear(ports))
		log_line(LOG_ERR, "no memory to hear of guests' events; restart xsproxy");
	if (!err)
		bind_all_anew(ports);
}

bool port_unbind(struct ports *ports, struct port *port)
{
	if (port->local < 0)
		return false;
	HASH_DELETE(hh, ports->bound, port);
	xen_unbind(ports->daemon->xen, (uint32_t)port->local);
	port->local = PORT_NONE;
	port->session = NULL;
	return true;
}

void port_notify(const struct ports *ports, const struct port *port)
{
	if (port->local >= 0)
		xen_notify(ports->daemon->xen, (uint32_t)port->local);
}
