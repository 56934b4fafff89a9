/* SPDX-License-Identifier: MIT */
/*
 * world - two guests behind one xsproxyd: session.c and upstream.c play tricks on the connection of
 * the first one, the second one must never notice.
 *
 * The real sessions, loop, pool, ledgers and toolstack requests over real memory. Every side has
 * the shared memory mapped at an address of its own; a killed xsproxyd's successor has it
 * elsewhere. proxy/session/ledger.c and ring/ring.c are compiled in here, so that somebody may act
 * before each of their stores, and before and after each of their reads of shared memory, and so
 * that the process may be killed before a store. proxy/session/pool.c is, so that lost extents can
 * be counted, and proxy/observe/trace.c, so that what a trace of it all says can be looked at when
 * an input ends.
 */
#ifndef XSPROXY_TESTS_FUZZ_WORLD_H
#define XSPROXY_TESTS_FUZZ_WORLD_H

#include <errno.h>
#include <event2/event.h>
#include <sys/mman.h>
#include <unistd.h>

#include "link/rings.h"
#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/host/memory.h"
#include "proxy/host/upstream.h"
#include "proxy/loop.h"
#include "proxy/mirror/follow.h"
#include "proxy/observe/tap.h"
#include "proxy/session/afresh.h"
#include "proxy/session/pending.h"
#include "proxy/session/session.h"
#include "proxy/toolstack/op.h"
#include "proxy/toolstack/toolstack.h"
#include "ring/ring.h"
#include "tests/fuzz/fuzz.h"

#include "tests/unit/kill_point.h"

/*
 * A pool that is searched and set up quickly, but is larger than what an input can fill, and whose
 * memory costs no system calls. Its searches are no coverage that is worth having.
 */
#define POOL_EXTENTS 2048u

static uint64_t input_number;
static uint64_t extent_input[POOL_EXTENTS]; /* the input that used it last; 0: none, no memory */

/* The same for every input, whatever ran before: an extent that it uses anew is all zeroes. */
static int extent_reserve(const struct arena *arena, uint64_t off, uint64_t len)
{
	uint64_t *last = &extent_input[(off - LEDGERS_EXTENT_OFF) / ARENA_PAGE];
	int err = *last ? 0 : arena_reserve(arena, off, len);

	if (err)
		return err;
	if (*last != input_number)
		memset(arena->base + off, 0, ARENA_PAGE);
	*last = input_number;
	return 0;
}

static void extent_discard(const struct arena *arena, uint64_t off)
{
	memset(arena->base + off, 0, ARENA_PAGE);
}

#include "proxy/session/pool.h"
#pragma push_macro("POOL_SHARED")
#undef POOL_SHARED
#define POOL_SHARED   POOL_EXTENTS
#define arena_reserve extent_reserve
#define arena_discard extent_discard
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)
#include "proxy/session/pool.c"
#pragma clang attribute pop
#undef arena_discard
#undef arena_reserve
#pragma pop_macro("POOL_SHARED")

/* proxy/control/control.c, which is compiled in together with it, has a put() of its own. */
#define put   trace_put
#define flush trace_flush
#include "proxy/observe/trace.c"
#undef flush
#undef put

static inline uint32_t visited_load(_Atomic uint32_t *word)
{
	if (kill_point_visit)
		kill_point_visit(kill_point_arg);
	return atomic_load(word);
}

static inline void visited_copy(void *to, const void *from, size_t len)
{
	if (kill_point_visit)
		kill_point_visit(kill_point_arg);
	memmove(to, from, len);
	if (kill_point_visit)
		kill_point_visit(kill_point_arg);
}

#pragma push_macro("atomic_load_explicit")
#undef atomic_load_explicit
#define atomic_load_explicit(word, order) visited_load(word)
#define memcpy(to, from, len)		  visited_copy(to, from, len)
#include "ring/ring.c"
#undef memcpy
#pragma pop_macro("atomic_load_explicit")

typedef struct xenstore_domain_interface xs_page;

#define DOMID_INNOCENT 9u /* the highest */

#define LIVES	       2 /* mappings that xsproxyds take in turns */

/* A guest, its session, and xenstored's end of it. */
struct party {
	uint32_t domid;
	int page_fd;
	xs_page *guest, *front[LIVES];
	xs_page *back; /* as xenstored sees it */
	struct ring guest_out, guest_in, stored_in, stored_out;
	struct session *s;
	uint32_t front_kicks, back_kicks;
};

struct world {
	struct daemon daemon;
	struct rings stored;
	struct memory proxy[LIVES];
	int life; /* which mappings the xsproxyd of now has */
	struct pool *pool;
	struct trace *trace;
	bool lost_extents; /* a session was started afresh: whose its extents were is not known */
	struct party hostile, innocent;
};

static struct world world;

/* --- rings */

static inline struct ring world_ring(char *data, uint32_t *prod, uint32_t *cons)
{
	return (struct ring){ .data = (uint8_t *)data,
			      .size = XENSTORE_RING_SIZE,
			      .prod = (_Atomic uint32_t *)prod,
			      .cons = (_Atomic uint32_t *)cons };
}

/* Put in what there is room for, by one's own idea of it. */
static inline uint32_t ring_put(const struct ring *ring, const void *octets, uint32_t len)
{
	struct ring_view view;

	if (ring_load(ring, &view))
		return 0;
	if (len > ring_room(ring, &view))
		len = ring_room(ring, &view);
	ring_write(ring, view.prod, octets, len);
	atomic_store(ring->prod, view.prod + len);
	return len;
}

static inline uint32_t ring_get(const struct ring *ring, void *octets, uint32_t len)
{
	struct ring_view view;

	if (ring_load(ring, &view))
		return 0;
	if (len > ring_used(&view))
		len = ring_used(&view);
	ring_read(ring, view.cons, octets, len);
	atomic_store(ring->cons, view.cons + len);
	return len;
}

/* --- what of product code is replaced by the linker: who is attached, and the memory */

struct session *__wrap_domains_session(struct domains *domains, uint32_t domid);
const struct memory *__wrap_upstream_memory(const struct upstream *up);
const char *__wrap_upstream_foreign(const struct upstream *up);
const char *__wrap_upstream_lacks(const struct upstream *up);

struct session *__wrap_domains_session(struct domains *domains, uint32_t domid)
{
	(void)domains;
	if (domid == world.hostile.domid)
		return world.hostile.s;
	/* A hostile dom0 may stop others, as it may; so it does not find them. */
	return domid == world.innocent.domid && world.hostile.domid ? world.innocent.s : NULL;
}

const struct memory *__wrap_upstream_memory(const struct upstream *up)
{
	(void)up;
	return &world.proxy[world.life];
}

const char *__wrap_upstream_foreign(const struct upstream *up)
{
	(void)up;
	return NULL;
}

const char *__wrap_upstream_lacks(const struct upstream *up)
{
	(void)up;
	return NULL;
}

/* --- sessions */

static void kick_front(void *owner)
{
	((struct party *)owner)->front_kicks++;
}

static void kick_back(void *owner)
{
	((struct party *)owner)->back_kicks++;
}

static struct session_params party_params(struct party *party)
{
	const struct memory *memory = &world.proxy[world.life];
	xs_page *front = party->front[world.life];
	xs_page *back = rings_ring(&memory->rings, party->domid);

	return (struct session_params){
		.daemon = &world.daemon,
		.domid = party->domid,
		.front = { .in = world_ring(front->req, &front->req_prod, &front->req_cons),
			   .out = world_ring(front->rsp, &front->rsp_prod, &front->rsp_cons),
			   .kick = kick_front,
			   .owner = party },
		.back = { .in = world_ring(back->rsp, &back->rsp_prod, &back->rsp_cons),
			  .out = world_ring(back->req, &back->req_prod, &back->req_cons),
			  .kick = kick_back,
			  .owner = party },
		.place = { .ledger = ledgers_ledger(&memory->ledgers, party->domid),
			   .rings = &memory->rings,
			   .ledgers = &memory->ledgers,
			   .front_page = front,
			   .back_page = back },
		.attach = rings_attach(&memory->rings, party->domid),
		.pool = world.pool,
		.hooks = &toolstack_hooks,
		.owner = party,
	};
}

static int party_session(struct party *party, bool recovered)
{
	struct session_params params = party_params(party);

	return session_new(&party->s, &params, recovered);
}

/* As a domain that xenstored has just mapped; the guest's page is as it is. */
static void party_attach(struct party *party)
{
	const struct ledgers *ledgers = &world.proxy[world.life].ledgers;

	memset(party->back, 0, sizeof(*party->back));
	ledger_format(ledgers_ledger(ledgers, party->domid), ledgers, 1);
	CHECK(!party_session(party, false));
}

/* As a ledger that cannot be trusted any more. */
static void party_attach_afresh(struct party *party, int why)
{
	struct session_params params = party_params(party);

	CHECK(!session_afresh(&party->s, &params, why));
	world.lost_extents = true;
}

static void party_detach(struct party *party, bool forget)
{
	if (!party->s)
		return;
	session_free(party->s, forget);
	party->s = NULL;
}

static void party_turn(struct party *party)
{
	loop_forget(world.daemon.loop, &party->s->task);
	session_run(party->s);
	taps_round_over(world.daemon.taps);
}

/* --- the process */

/* As small as it is, its reserves must be. */
static void pool_open(void)
{
	CHECK(!pool_new_shared(&world.pool, &world.proxy[world.life].ledgers));
	world.pool->vital = POOL_EXTENTS / 8;
	world.pool->privileged = POOL_EXTENTS / 16;
}

/* xsproxyd is gone with all it had in memory. What it has begun is as it is. */
static inline void world_die(void)
{
	kill_point_visit = NULL;
	party_detach(&world.hostile, false);
	party_detach(&world.innocent, false);
	world.pool = pool_free(world.pool);
}

/*
 * The next one takes up both. Return: what session_new() says of the hostile one's, which then is
 * started afresh, as xsproxyd does.
 */
static inline int world_revive(void)
{
	int err;

	world.life = (world.life + 1) % LIVES;
	pool_open();
	err = party_session(&world.hostile, true);
	CHECK(!err || err == -ESTALE || err == -EINVAL || err == -EBUSY);
	CHECK(!party_session(&world.innocent, true));
	if (err)
		party_attach_afresh(&world.hostile, err);
	toolstack_recover(world.hostile.s);
	toolstack_recover(world.innocent.s);
	return err;
}

/* --- the innocent: a request, its way up, the answer, its way down, nothing else */

static void innocent_exchange(uint8_t seed)
{
	struct party *p = &world.innocent;
	struct message asked = { .hdr = { .type = XS_READ, .req_id = 1000u + seed } }, got;
	uint32_t len = 1 + seed * 3u, size = MESSAGE_HEADER + len;

	memset(asked.payload, seed | 1, len - 1);
	asked.hdr.len = len;
	CHECK(ring_put(&p->guest_out, &asked, size) == size);
	party_turn(p);
	CHECK(ring_get(&p->stored_in, &got, sizeof(got)) == size);
	CHECK(got.hdr.type == XS_READ && got.hdr.len == len && !got.hdr.tx_id);
	CHECK(!memcmp(got.payload, asked.payload, len));
	CHECK(ring_put(&p->stored_out, &got, size) == size);
	party_turn(p);
	CHECK(ring_get(&p->guest_in, &got, sizeof(got)) == size);
	CHECK(!memcmp(&got, &asked, size));
	CHECK(!p->guest->error && !p->guest->connection);
	CHECK(session_state(p->s) == LEDGER_RUN);
}

/* --- somebody who watches the traffic of all */

/* @cut: not NULL when payloads may be cut */
static bool watch_frames(void *cut, const void *octets, size_t len)
{
	const uint8_t *at = octets, *end = at + len;

	while (at < end) {
		struct xsd_sockmsg hdr;
		struct frame frame;

		CHECK((size_t)(end - at) >= sizeof(frame) + sizeof(hdr));
		memcpy(&frame, at, sizeof(frame));
		memcpy(&hdr, at + sizeof(frame), sizeof(hdr));
		CHECK(frame.size <= (size_t)(end - at) && frame.size <= FRAME_MAX);
		CHECK(frame.size >= sizeof(frame) + sizeof(hdr));
		CHECK(cut ? frame.size <= sizeof(frame) + sizeof(hdr) + hdr.len
			  : frame.size == sizeof(frame) + sizeof(hdr) + hdr.len);
		CHECK(frame.kind == FRAME_EVENT ? !frame.number : frame.kind <= FRAME_REPLY);
		CHECK(frame.domid == world.hostile.domid || frame.domid == world.innocent.domid);
		CHECK(frame.upstream <= frame.took);
		at += frame.size;
	}
	return true;
}

static void watch_begin(void)
{
	struct trace_filter all = { .ops = ~0ULL, .events = true, .snap = XENSTORE_PAYLOAD_MAX };

	CHECK(!traces_new(&world.daemon.traces, world.daemon.base));
	CHECK(!taps_new(&world.daemon.taps, world.daemon.traces, &world.daemon.config));
	CHECK(!trace_begin(&world.trace, world.daemon.traces, &all, watch_frames, NULL));
}

/* --- setting up: the memory once, the sessions for every input */

static xs_page *map_page(int fd)
{
	void *page = mmap(NULL, ARENA_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(page != MAP_FAILED);
	return page;
}

static void party_init(struct party *party, uint32_t domid)
{
	party->domid = domid;
	if (!party->guest) {
		party->page_fd = memfd_create("guest", MFD_CLOEXEC);
		CHECK(!ftruncate(party->page_fd, ARENA_PAGE));
		party->guest = map_page(party->page_fd);
		for (int i = 0; i < LIVES; i++)
			party->front[i] = map_page(party->page_fd);
	}
	party->back = rings_ring(&world.stored, domid);
	party->guest_out =
		world_ring(party->guest->req, &party->guest->req_prod, &party->guest->req_cons);
	party->guest_in =
		world_ring(party->guest->rsp, &party->guest->rsp_prod, &party->guest->rsp_cons);
	party->stored_in =
		world_ring(party->back->req, &party->back->req_prod, &party->back->req_cons);
	party->stored_out =
		world_ring(party->back->rsp, &party->back->rsp_prod, &party->back->rsp_cons);
}

/* The first one makes the ledgers, the others find them. */
static void memory_init(struct memory *memory)
{
	int kept = memory == world.proxy ? -1 : dup(world.proxy[0].ledgers.arena.fd);
	bool made;

	CHECK(!rings_open(&memory->rings, dup(world.stored.arena.fd)));
	CHECK(!memory_adopt(memory, kept, &made) && made == (kept < 0));
}

static void world_init(void)
{
	log_set_level(-1);
	TAILQ_INIT(&world.daemon.ops);
	config_defaults(&world.daemon.config);
	world.daemon.base = event_base_new();
	CHECK(!loop_new(&world.daemon.loop, world.daemon.base, &(struct loop_hooks){ 0 }));
	CHECK(!follow_new(&world.daemon.follow));
	CHECK(!domains_new(&world.daemon.domains, &world.daemon));
	CHECK(!upstream_new(&world.daemon.upstream, &world.daemon));
	world.daemon.flavour = RINGS_FLAVOUR_C;
	watch_begin();
	CHECK(!rings_create(&world.stored, RINGS_FLAVOUR_C));
	for (int i = 0; i < LIVES; i++)
		memory_init(&world.proxy[i]);
	pool_open();
	for (uint32_t domid = 0; domid <= DOMID_INNOCENT; domid++)
		CHECK(!rings_reserve(&world.stored, domid));
	CHECK(!arena_reserve(&world.proxy[0].ledgers.arena, LEDGERS_RING_OFF,
			     (DOMID_INNOCENT + 1) * ARENA_PAGE));
	party_init(&world.innocent, DOMID_INNOCENT);
}

static void world_open(uint32_t domid)
{
	const struct ledgers *ledgers = &world.proxy[0].ledgers;

	input_number++;
	memset((void *)ledgers->held, 0, ARENA_DOMIDS / 8);
	atomic_store(ledgers->hold_new, 0);
	party_init(&world.hostile, domid);
	memset(world.hostile.guest, 0, sizeof(*world.hostile.guest));
	memset(world.innocent.guest, 0, sizeof(*world.innocent.guest));
	party_attach(&world.hostile);
	party_attach(&world.innocent);
}

/* Nothing may be left: no op, no extent. */
static void world_close(void)
{
	trace_flush(world.trace);
	party_detach(&world.hostile, true);
	party_detach(&world.innocent, true);
	CHECK(TAILQ_EMPTY(&world.daemon.ops));
	CHECK(world.lost_extents || !memchr(world.pool->state, PAGE_USED, world.pool->max));
	world.lost_extents = false;
	/* The next input begins as this one did. */
	world.pool = pool_free(world.pool);
	world.life = 0;
	pool_open();
}

#endif
