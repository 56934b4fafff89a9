/* SPDX-License-Identifier: MIT */
/*
 * sock_world - two sockets of a slot, what their far ends say and hear, and a process that moves
 * octets between them as a session does, without one. A kernel that takes less than it is given.
 *
 * For one program, test_sock_kill.c: it defines splice() and writev().
 */
#ifndef XSPROXY_TESTS_UNIT_SOCK_WORLD_H
#define XSPROXY_TESTS_UNIT_SOCK_WORLD_H

#include <event2/event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "proxy/session/ledger.h"
#include "tests/unit/kept_bed.h"

#define SLOT   3
#define COOKIE 77
#define SAID   9000   /* that each far end says, at most */
#define HEARD  400000 /* what a socket was full of among it */
#define HALF   (1 << 29)
#define POINTS 500

/* What the kernel does of what it is asked; 0: all */
static struct {
	size_t splice, writev;
	int errors; /* so often there is no memory */
} at_most;

ssize_t splice(int in, off64_t *off_in, int out, off64_t *off_out, size_t len, unsigned int flags)
{
	if (at_most.errors) {
		at_most.errors--;
		errno = ENOMEM;
		return -1;
	}
	if (at_most.splice && len > at_most.splice)
		len = at_most.splice;
	return syscall(SYS_splice, in, off_in, out, off_out, len, flags);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
	struct iovec less = iov[0];

	if (!at_most.writev || less.iov_len <= at_most.writev)
		return syscall(SYS_writev, fd, iov, count);
	less.iov_len = at_most.writev;
	return syscall(SYS_writev, fd, &less, 1);
}

/* What there is when the one that is to be killed begins */
struct scene {
	const char *name;
	uint32_t start;		    /* all indexes */
	uint32_t said[SLOT_SIDES];  /* octets that the far ends have said */
	uint32_t waits[SLOT_SIDES]; /* that wait in the queue to the far end already */
	bool full[SLOT_SIDES];	    /* nothing more goes into the socket */
	bool gone[SLOT_SIDES];	    /* the far end is closed */
	bool rearm;		    /* the kernel's counter is to be set anew */
	size_t splice, writev;
	int errors;
	int turns;
};

struct world {
	struct keeper keeper;
	struct ends ends;
	struct slots *slots;
	struct sock socks[SLOT_SIDES];
	uint32_t filled[SLOT_SIDES]; /* what the socket was full of */
	uint8_t heard[SLOT_SIDES][HEARD];
	uint32_t heard_len[SLOT_SIDES];
};

static uint8_t octet(int side, uint32_t i)
{
	return (uint8_t)(side * 101 + i * 7 + (i >> 8) * 3);
}

/* --- the one that serves them */

static void moved(void *owner)
{
	(void)owner;
}

static struct ledger_place place_of(struct slots *slots)
{
	return (struct ledger_place){ .ledger = slots_ledger(slots, SLOT),
				      .ledgers = slots_ledgers(slots) };
}

/* As a session does: octets, then a commit that takes them here and puts them there. */
static void relay(const struct ledger_place *place, struct sock *from, struct sock *to)
{
	struct endpoint in = sock_endpoint(from), out = sock_endpoint(to);
	uint8_t octets[SOCK_QUEUE];
	struct commit commit;
	uint32_t n;

	if (endpoint_begin(&in) || endpoint_begin(&out))
		_exit(10);
	n = ring_used(&in.in_view);
	if (n > ring_room(&out.out, &out.out_view))
		n = ring_room(&out.out, &out.out_view);
	if (!n)
		return;
	ring_read(&in.in, in.in_view.cons, octets, n);
	ring_write(&out.out, out.out_view.prod, octets, n);
	commit_begin(&commit, place);
	endpoint_consume(&in, &commit, n);
	endpoint_produce(&out, &commit, n);
	commit_end(&commit);
}

static void readable(struct sock *sock)
{
	if (!sock->eof)
		event_get_callback(sock->read_event)(sock->fd, EV_READ, sock);
}

static void turn(const struct ledger_place *place, struct sock socks[SLOT_SIDES])
{
	for (int side = 0; side < SLOT_SIDES; side++)
		readable(&socks[side]);
	relay(place, &socks[SLOT_CLIENT], &socks[SLOT_UPSTREAM]);
	relay(place, &socks[SLOT_UPSTREAM], &socks[SLOT_CLIENT]);
	for (int side = 0; side < SLOT_SIDES; side++)
		sock_endpoint(&socks[side]).kick(&socks[side]);
}

static void open_socks(struct sock socks[SLOT_SIDES], const int fds[SLOT_SIDES])
{
	struct event_base *base = event_base_new();

	for (int side = 0; side < SLOT_SIDES; side++) {
		socks[side].moved = moved;
		socks[side].kept = true;
		if (sock_open(&socks[side], base, fds[side]))
			_exit(11);
	}
}

/* The next process: takes up what there is, and goes on until nothing moves. */
static void __attribute__((noreturn)) succeed(struct world *w, int turns)
{
	struct sock socks[SLOT_SIDES] = { 0 };
	struct ledger_place place;
	struct slots *slots;
	int err;

	if (slots_new(&slots, &w->keeper))
		_exit(1);
	err = slots_reopen(slots, SLOT, socks, w->ends.near, COOKIE, false);
	if (err)
		_exit(2);
	place = place_of(slots);
	if (ledger_recover(&place))
		_exit(3);
	if (!turns)
		_exit(0);
	open_socks(socks, w->ends.near);
	while (turns--)
		turn(&place, socks);
	_exit(0);
}

/* --- the world around it */

static void fill_up(struct world *w, int side)
{
	uint8_t octets[512] = { 0 };
	ssize_t n;

	while ((n = send(w->ends.near[side], octets, sizeof(octets), 0)) > 0)
		w->filled[side] += (uint32_t)n;
}

/* What waits was said before what is said now. */
static void say_all(struct world *w, const struct scene *scene, int side)
{
	uint32_t already = scene->waits[!side];
	uint8_t octets[SAID];

	for (uint32_t i = 0; i < scene->said[side]; i++)
		octets[i] = octet(side, already + i);
	if (scene->said[side])
		assert_int_equal(send(w->ends.far[side], octets, scene->said[side], MSG_NOSIGNAL),
				 scene->said[side]);
	for (uint32_t i = 0; i < already; i++)
		w->socks[!side].out[(scene->start + i) % SOCK_QUEUE] = octet(side, i);
	atomic_store(&w->socks[!side].words->out_prod, scene->start + already);
}

/* As if it had read half of what the kernel can count. */
static void let_rearm(struct sock *sock, int fd)
{
	const int off = HALF - 1;

	atomic_store(&sock->words->in_base, word_get(&sock->words->in_prod) - HALF - 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)), 0);
}

static void world_open(struct world *w, const struct scene *scene)
{
	memset(w, 0, sizeof(*w));
	w->keeper = (struct keeper)KEEPER_NULL;
	ends_open(&w->ends);
	assert_int_equal(slots_new(&w->slots, &w->keeper), 0);
	assert_int_equal(slots_open(w->slots, SLOT, w->socks, COOKIE), 0);
	for (int side = 0; side < SLOT_SIDES; side++) {
		struct ledger_sock *words = w->socks[side].words;

		words->in_prod = words->in_cons = words->out_prod = words->out_cons = scene->start;
		w->socks[side].fd = w->ends.near[side];
		assert_true(sock_keep(&w->socks[side]));
	}
	for (int side = 0; side < SLOT_SIDES; side++) {
		say_all(w, scene, side);
		if (scene->rearm)
			let_rearm(&w->socks[side], w->ends.near[side]);
		if (scene->full[side])
			fill_up(w, side);
		if (scene->gone[side]) {
			close(w->ends.far[side]);
			w->ends.far[side] = -1;
		}
	}
	slots_ledger(w->slots, SLOT)->more.kept = 1;
}

static void world_close(struct world *w)
{
	slots_free(w->slots);
	fake_keeper_end(&w->keeper);
	ends_close(&w->ends);
}

static void hear(struct world *w)
{
	for (int side = 0; side < SLOT_SIDES; side++) {
		ssize_t n;

		do {
			n = w->ends.far[side] < 0
				    ? 0
				    : recv(w->ends.far[side], w->heard[side] + w->heard_len[side],
					   HEARD - w->heard_len[side], MSG_DONTWAIT);
			w->heard_len[side] += n > 0 ? (uint32_t)n : 0;
		} while (n > 0);
	}
}

static void assert_each_once(struct world *w, const struct scene *scene)
{
	for (int side = 0; side < SLOT_SIDES; side++) {
		uint32_t all = scene->waits[side] + scene->said[!side], at = w->filled[side];

		if (scene->gone[side])
			continue;
		assert_int_equal(w->heard_len[side], at + all);
		for (uint32_t i = 0; i < all; i++)
			if (w->heard[side][at + i] != octet(!side, i))
				fail_msg("octet %u of %u to side %d", i, all, side);
	}
}

#endif
