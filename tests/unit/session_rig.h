/* SPDX-License-Identifier: MIT */
/*
 * session_rig - one session between a scripted guest and a scripted xenstored.
 *
 * The real session, loop, pool and ledger over real memory; no Xen, no bridge. Each of the three
 * sides has the shared memory mapped at an address of its own, and rig_restart() maps xsproxyd's
 * elsewhere again, as a new process would.
 */
#ifndef XSPROXY_TESTS_UNIT_SESSION_RIG_H
#define XSPROXY_TESTS_UNIT_SESSION_RIG_H

#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/host/memory.h"
#include "proxy/host/upstream.h"
#include "proxy/loop.h"
#include "proxy/session/pending.h"
#include "proxy/session/session.h"
#include "proxy/toolstack/toolstack.h"

typedef struct xenstore_domain_interface xs_page;

struct rig {
	struct daemon daemon;
	uint32_t domid;
	int page_fd;
	struct rings stored;	/* as xenstored sees them */
	int kept;		/* the ledgers, as the bridge keeps them */
	struct memory proxy;	/* as xsproxyd sees both */
	xs_page *guest, *front; /* the guest's page, as the guest and as xsproxyd see it */
	xs_page *back;		/* the back ring, as xenstored sees it */
	struct ring guest_out, guest_in, stored_in, stored_out;
	struct pool *pool;
	struct session *s;
	uint32_t front_kicks, back_kicks;
};

/* --- queues */

static inline struct ring rig_queue(char *data, uint32_t *prod, uint32_t *cons)
{
	return (struct ring){ .data = (uint8_t *)data,
			      .size = XENSTORE_RING_SIZE,
			      .prod = (_Atomic uint32_t *)prod,
			      .cons = (_Atomic uint32_t *)cons };
}

static inline uint32_t queue_used(const struct ring *ring)
{
	return atomic_load(ring->prod) - atomic_load(ring->cons);
}

/* Put in what there is room for. */
static inline uint32_t queue_put(const struct ring *ring, const void *octets, uint32_t len)
{
	struct ring_view view;

	assert_int_equal(ring_load(ring, &view), 0);
	if (len > ring_room(ring, &view))
		len = ring_room(ring, &view);
	ring_write(ring, view.prod, octets, len);
	atomic_store(ring->prod, view.prod + len);
	return len;
}

/* Take out what there is, @len octets at most. */
static inline uint32_t queue_get(const struct ring *ring, void *octets, uint32_t len)
{
	struct ring_view view;

	assert_int_equal(ring_load(ring, &view), 0);
	if (len > ring_used(&view))
		len = ring_used(&view);
	ring_read(ring, view.cons, octets, len);
	atomic_store(ring->cons, view.cons + len);
	return len;
}

static inline void queue_put_message(const struct ring *ring, const struct message *msg)
{
	assert_int_equal(queue_put(ring, msg, message_size(&msg->hdr)), message_size(&msg->hdr));
}

/* A whole message of at most a ring's size. */
static inline void queue_get_message(const struct ring *ring, struct message *msg)
{
	assert_int_equal(queue_get(ring, &msg->hdr, MESSAGE_HEADER), MESSAGE_HEADER);
	assert_true(msg->hdr.len <= XENSTORE_PAYLOAD_MAX);
	assert_int_equal(queue_get(ring, msg->payload, msg->hdr.len), msg->hdr.len);
}

static inline struct message make_message(uint32_t type, uint32_t req_id, uint32_t tx_id,
					  const void *payload, uint32_t len)
{
	struct message msg = { .hdr = { .type = type, .req_id = req_id, .tx_id = tx_id } };

	message_set_text(&msg, payload, len);
	return msg;
}

/* --- setting up */

static inline void rig_kick_front(void *owner)
{
	((struct rig *)owner)->front_kicks++;
}

static inline void rig_kick_back(void *owner)
{
	((struct rig *)owner)->back_kicks++;
}

static inline xs_page *rig_map_page(struct rig *rig)
{
	void *page = mmap(NULL, ARENA_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, rig->page_fd, 0);

	assert_ptr_not_equal(page, MAP_FAILED);
	return page;
}

/* As upstream.c does with what the bridge gives it. */
static inline void rig_open_memory(struct rig *rig)
{
	uint64_t off;
	bool made;

	rig->proxy = (struct memory)MEMORY_NULL;
	assert_int_equal(rings_open(&rig->proxy.rings, dup(rig->stored.arena.fd)), 0);
	assert_int_equal(memory_adopt(&rig->proxy, rig->kept < 0 ? -1 : dup(rig->kept), &made), 0);
	assert_int_equal(made, rig->kept < 0);
	if (made)
		rig->kept = dup(rig->proxy.ledgers.arena.fd);
	off = ledgers_ledger_off(&rig->proxy.ledgers, rig->domid);
	assert_int_equal(arena_reserve(&rig->proxy.ledgers.arena, off, ARENA_PAGE), 0);
}

static inline struct session_params rig_params(struct rig *rig)
{
	xs_page *back = rings_ring(&rig->proxy.rings, rig->domid);

	return (struct session_params){
		.daemon = &rig->daemon,
		.domid = rig->domid,
		.front = { .in = rig_queue(rig->front->req, &rig->front->req_prod,
					   &rig->front->req_cons),
			   .out = rig_queue(rig->front->rsp, &rig->front->rsp_prod,
					    &rig->front->rsp_cons),
			   .kick = rig_kick_front,
			   .owner = rig },
		.back = { .in = rig_queue(back->rsp, &back->rsp_prod, &back->rsp_cons),
			  .out = rig_queue(back->req, &back->req_prod, &back->req_cons),
			  .kick = rig_kick_back,
			  .owner = rig },
		.place = { .ledger = ledgers_ledger(&rig->proxy.ledgers, rig->domid),
			   .rings = &rig->proxy.rings,
			   .ledgers = &rig->proxy.ledgers,
			   .front_page = rig->front,
			   .back_page = back },
		.attach = rings_attach(&rig->proxy.rings, rig->domid),
		.pool = rig->pool,
		.hooks = &toolstack_hooks,
		.owner = rig,
	};
}

static inline int rig_session_new(struct rig *rig, bool recovered)
{
	struct session_params params = rig_params(rig);
	int err;

	if (!recovered)
		ledger_format(params.place.ledger, params.place.ledgers, 1);
	err = session_new(&rig->s, &params, recovered);
	if (!err && recovered)
		toolstack_recover(rig->s);
	return err;
}

/* @start: where all indexes begin, so that they may pass 2^32 */
static inline void rig_open(struct rig *rig, uint32_t domid, uint32_t start)
{
	*rig = (struct rig){ .domid = domid };
	log_set_level(-1); /* what guests do wrong here is meant */
	TAILQ_INIT(&rig->daemon.ops);
	config_defaults(&rig->daemon.config);
	rig->daemon.base = event_base_new();
	assert_int_equal(loop_new(&rig->daemon.loop, rig->daemon.base, &(struct loop_hooks){ 0 }),
			 0);
	assert_int_equal(domains_new(&rig->daemon.domains, &rig->daemon), 0);
	assert_int_equal(upstream_new(&rig->daemon.upstream, &rig->daemon), 0);

	assert_int_equal(rings_create(&rig->stored, RINGS_FLAVOUR_C), 0);
	assert_int_equal(rings_reserve(&rig->stored, domid), 0);
	rig->kept = -1;
	rig_open_memory(rig);
	rig->page_fd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(rig->page_fd, ARENA_PAGE), 0);
	rig->guest = rig_map_page(rig);
	rig->front = rig_map_page(rig);
	rig->back = rings_ring(&rig->stored, domid);
	rig->guest_out = rig_queue(rig->guest->req, &rig->guest->req_prod, &rig->guest->req_cons);
	rig->guest_in = rig_queue(rig->guest->rsp, &rig->guest->rsp_prod, &rig->guest->rsp_cons);
	rig->stored_in = rig_queue(rig->back->req, &rig->back->req_prod, &rig->back->req_cons);
	rig->stored_out = rig_queue(rig->back->rsp, &rig->back->rsp_prod, &rig->back->rsp_cons);
	for (int i = 0; i < 2; i++) {
		xs_page *page = i ? rig->guest : rig->back;

		page->req_cons = page->req_prod = page->rsp_cons = page->rsp_prod = start;
	}
	assert_int_equal(pool_new_shared(&rig->pool, &rig->proxy.ledgers), 0);
	assert_int_equal(rig_session_new(rig, false), 0);
}

/* Extents that are in use. The pool can only be freed afterwards. */
static inline uint32_t rig_pages(struct rig *rig)
{
	uint32_t n = 0;

	for (uint32_t page = 1; page < POOL_SHARED; page++)
		n += pool_claim(rig->pool, page) != 0;
	return n;
}

static inline void rig_close(struct rig *rig)
{
	if (rig->s) {
		session_free(rig->s, true);
		assert_int_equal(rig_pages(rig), 0);
	}
	pool_free(rig->pool);
	upstream_free(rig->daemon.upstream);
	domains_free(rig->daemon.domains);
	loop_free(rig->daemon.loop);
	event_base_free(rig->daemon.base);
	munmap(rig->guest, ARENA_PAGE);
	munmap(rig->front, ARENA_PAGE);
	close(rig->page_fd);
	memory_close(&rig->proxy);
	close(rig->kept);
	rings_close(&rig->stored);
}

/* For cmocka: a guest whose indexes pass 2^32 soon. */
static inline int rig_setup(void **state)
{
	static struct rig rig;

	rig_open(&rig, 7, 0u - 700);
	*state = &rig;
	return 0;
}

static inline int rig_teardown(void **state)
{
	rig_close(*state);
	return 0;
}

/* The process is gone with all it had in memory. What it has begun is as it is. */
static inline void rig_die(struct rig *rig)
{
	session_free(rig->s, false);
	rig->s = NULL;
	rig->pool = pool_free(rig->pool);
}

/* Another one takes up the session. Return: what session_new() says. */
static inline int rig_revive(struct rig *rig)
{
	struct memory before = rig->proxy;
	xs_page *front = rig_map_page(rig);

	/* The old mappings still exist, so the new ones lie elsewhere. */
	rig_open_memory(rig);
	assert_ptr_not_equal(before.rings.arena.base, rig->proxy.rings.arena.base);
	assert_ptr_not_equal(before.ledgers.arena.base, rig->proxy.ledgers.arena.base);
	memory_close(&before);
	munmap(rig->front, ARENA_PAGE);
	rig->front = front;
	assert_int_equal(pool_new_shared(&rig->pool, &rig->proxy.ledgers), 0);
	return rig_session_new(rig, true);
}

static inline void rig_restart(struct rig *rig)
{
	rig_die(rig);
	assert_int_equal(rig_revive(rig), 0);
}

/* --- running */

static inline void rig_turn(struct rig *rig)
{
	loop_forget(rig->daemon.loop, &rig->s->task);
	session_run(rig->s);
}

/* A wake-up, and all the turns that the session asks for. */
static inline void rig_run(struct rig *rig)
{
	int n = 0;

	do {
		rig_turn(rig);
		if (++n > 1000)
			fail_msg("the session never comes to rest");
	} while (rig->s->task.queued);
}

/* --- the guest and xenstored, message by message */

static inline void guest_sends(struct rig *rig, uint32_t type, uint32_t req_id, uint32_t tx_id,
			       const void *payload, uint32_t len)
{
	struct message msg = make_message(type, req_id, tx_id, payload, len);

	queue_put_message(&rig->guest_out, &msg);
}

static inline void stored_sends(struct rig *rig, uint32_t type, uint32_t req_id, uint32_t tx_id,
				const void *payload, uint32_t len)
{
	struct message msg = make_message(type, req_id, tx_id, payload, len);

	queue_put_message(&rig->stored_out, &msg);
}

static inline void assert_message(const struct message *msg, uint32_t type, uint32_t tx_id,
				  const void *payload, uint32_t len)
{
	assert_int_equal(msg->hdr.type, type);
	assert_int_equal(msg->hdr.tx_id, tx_id);
	assert_int_equal(msg->hdr.len, len);
	assert_memory_equal(msg->payload, payload, len);
}

/* Return: the request's id. */
static inline uint32_t stored_gets(struct rig *rig, uint32_t type, uint32_t tx_id,
				   const void *payload, uint32_t len)
{
	struct message msg;

	queue_get_message(&rig->stored_in, &msg);
	assert_message(&msg, type, tx_id, payload, len);
	assert_true(msg.hdr.req_id > 0 && msg.hdr.req_id < 1u << 30);
	return msg.hdr.req_id;
}

static inline void guest_gets(struct rig *rig, uint32_t type, uint32_t req_id, uint32_t tx_id,
			      const void *payload, uint32_t len)
{
	struct message msg;

	queue_get_message(&rig->guest_in, &msg);
	assert_message(&msg, type, tx_id, payload, len);
	assert_int_equal(msg.hdr.req_id, req_id);
}

static inline void assert_stored_idle(struct rig *rig)
{
	assert_int_equal(queue_used(&rig->stored_in), 0);
}

static inline void assert_guest_idle(struct rig *rig)
{
	assert_int_equal(queue_used(&rig->guest_in), 0);
}

/* Octets that tell their place. */
static inline void fill(uint8_t *octets, uint32_t len, uint32_t seed)
{
	for (uint32_t i = 0; i < len; i++)
		octets[i] = (uint8_t)(seed + i * 7 + (i >> 7));
}

/* Reads what there is in the queue until @len octets are there. */
static inline void drain(struct rig *rig, const struct ring *ring, void *to, uint32_t len,
			 uint32_t piece)
{
	uint32_t n = 0, idle = 0;

	while (n < len) {
		uint32_t got =
			queue_get(ring, (uint8_t *)to + n, piece < len - n ? piece : len - n);

		n += got;
		idle = got ? 0 : idle + 1;
		if (idle > 3)
			fail_msg("stuck at octet %u of %u", n, len);
		rig_run(rig);
	}
}

#define GUEST_SENDS(rig, type, req_id, tx_id, text) \
	guest_sends(rig, type, req_id, tx_id, text, sizeof(text))
#define GUEST_GETS(rig, type, req_id, tx_id, text) \
	guest_gets(rig, type, req_id, tx_id, text, sizeof(text))
#define STORED_SENDS(rig, type, req_id, tx_id, text) \
	stored_sends(rig, type, req_id, tx_id, text, sizeof(text))
#define STORED_GETS(rig, type, tx_id, text) stored_gets(rig, type, tx_id, text, sizeof(text))

/* A request of the guest, its way up, the answer, and its way down. */
static inline void rig_exchange(struct rig *rig, uint32_t type, uint32_t tx_id, const char *payload,
				uint32_t len, uint32_t reply_type, const char *reply)
{
	struct message msg;

	guest_sends(rig, type, 77, tx_id, payload, len);
	rig_run(rig);
	queue_get_message(&rig->stored_in, &msg);
	assert_int_equal(msg.hdr.type, type);
	stored_sends(rig, reply_type, msg.hdr.req_id, msg.hdr.tx_id, reply,
		     (uint32_t)strlen(reply) + 1);
	rig_run(rig);
	guest_gets(rig, reply_type, 77, tx_id, reply, (uint32_t)strlen(reply) + 1);
}

#endif
