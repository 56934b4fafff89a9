// SPDX-License-Identifier: MIT
/*
 * later - A C daemon as of Xen 4.21 (FEATURES=2) and 4.22 (14), as far as what it asks Xen and what
 * it writes into pages go: libxenmanage, every domain that there is introduced at its start,
 * server_features, GET_FEATURE and SET_FEATURE, watches with a depth. It has no store: each node is
 * there, empty, and readable for all domains. What it is told to change it prints.
 *
 * As oxenstored it is XAPI's: pages by libxengnttab, unmapped without unbind; a ring stays as it is
 * at INTRODUCE; depth also on @releaseDomain; no reply above 4096 octets, as that to READ of "big".
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <xen/grant_table.h>
#include <xen/io/xs_wire.h>
#include <xen/xen.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#include "tests/e2e/bridge/xenmanage.h"

#define DOMIDS	256
#define CLIENTS 16

/* Headers of 4.17 do not name these. */
enum { GET_FEATURE = 23, SET_FEATURE, GET_QUOTA, SET_QUOTA, FEATURE_DEPTH = 4 };

struct request {
	struct xsd_sockmsg hdr;
	char payload[XENSTORE_PAYLOAD_MAX + 1];
};

struct domain {
	struct xenstore_domain_interface *page;
	int port;
	unsigned int features;
	struct request in;
	uint32_t have;	/* octets of it */
	char token[32]; /* of its watch on @releaseDomain, depth 1 */
};

static struct domain domains[DOMIDS];
static xenevtchn_handle *xce;
static xengnttab_handle *xgt;
static unsigned int offered;
static bool xapi;

static unsigned int number_in(const char *path)
{
	char text[16] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		err(1, "%s", path);
	close(fd);
	return (unsigned int)atoi(text);
}

static void *dom0_page(void)
{
	int fd = open("/proc/xen/xsd_kva", O_RDWR);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd < 0 || page == MAP_FAILED)
		err(1, "xsd_kva");
	close(fd);
	return page;
}

/* Return: 0 or an errno. */
static int introduce(unsigned int domid, unsigned int port)
{
	struct domain *d = &domains[domid];
	struct xenstore_domain_interface *page;
	int rc;

	if (d->page) {
		if (d->port > 0)
			xenevtchn_unbind(xce, (evtchn_port_t)d->port);
		d->port = xenevtchn_bind_interdomain(xce, domid, port);
		return 0;
	}
	page = domid ? xengnttab_map_grant_ref(xgt, domid, GNTTAB_RESERVED_XENSTORE,
					       PROT_READ | PROT_WRITE)
		     : dom0_page();
	if (!page)
		return errno;
	/* evtchn_port follows error. */
	if ((&page->error)[1])
		port = (&page->error)[1];
	d->port = xenevtchn_bind_interdomain(xce, domid, port);
	if (d->port < 0) {
		rc = errno;
		xengnttab_unmap(xgt, page, 1);
		return rc;
	}
	d->page = page;
	page->server_features = d->features;
	return 0;
}

static void reset(struct domain *d)
{
	d->page->req_cons = d->page->req_prod = d->page->rsp_cons = d->page->rsp_prod = 0;
	__sync_synchronize();
}

static void init_domains(void)
{
	xenmanage_handle *xm = xenmanage_open(NULL, 0);
	unsigned int domid, state, caps;
	uint64_t id;

	while (!xenmanage_poll_changed_domain(xm, &domid, &state, &caps, &id)) {
		if (xapi && domid)
			continue;
		if (introduce(domid, domid ? 0 : number_in("/proc/xen/xsd_port"))) {
			printf("Could not initialize dom%u\n", domid);
			continue;
		}
		domains[domid].page->connection = XENSTORE_CONNECTED;
		xenevtchn_notify(xce, (evtchn_port_t)domains[domid].port);
	}
}

static int do_introduce(const struct request *req)
{
	const char *gfn = req->payload + strlen(req->payload) + 1;
	unsigned int domid = (unsigned int)atoi(req->payload);
	int rc = introduce(domid, (unsigned int)atoi(gfn + strlen(gfn) + 1));

	if (rc || xapi)
		return rc;
	reset(&domains[domid]);
	if (domains[domid].page->connection) {
		domains[domid].page->connection = XENSTORE_CONNECTED;
		xenevtchn_notify(xce, (evtchn_port_t)domains[domid].port);
	}
	return 0;
}

static unsigned int strings(const struct request *req)
{
	unsigned int n = 0;

	for (uint32_t i = 0; i < req->hdr.len; i++)
		n += !req->payload[i];
	return n;
}

static void ring_copy(char *ring, uint32_t at, void *octets, uint32_t len, bool in)
{
	for (uint32_t i = 0; i < len; i++) {
		char *place = ring + (at + i) % XENSTORE_RING_SIZE;

		if (in)
			((char *)octets)[i] = *place;
		else
			*place = ((char *)octets)[i];
	}
}

static void send_ring(struct domain *d, struct request *req)
{
	uint32_t size = (uint32_t)sizeof(req->hdr) + req->hdr.len;

	ring_copy(d->page->rsp, d->page->rsp_prod, req, size, false);
	__sync_synchronize();
	d->page->rsp_prod += size;
	xenevtchn_notify(xce, (evtchn_port_t)d->port);
}

static void fire_release(unsigned int gone)
{
	for (unsigned int domid = 0; domid < DOMIDS; domid++) {
		struct domain *d = &domains[domid];
		struct request event = { .hdr.type = XS_WATCH_EVENT };

		if (!d->page || !d->token[0])
			continue;
		event.hdr.len = (uint32_t)sprintf(event.payload, "@releaseDomain/%u%c%s", gone, 0,
						  d->token) +
				1;
		send_ring(d, &event);
	}
}

static int do_release(unsigned int domid)
{
	struct domain *d = &domains[domid];

	if (!domid || !d->page)
		return domid ? ENOENT : EINVAL;
	if (!xapi)
		xenevtchn_unbind(xce, (evtchn_port_t)d->port);
	xengnttab_unmap(xgt, d->page, 1);
	*d = (struct domain){ .features = offered };
	fire_release(domid);
	return 0;
}

static int do_watch(struct domain *d, const struct request *req)
{
	const char *token = req->payload + strlen(req->payload) + 1;

	if (strings(req) < 3)
		return 0;
	if (!xapi && !(d->features & FEATURE_DEPTH))
		return EINVAL;
	if (xapi && req->payload[0] == '@' && strcmp(token + strlen(token) + 1, "1"))
		return EINVAL;
	if (!strcmp(req->payload, "@releaseDomain"))
		snprintf(d->token, sizeof(d->token), "%s", token);
	return 0;
}

static int do_set_feature(const struct request *req)
{
	struct domain *d = &domains[atoi(req->payload)];
	unsigned int features = (unsigned int)atoi(req->payload + strlen(req->payload) + 1);

	if (d->page)
		return EBUSY;
	if (features & ~offered)
		return EINVAL;
	d->features = features;
	return 0;
}

/* NUL octets as blanks */
static void show(const struct request *req)
{
	printf("%u ", req->hdr.type);
	for (uint32_t i = 0; i < req->hdr.len; i++)
		putchar(req->payload[i] ?: ' ');
	putchar('\n');
}

/* Answers in place. */
static void answer(unsigned int domid, struct request *req)
{
	unsigned int named = req->hdr.len ? (unsigned int)atoi(req->payload) : domid;
	const struct domain *d = &domains[named % DOMIDS];
	char reply[64] = "OK";
	uint32_t len = 3;
	int rc = 0;

	switch (req->hdr.type) {
	case XS_DIRECTORY:
	case XS_READ:
		len = 0;
		rc = xapi && !strcmp(req->payload, "big") ? E2BIG : 0;
		break;
	case XS_GET_PERMS:
		len = (uint32_t)sprintf(reply, "n%u%cr32757", domid ?: 7, 0) + 1;
		break;
	case XS_TRANSACTION_START:
		len = (uint32_t)sprintf(reply, "1") + 1;
		break;
	case XS_IS_DOMAIN_INTRODUCED:
		len = (uint32_t)sprintf(reply, "%c", d->page ? 'T' : 'F') + 1;
		break;
	case XS_INTRODUCE:
		rc = do_introduce(req);
		break;
	case XS_RELEASE:
		rc = do_release((unsigned int)atoi(req->payload));
		break;
	case XS_WATCH:
		rc = do_watch(&domains[domid], req);
		break;
	case GET_FEATURE:
		len = (uint32_t)sprintf(reply, "%u", d->features) + 1;
		break;
	case SET_FEATURE:
		rc = do_set_feature(req);
		break;
	case GET_QUOTA:
		len = (uint32_t)sprintf(reply, "1000") + 1;
		break;
	case XS_WRITE:
	case XS_SET_PERMS:
	case SET_QUOTA:
		show(req);
		break;
	default:
		break;
	}
	if (rc) {
		req->hdr.type = XS_ERROR;
		for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
			if (xsd_errors[i].errnum == rc)
				len = (uint32_t)sprintf(reply, "%s", xsd_errors[i].errstring) + 1;
	}
	req->hdr.len = len;
	memcpy(req->payload, reply, len);
}

/* Takes what is there, or a guest as Linux would send no further event. */
static bool serve_ring(unsigned int domid)
{
	struct domain *d = &domains[domid];
	uint32_t want = (uint32_t)sizeof(d->in.hdr);
	uint32_t there = d->page ? d->page->req_prod - d->page->req_cons : 0;

	if (!there)
		return false;
	__sync_synchronize();
	if (d->have >= want)
		want += d->in.hdr.len;
	if (there > want - d->have)
		there = want - d->have;
	ring_copy(d->page->req, d->page->req_cons, (char *)&d->in + d->have, there, true);
	d->page->req_cons += there;
	d->have += there;
	if (d->have < sizeof(d->in.hdr) || d->have < sizeof(d->in.hdr) + d->in.hdr.len)
		return true;
	d->have = 0;
	answer(domid, &d->in);
	send_ring(d, &d->in);
	return true;
}

static bool serve_socket(int fd)
{
	struct request req;

	if (recv(fd, &req.hdr, sizeof(req.hdr), MSG_WAITALL) != sizeof(req.hdr) ||
	    (req.hdr.len && recv(fd, req.payload, req.hdr.len, MSG_WAITALL) != req.hdr.len))
		return false;
	answer(0, &req);
	return send(fd, &req, sizeof(req.hdr) + req.hdr.len, MSG_NOSIGNAL) > 0;
}

static int listen_at(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&un, sizeof(un)) || chmod(path, 0660) || listen(fd, 1))
		err(1, "%s", path);
	return fd;
}

static void serve(struct pollfd fds[], nfds_t *nr)
{
	if (fds[0].revents && *nr < CLIENTS + 2)
		fds[(*nr)++] = (struct pollfd){ accept(fds[0].fd, NULL, NULL), POLLIN, 0 };
	if (fds[1].revents) {
		int port = xenevtchn_pending(xce);

		if (port == -1 || xenevtchn_unmask(xce, (evtchn_port_t)port) == -1)
			err(1, "event channels");
	}
	for (nfds_t i = 2; i < *nr; i++)
		if (fds[i].revents && !serve_socket(fds[i].fd)) {
			close(fds[i].fd);
			fds[i--] = fds[--*nr];
		}
	for (unsigned int domid = 0; domid < DOMIDS; domid++)
		while (serve_ring(domid))
			;
}

int main(void)
{
	const char *path = getenv("XENSTORED_PATH");
	struct pollfd fds[CLIENTS + 2];
	nfds_t nr = 2;

	setvbuf(stdout, NULL, _IOLBF, 0);
	xapi = !strcmp(program_invocation_short_name, "oxenstored");
	offered = (unsigned int)atoi(getenv("FEATURES"));
	for (unsigned int domid = 0; domid < DOMIDS; domid++)
		domains[domid].features = offered;
	fds[0] = (struct pollfd){ listen_at(path ?: "/run/xenstored/socket"), POLLIN, 0 };
	xgt = xengnttab_open(NULL, 0);
	xce = xenevtchn_open(NULL, 0);
	if (!xgt || !xce || xengnttab_set_max_grants(xgt, DOMID_FIRST_RESERVED) ||
	    xenevtchn_bind_virq(xce, VIRQ_DOM_EXC) < 0)
		err(1, "Xen");
	init_domains();
	fds[1] = (struct pollfd){ xenevtchn_fd(xce), POLLIN, 0 };
	while (poll(fds, nr, -1) > 0)
		serve(fds, &nr);
	return 1;
}
