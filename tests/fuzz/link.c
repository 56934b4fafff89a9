// SPDX-License-Identifier: MIT
/*
 * The link between the bridge and xsproxyd, in both directions: packets of any size, with any
 * number of descriptors, of any type and order, from a peer that is not what it should be.
 *
 * The first octet of an input chooses who listens: link_recv() alone; xsproxyd, which maps, binds,
 * unbinds and unmaps domains as it is told (Xen is a page and a counter of ports); or the bridge,
 * which asks and must go on whatever it is answered. No descriptor is ever lost.
 *
 * bridge/owner.c and proxy/host/upstream.c are compiled in here, so that a connection needs no
 * listener.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "bridge/owner.c"

#include "proxy/host/upstream.c"

#include "link/start.h"
#include "proxy/loop.h"
#include "proxy/mirror/follow.h"
#include "proxy/toolstack/toolstack.h"
#include "ring/xen.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/old_arena.h"

#define PACKET_MAX   64
#define FDS_MAX	     5
#define PACKETS_MAX  40
#define DOMIDS_KNOWN 4

static struct daemon the_daemon;
static struct rings new_rings; /* xenstored's */
static struct memory old;      /* of a xenstored with the bridge of 0.1 */
static struct ledgers kept;    /* what the bridge keeps */
static int other_fd;	       /* a descriptor of something else */

/* --- Xen, and what the bridge needs of the rest of itself */

static struct xenstore_domain_interface *pages[DOMIDS_KNOWN];
static int xen_wake = -1, xen_errors;

int __wrap_xen_open(struct xen **out);
struct xen *__wrap_xen_free(struct xen *xen);
int __wrap_xen_fd(struct xen *xen);
int __wrap_xen_map(struct xen *xen, uint32_t domid, struct xenstore_domain_interface **page);
void __wrap_xen_unmap(struct xen *xen, uint32_t domid, struct xenstore_domain_interface *page);
int __wrap_xen_bind(struct xen *xen, uint32_t domid, uint32_t remote_port);
bool __wrap_xen_exists(struct xen *xen, uint32_t domid);
void __wrap_xen_unbind(struct xen *xen, uint32_t port);
void __wrap_xen_notify(struct xen *xen, uint32_t port);
void __wrap_clients_upstream_up(struct clients *clients);

int __wrap_xen_open(struct xen **out)
{
	*out = (struct xen *)&xen_wake;
	return 0;
}

struct xen *__wrap_xen_free(struct xen *xen)
{
	(void)xen;
	return NULL;
}

int __wrap_xen_fd(struct xen *xen)
{
	(void)xen;
	return xen_wake;
}

int __wrap_xen_map(struct xen *xen, uint32_t domid, struct xenstore_domain_interface **page)
{
	(void)xen;
	if (domid >= DOMIDS_KNOWN || (xen_errors & 1))
		return -ENOENT;
	if (!pages[domid])
		pages[domid] = calloc(1, sizeof(**page));
	*page = pages[domid];
	return 0;
}

/* Freed, so that ASan sees whoever uses it still. */
void __wrap_xen_unmap(struct xen *xen, uint32_t domid, struct xenstore_domain_interface *page)
{
	(void)xen;
	CHECK(domid < DOMIDS_KNOWN && pages[domid] == page);
	free(page);
	pages[domid] = NULL;
}

int __wrap_xen_bind(struct xen *xen, uint32_t domid, uint32_t remote_port)
{
	(void)xen;
	(void)remote_port;
	CHECK(domid < DOMIDS_KNOWN && pages[domid]);
	return xen_errors & 2 ? -EINVAL : (int)(100 + domid);
}

bool __wrap_xen_exists(struct xen *xen, uint32_t domid)
{
	(void)xen;
	return domid < DOMIDS_KNOWN;
}

void __wrap_xen_unbind(struct xen *xen, uint32_t port)
{
	(void)xen;
	CHECK(port - 100 < DOMIDS_KNOWN);
}

void __wrap_xen_notify(struct xen *xen, uint32_t port)
{
	(void)xen;
	CHECK(port - 100 < DOMIDS_KNOWN);
}

void __wrap_clients_upstream_up(struct clients *clients)
{
	(void)clients;
}

void bridge_log(int priority, const char *fmt, ...)
{
	(void)priority;
	(void)fmt;
}

/* The peer is this process. */
int fence_open(int sock)
{
	(void)sock;
	return -1;
}

bool fence_kill(int pidfd)
{
	CHECK(pidfd == -1);
	return false;
}

void doorbell_wake_stored(struct bridge *b)
{
	(void)b;
}

/* --- packets */

/* What belongs to a packet. */
static int memory_fd(const uint8_t *packet)
{
	struct link_msg msg;

	memcpy(&msg, packet, sizeof(msg));
	if (msg.type != LINK_HELLO)
		return kept.arena.fd;
	return msg.value == LINK_VERSION_OLD ? old.rings.arena.fd : new_rings.arena.fd;
}

/* One packet: length, how many descriptors, which, octets. */
static bool send_packet(struct tape *tape, int sock)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * FDS_MAX)];
		struct cmsghdr align;
	} control = { 0 };
	uint8_t packet[PACKET_MAX] = { 0 };
	size_t len = tape_u8(tape), got, count;
	uint8_t what = tape_u8(tape);
	const uint8_t *octets;
	struct iovec iov = { .iov_base = packet };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	/* Mostly a packet of the right size. */
	iov.iov_len = len < 0x80 ? sizeof(struct link_msg) : len % PACKET_MAX;
	got = tape_take(tape, iov.iov_len, &octets);
	memcpy(packet, octets, got);
	count = what % (FDS_MAX + 1);
	if (count) {
		hdr.msg_control = control.buf;
		hdr.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * count);
		for (size_t i = 0; i < count; i++)
			((int *)CMSG_DATA(cmsg))[i] =
				(what & (0x10u << i)) ? other_fd : memory_fd(packet);
	}
	return sendmsg(sock, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* --- link_recv() */

/* Whether a message that was taken may have brought as many as there can be. */
static bool may_bring_all(uint32_t type)
{
	return type == LINK_HELLO || type == START_RESTORE || type == START_LEAVE ||
	       type == START_SOCKETS;
}

static void listen_alone(struct tape *tape, const int pair[2])
{
	int fds[LINK_FDS_MAX], err;
	struct link_msg msg;

	for (int n = 0; tape_left(tape) && n < PACKETS_MAX; n++) {
		if (!send_packet(tape, pair[0]))
			break;
		err = link_recv(pair[1], &msg, fds);
		/* An empty packet looks the same as the end. */
		CHECK(!err || err == -EPROTO || err == -ECONNRESET);
		CHECK(!err || fds[0] < 0);
		CHECK(fds[2] < 0 || may_bring_all(msg.type));
		CHECK(err || msg.type != LINK_HELLO || fds[2] >= 0);
		link_close_fds(fds);
		CHECK(link_recv(pair[1], &msg, fds) == -EAGAIN);
	}
}

/* --- xsproxyd */

/* Either xenstored's. */
static void set_attach(struct tape *tape, const struct rings *rings)
{
	uint32_t domid = tape_u8(tape) % (DOMIDS_KNOWN + 1);
	struct rings_attach *attach = rings_attach(rings, domid);
	uint8_t what = tape_u8(tape);

	atomic_store(&attach->map_gen, what & 7);
	atomic_store(&attach->bind_gen, what >> 3 & 7);
	atomic_store(&attach->remote_port, what);
	if (what & 0x80)
		rings_header(rings)->mapped[0] |= 1ULL << domid;
	else
		rings_header(rings)->mapped[0] &= ~(1ULL << domid);
}

static void connect_proxy(struct upstream *up, int sock)
{
	up->sock = sock;
	up->sock_event = event_new(the_daemon.base, sock, EV_READ | EV_PERSIST, sock_cb, up);
	CHECK(up->sock_event && !event_add(up->sock_event, NULL));
}

static void memory_clean(void)
{
	struct rings_header *header = rings_header(&new_rings),
			    *old_header = rings_header(&old.rings);

	memset((void *)header->mapped, 0, sizeof(header->mapped));
	memset((void *)old_header->mapped, 0, sizeof(old_header->mapped));
	for (uint32_t domid = 0; domid <= DOMIDS_KNOWN; domid++) {
		memset(rings_ring(&new_rings, domid), 0, ARENA_PAGE);
		memset(rings_attach(&new_rings, domid), 0, RINGS_ATTACH_SIZE);
		memset(rings_ring(&old.rings, domid), 0, ARENA_PAGE);
		memset(rings_attach(&old.rings, domid), 0, ARENA_PAGE);
		memset(ledgers_ledger(&kept, domid), 0, ARENA_PAGE);
	}
}

/* --- an exchange of xenstored: another bridge with the same rings may come */

static void nothing(void *arg)
{
	(void)arg;
}

static bool is_expected(void *arg)
{
	(void)arg;
	return true;
}

static const struct upstream_watcher exchange = { nothing, is_expected, nothing };

/* Return: whether there is a connection; a new one, if another bridge is to come. */
static bool is_connected(struct upstream *up, const int pair[2])
{
	if (up->sock < 0 && up->waits)
		connect_proxy(up, dup(pair[1]));
	return up->sock >= 0;
}

static void listen_as_proxy(struct tape *tape, const int pair[2])
{
	struct upstream *up;
	struct link_msg ack;
	uint8_t what;

	memory_clean();
	what = tape_u8(tape);
	xen_errors = what & 3;
	CHECK(!domains_new(&the_daemon.domains, &the_daemon));
	CHECK(!upstream_new(&up, &the_daemon));
	the_daemon.upstream = up;
	evtimer_del(up->timer);
	if (what & 4)
		upstream_watch(up, &exchange, NULL);
	connect_proxy(up, dup(pair[1]));
	for (int n = 0; tape_left(tape) && n < PACKETS_MAX && is_connected(up, pair); n++) {
		if (tape_u8(tape) & 1)
			set_attach(tape, tape_u8(tape) & 1 ? &new_rings : &old.rings);
		if (!send_packet(tape, pair[0]))
			break;
		event_base_loop(the_daemon.base, EVLOOP_NONBLOCK);
		while (recv(pair[0], &ack, sizeof(ack), MSG_DONTWAIT) > 0)
			CHECK(ack.type == LINK_FETCH || ack.type == LINK_KEEP ||
			      (ack.type == LINK_ACK && ack.value <= 0 && ack.value > -4096));
	}
	upstream_watch(up, NULL, NULL);
	upstream_lost(up, "over");
	for (uint32_t i = 0; i < DOMIDS_KNOWN; i++)
		CHECK(!pages[i]);
	the_daemon.domains = domains_free(the_daemon.domains);
	the_daemon.upstream = upstream_free(up);
}

/* --- the bridge */

static void listen_as_bridge(struct tape *tape, const int pair[2])
{
	struct bridge b = {
		.dir = "/fuzz", .owner = -1, .owner_pidfd = -1, .wake_proxy = other_fd
	};
	int fds[LINK_FDS_MAX], calls = tape_u8(tape) % 4, rc;
	struct link_msg msg;

	b.epoll = epoll_create1(EPOLL_CLOEXEC);
	b.rings = new_rings;
	b.kept = -1;
	b.wake_stored = other_fd;
	owner_welcome(&b, dup(pair[1]));
	CHECK(b.owner >= 0);
	CHECK(!link_recv(pair[0], &msg, fds));
	CHECK(msg.type == LINK_HELLO);
	link_close_fds(fds);
	/* It has all its answers before it asks, and then the end: nobody is to wait for long. */
	for (int n = 0; tape_left(tape) && n < PACKETS_MAX; n++)
		if (!send_packet(tape, pair[0]))
			break;
	shutdown(pair[0], SHUT_WR);
	while (calls--) {
		rc = owner_call(&b, LINK_MAP, 7, 0);
		CHECK(rc <= 0 && rc >= -OWNER_ERRNO_MAX);
	}
	owner_look(&b);
	CHECK(b.owner < 0); /* it spoke unasked, or has gone */
	CHECK(!owner_call(&b, LINK_BIND, 7, 1));
	if (b.kept >= 0)
		close(b.kept);
	close(b.epoll);
}

static void begin(void)
{
	struct arena arena;

	log_set_level(-1);
	TAILQ_INIT(&the_daemon.ops);
	config_defaults(&the_daemon.config);
	/* There is no bridge to connect to, should the time come. */
	strcpy(the_daemon.config.run_dir, "/dev/null");
	the_daemon.base = event_base_new();
	the_daemon.hooks = &toolstack_hooks;
	CHECK(!loop_new(&the_daemon.loop, the_daemon.base, &(struct loop_hooks){ 0 }));
	CHECK(!follow_new(&the_daemon.follow));
	CHECK(!rings_create(&new_rings, RINGS_FLAVOUR_C));
	CHECK(!ledgers_create(&kept, rings_header(&new_rings)->id));
	CHECK(old_arena_create(&arena, RINGS_FLAVOUR_C));
	CHECK(!memory_open_old(&old, arena.fd));
	for (uint32_t domid = 0; domid <= DOMIDS_KNOWN; domid++) {
		CHECK(!rings_reserve(&new_rings, domid));
		CHECK(!old_arena_reserve(&arena, domid));
		CHECK(!arena_reserve(&kept.arena, ledgers_ledger_off(&kept, domid), ARENA_PAGE));
	}
	other_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	xen_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

FUZZ_BEGINS_WITH(begin)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const listeners[])(struct tape * tape,
					 const int pair[2]) = { listen_alone, listen_as_proxy,
								listen_as_bridge };
	struct tape tape = { data, data + size };
	int pair[2], free_fd = dup(other_fd);

	/* The lowest that is free; it must be so again. */
	close(free_fd);
	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair));
	listeners[tape_u8(&tape) % 3](&tape, pair);
	close(pair[0]);
	close(pair[1]);
	CHECK(fcntl(free_fd, F_GETFD) < 0);
	return 0;
}
