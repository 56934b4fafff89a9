// SPDX-License-Identifier: MIT
/*
 * Slots: numbers are given out once, what a slot had is taken up by the next process, page for
 * page, and goes back when it is closed; a wrong word in one ledger costs its own client at most.
 */
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/host/upstream.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/session/pending.h"
#include "proxy/session/session.h"
#include "proxy/toolstack/toolstack.h"
#include "tests/unit/kept_bed.h"

#define SLOT   3
#define COOKIE 0x123456789abULL
#define TURNS  6

struct bed {
	struct keeper keeper;
	struct ends ends;
	struct slots *slots;
	struct sock socks[SLOT_SIDES];
};

static int setup(void **state)
{
	static struct bed bed;

	bed = (struct bed){ .keeper = KEEPER_NULL };
	log_set_level(-1);
	ends_open(&bed.ends);
	assert_int_equal(slots_new(&bed.slots, &bed.keeper), 0);
	*state = &bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	slots_free(bed->slots);
	fake_keeper_end(&bed->keeper);
	ends_close(&bed->ends);
	return 0;
}

/* How many extents are in use. It can only be freed afterwards. */
static uint32_t pages_used(const struct slots *slots)
{
	uint32_t n = 0;

	for (uint32_t page = 1; page < LEDGERS_EXTENTS; page++)
		n += pool_claim(slots_pool(slots), page) != 0;
	return n;
}

static long long octets(const struct bed *bed)
{
	struct stat st;

	assert_int_equal(fstat(bed->keeper.memory, &st), 0);
	return st.st_blocks * 512;
}

/* A slot in use, as client.c makes it. */
static void open_slot(struct bed *bed, uint32_t slot)
{
	slots_claim(bed->slots, slot);
	assert_int_equal(slots_open(bed->slots, slot, bed->socks, COOKIE), 0);
	for (int side = 0; side < SLOT_SIDES; side++) {
		bed->socks[side].fd = bed->ends.near[side];
		assert_true(sock_keep(&bed->socks[side]));
	}
	slots_ledger(bed->slots, slot)->more.kept = 1;
}

static void next_process(struct bed *bed)
{
	slots_free(bed->slots);
	assert_int_equal(slots_new(&bed->slots, &bed->keeper), 0);
}

static void each_number_is_given_out_once(void **state)
{
	struct bed *bed = *state;

	slots_claim(bed->slots, 2);
	slots_claim(bed->slots, 64);
	for (int slot = 0; slot < (int)LEDGERS_SOCKETS; slot++)
		if (slot != 2 && slot != 64)
			assert_int_equal(slots_take(bed->slots), slot);
	assert_int_equal(slots_take(bed->slots), -EMFILE);
	slots_give(bed->slots, 64);
	slots_give(bed->slots, 777);
	assert_int_equal(slots_take(bed->slots), 64);
	assert_int_equal(slots_take(bed->slots), 777);
	assert_int_equal(slots_take(bed->slots), -EMFILE);
}

static void what_is_closed_goes_back(void **state)
{
	struct bed *bed = *state;
	long long before;

	for (uint32_t slot = 100; slot < 400; slot++)
		open_slot(bed, slot);
	for (uint32_t slot = 100; slot < 400; slot++)
		slots_close(bed->slots, slot);
	before = octets(bed);
	for (int round = 0; round < 50; round++) {
		open_slot(bed, 1000 + (uint32_t)round);
		slots_close(bed->slots, 1000 + (uint32_t)round);
	}
	assert_int_equal(octets(bed), before);
	assert_int_equal(pages_used(bed->slots), 0);
}

static void the_next_process_has_the_same_pages(void **state)
{
	struct bed *bed = *state;
	struct sock was[SLOT_SIDES];
	uint32_t pages[4];

	open_slot(bed, SLOT);
	for (int side = 0; side < SLOT_SIDES; side++) {
		was[side] = bed->socks[side];
		memset(was[side].in, 'i' + side, SOCK_QUEUE);
		memset(was[side].out, 'o' + side, SOCK_QUEUE);
		pages[2 * side] = was[side].words->in_page;
		pages[2 * side + 1] = was[side].words->out_page;
	}
	next_process(bed);
	assert_int_equal(slots_reopen(bed->slots, SLOT, bed->socks, bed->ends.near, COOKIE, false),
			 0);
	for (int side = 0; side < SLOT_SIDES; side++) {
		assert_int_equal(bed->socks[side].number, SLOT * SLOT_SIDES + side);
		assert_int_equal(bed->socks[side].in[0], 'i' + side);
		assert_int_equal(bed->socks[side].out[SOCK_QUEUE - 1], 'o' + side);
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(pool_claim(slots_pool(bed->slots), pages[i]), -EBUSY);
	assert_int_equal(pages_used(bed->slots), 4);
}

static int reopen(struct bed *bed, uint32_t slot, uint64_t cookie)
{
	return slots_reopen(bed->slots, slot, bed->socks, bed->ends.near, cookie, false);
}

static void what_is_not_there_is_not_taken_up(void **state)
{
	struct bed *bed = *state;

	open_slot(bed, SLOT);
	next_process(bed);
	assert_int_equal(reopen(bed, SLOT + 1, COOKIE), -ESTALE);
	assert_int_equal(reopen(bed, SLOT, COOKIE + 1), -ESTALE);
	atomic_store(&slots_ledger(bed->slots, SLOT)->more.kept, 0);
	assert_int_equal(reopen(bed, SLOT, COOKIE), -ESTALE);
	atomic_store(&slots_ledger(bed->slots, SLOT)->more.kept, 1);
	assert_int_equal(reopen(bed, SLOT, COOKIE), 0);
	slots_close(bed->slots, SLOT);
	next_process(bed);
	assert_int_equal(reopen(bed, SLOT, COOKIE), -ESTALE);
	assert_int_equal(pages_used(bed->slots), 0);
}

static void ledgers_of_nobody_are_swept(void **state)
{
	struct bed *bed = *state;
	long long before;

	for (uint32_t slot = 0; slot < 200; slot++)
		open_slot(bed, slot);
	next_process(bed);
	before = octets(bed);
	slots_claim(bed->slots, 0);
	slots_claim(bed->slots, 77);
	slots_sweep(bed->slots);
	assert_int_equal(before - octets(bed), 198 * ARENA_PAGE);
	assert_int_equal(slots_ledger(bed->slots, 77)->of.cookie, COOKIE);
	assert_int_equal(slots_ledger(bed->slots, 78)->version, 0);
}

static struct ledgers_header *header(const struct bed *bed)
{
	return (struct ledgers_header *)slots_ledgers(bed->slots)->arena.base;
}

/*
 * Memory of another version is left to that version, with what a step under way had in the pipe,
 * and we make do with memory that nobody keeps.
 */
static void left_to_its_version(struct bed *bed, size_t word)
{
	struct ledgers_outlet *outlet;
	int octets = 0;
	void *base;

	open_slot(bed, SLOT);
	assert_int_equal(write(bed->keeper.pipe[1], "reply", 5), 5);
	atomic_store(&header(bed)->outlet.draining, (uint64_t)SLOT * SLOT_SIDES << 32 | 9);
	(*(uint32_t *)((uint8_t *)header(bed) + word))++;
	next_process(bed);
	assert_true(bed->keeper.left);
	assert_int_equal(reopen(bed, SLOT, COOKIE), -ESTALE);
	open_slot(bed, SLOT);
	base = mmap(NULL, LEDGERS_HEADER_SIZE, PROT_READ, MAP_SHARED, bed->keeper.memory, 0);
	assert_ptr_not_equal(base, MAP_FAILED);
	outlet = &((struct ledgers_header *)base)->outlet;
	assert_int_equal(outlet->draining, (uint64_t)SLOT * SLOT_SIDES << 32 | 9);
	munmap(base, LEDGERS_HEADER_SIZE);
	assert_int_equal(ioctl(bed->keeper.pipe[0], FIONREAD, &octets), 0);
	assert_int_equal(octets, 5);
}

static void memory_of_another_version(void **state)
{
	left_to_its_version(*state, offsetof(struct ledgers_header, version));
}

static void ledgers_of_another_version(void **state)
{
	left_to_its_version(*state, offsetof(struct ledgers_header, ledger));
}

static void without_memory(void **state)
{
	struct bed *bed = *state;
	struct pool *pool = slots_pool(bed->slots);

	for (uint32_t page = 1; page < LEDGERS_EXTENTS - 3; page++)
		assert_int_equal(pool_claim(pool, page), 0);
	/* Three pages are too few for four queues, and all three go back. */
	assert_int_equal(slots_open(bed->slots, SLOT, bed->socks, COOKIE), -ENOMEM);
	for (int i = 0; i < 3; i++)
		assert_int_not_equal(pool_alloc_vital(pool), 0);
	assert_int_equal(pool_alloc_vital(pool), 0);
}

/* --- one wrong word */

struct world {
	struct bed bed;
	struct daemon daemon;
	struct session *s;
	uint32_t image[ARENA_PAGE / 4];
	int peek_off[SLOT_SIDES];
};

static void kick(void *owner)
{
	(void)owner;
}

static int begin(struct world *w, bool recovered)
{
	struct session_params params = {
		.daemon = &w->daemon,
		.socket = true,
		.front = sock_endpoint(&w->bed.socks[SLOT_CLIENT]),
		.back = sock_endpoint(&w->bed.socks[SLOT_UPSTREAM]),
		.place = { .ledger = slots_ledger(w->bed.slots, SLOT),
			   .ledgers = slots_ledgers(w->bed.slots) },
		.pool = slots_pool(w->bed.slots),
		.hooks = &toolstack_hooks,
	};

	params.front.kick = params.back.kick = kick;
	return session_new(&w->s, &params, recovered);
}

static void put(struct sock *sock, const void *octets, uint32_t len)
{
	uint32_t prod = word_get(&sock->words->in_prod);

	for (uint32_t i = 0; i < len; i++)
		sock->in[(prod + i) % SOCK_QUEUE] = ((const uint8_t *)octets)[i];
	atomic_store(&sock->words->in_prod, prod + len);
}

static void turns(struct world *w, int n)
{
	while (n--) {
		loop_forget(w->daemon.loop, &w->s->task);
		session_run(w->s);
	}
}

/* A session with something of everything: a watch, a request, half a request, half a giant. */
static void live(struct world *w)
{
	struct sock *front = &w->bed.socks[SLOT_CLIENT], *back = &w->bed.socks[SLOT_UPSTREAM];
	struct xsd_sockmsg hdr = { .type = XS_WATCH, .req_id = 1, .len = 4 };
	uint8_t octets[3000] = { 0 };
	uint32_t id;

	put(front, &hdr, sizeof(hdr));
	put(front, "a\0t", 4);
	turns(w, 2);
	hdr = (struct xsd_sockmsg){ .type = XS_DIRECTORY, .req_id = 2, .len = 2 };
	put(front, &hdr, sizeof(hdr));
	put(front, "/", 2);
	hdr = (struct xsd_sockmsg){ .type = XS_WRITE, .req_id = 3, .len = 4000 };
	put(front, &hdr, sizeof(hdr));
	put(front, octets, 2000);
	turns(w, 2);
	id = w->s->ledger->pending[__builtin_ctz(word_get(&w->s->ledger->pending_mask))].id;
	for (int i = 0; i < LEDGER_PENDING; i++)
		if ((word_get(&w->s->ledger->pending_mask) >> i & 1) &&
		    w->s->ledger->pending[i].type == XS_DIRECTORY)
			id = w->s->ledger->pending[i].id;
	hdr = (struct xsd_sockmsg){ .type = XS_DIRECTORY, .req_id = id, .len = 60000 };
	put(back, &hdr, sizeof(hdr));
	turns(w, 2);
	for (int i = 0; i < 3; i++) {
		put(back, octets, sizeof(octets));
		turns(w, 2);
	}
	assert_int_not_equal(word_get(&w->s->ledger->more.giant_left), 0);
}

static void world_open(struct world *w)
{
	void *bed;

	memset(w, 0, sizeof(*w));
	setup(&bed);
	w->bed = *(struct bed *)bed;
	TAILQ_INIT(&w->daemon.ops);
	config_defaults(&w->daemon.config);
	w->daemon.base = event_base_new();
	assert_int_equal(loop_new(&w->daemon.loop, w->daemon.base, &(struct loop_hooks){ 0 }), 0);
	assert_int_equal(domains_new(&w->daemon.domains, &w->daemon), 0);
	assert_int_equal(upstream_new(&w->daemon.upstream, &w->daemon), 0);
	open_slot(&w->bed, SLOT);
	assert_int_equal(begin(w, false), 0);
	live(w);
	session_free(w->s, false);
	/* What was put there is what the kernel had given. */
	for (int side = 0; side < SLOT_SIDES; side++)
		assert_true(sock_keep(&w->bed.socks[side]));
	memcpy(w->image, slots_ledger(w->bed.slots, SLOT), ARENA_PAGE);
}

static void world_close(struct world *w)
{
	upstream_free(w->daemon.upstream);
	domains_free(w->daemon.domains);
	loop_free(w->daemon.loop);
	event_base_free(w->daemon.base);
	teardown((void *[]){ &w->bed });
}

/* The next process: whatever it makes of it, it lives. Return: whether it went on. */
static bool try_word(struct world *w, uint32_t word, uint32_t value)
{
	const int armed = 1 << 30;
	int err;

	memcpy(slots_ledger(w->bed.slots, SLOT), w->image, ARENA_PAGE);
	for (int side = 0; side < SLOT_SIDES; side++)
		assert_int_equal(setsockopt(w->bed.ends.near[side], SOL_SOCKET, SO_PEEK_OFF, &armed,
					    sizeof(armed)),
				 0);
	((uint32_t *)slots_ledger(w->bed.slots, SLOT))[word] = value;
	next_process(&w->bed);
	err = reopen(&w->bed, SLOT, COOKIE);
	if (err) {
		assert_true(err == -ESTALE || err == -EINVAL || err == -EBUSY);
		return false;
	}
	err = begin(w, true);
	if (err) {
		assert_true(err == -ESTALE || err == -EINVAL || err == -EBUSY ||
			    err == -EPROTONOSUPPORT);
		return false;
	}
	toolstack_recover(w->s);
	turns(w, TURNS);
	session_free(w->s, true);
	return true;
}

static void any_word_of_the_ledger(void **state)
{
	static const uint32_t values[] = { 0,	   1,	       2,	   31,	      77,
					   0x1000, 0x7fffffff, 0x80000000, UINT32_MAX };
	/* Under valgrind some of them are enough. */
	const uint32_t step = getenv("XSPROXY_MEMCHECK") ? 61 : 1;
	uint32_t went_on = 0, tries = 0;
	static struct world w;

	(void)state;
	world_open(&w);
	assert_true(try_word(&w, 0, w.image[0]));
	for (uint32_t word = 0; word < ARENA_PAGE / 4; word += step) {
		uint32_t is = w.image[word];
		const uint32_t near[] = { is + 1, is - 1, is + 0x10000, is ^ 0x100 };

		for (uint32_t i = 0; i < sizeof(values) / sizeof(values[0]); i++, tries++)
			went_on += try_word(&w, word, values[i]);
		for (uint32_t i = 0; i < sizeof(near) / sizeof(near[0]); i++, tries++)
			went_on += try_word(&w, word, near[i]);
	}
	assert_in_range(went_on, 1, tries - 1);
	world_close(&w);
}

/* One page for two queues, or another client's */
static void a_page_belongs_to_one_queue(void **state)
{
	struct bed *bed = *state;
	struct ledger_sock *words;

	open_slot(bed, SLOT);
	open_slot(bed, SLOT + 1);
	words = slots_ledger(bed->slots, SLOT)->more.sock;
	words[1].out_page = words[0].in_page;
	next_process(bed);
	assert_int_equal(reopen(bed, SLOT + 1, COOKIE), 0);
	assert_int_equal(reopen(bed, SLOT, COOKIE), -EBUSY);
	slots_ledger(bed->slots, SLOT)->more.sock[0].in_page =
		slots_ledger(bed->slots, SLOT + 1)->more.sock[0].in_page;
	next_process(bed);
	assert_int_equal(reopen(bed, SLOT + 1, COOKIE), 0);
	assert_int_equal(reopen(bed, SLOT, COOKIE), -EBUSY);
}

/* The pipe's word may name anything. */
static void a_wrong_word_of_the_outlet(void **state)
{
	static const uint64_t values[] = { 1,
					   100,
					   (uint64_t)(SLOT * SLOT_SIDES) << 32 | 100,
					   (uint64_t)(SLOT * SLOT_SIDES) << 32 | 9,
					   (uint64_t)LEDGERS_SOCKETS << 33 | 10,
					   0xffffffff0000000aULL,
					   UINT64_MAX };
	struct bed *bed = *state;

	open_slot(bed, SLOT);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		assert_int_equal(write(bed->keeper.pipe[1], "0123456789", 10), 10);
		atomic_store(&ledgers_outlet(slots_ledgers(bed->slots))->draining, values[i]);
		next_process(bed);
		assert_int_equal(atomic_load(&ledgers_outlet(slots_ledgers(bed->slots))->draining),
				 0);
		assert_int_equal(read(bed->keeper.pipe[0], (char[10]){ 0 }, 10), -1);
		reopen(bed, SLOT, COOKIE);
		atomic_store(&slots_ledger(bed->slots, SLOT)->more.sock[0].out_cons, 0);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(each_number_is_given_out_once),	   TEST(what_is_closed_goes_back),
		TEST(the_next_process_has_the_same_pages), TEST(what_is_not_there_is_not_taken_up),
		TEST(ledgers_of_nobody_are_swept),	   TEST(memory_of_another_version),
		TEST(ledgers_of_another_version),	   TEST(without_memory),
		cmocka_unit_test(any_word_of_the_ledger),  TEST(a_page_belongs_to_one_queue),
		TEST(a_wrong_word_of_the_outlet),
	};

	return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
