// SPDX-License-Identifier: MIT
/* A bridge goes on with the rings of another one: what is a claim, and what becomes of the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#include <cmocka.h>

/* Not in the library of the unit tests, for the rest of the bridge takes over libc's calls. */
#include "bridge/adopt.c"
#include "bridge/attach.c"

#define C    RINGS_FLAVOUR_C
#define O    RINGS_FLAVOUR_OCAML
#define GFN  0x1234
#define PORT 12
#define FILL 0x5a

enum { CLAIMED = 7, MAPPED = 8, UNCLAIMED = 9, NOT_THERE = 10 };

static unsigned int calls, lines, rings_of[ARENA_DOMIDS];

int owner_call(struct bridge *b, enum link_type type, uint32_t domid, int32_t value)
{
	(void)b, (void)type, (void)domid, (void)value;
	calls++;
	return 0;
}

void doorbell_ring_stored(struct bridge *b, uint32_t domid)
{
	(void)b;
	rings_of[domid]++;
}

void bridge_log(int priority, const char *fmt, ...)
{
	(void)priority, (void)fmt;
	lines++;
}

/* --- two bridges, one after the other */

static struct bridge was, is;

static struct rings_attach *at(uint32_t domid)
{
	return rings_attach(&is.rings, domid);
}

static void expect_gfn(uint32_t domid, uint64_t gfn)
{
	assert_int_equal(atomic_load(&at(domid)->gfn), gfn);
}

static void introduce(struct bridge *b, uint32_t domid, uint64_t gfn)
{
	void *page;

	assert_int_equal(attach_map(b, domid, gfn, &page), 0);
	memset(page, FILL, ARENA_PAGE);
	assert_int_equal(attach_bind(b, domid, PORT), 0);
}

/* What the bridge of @before leaves: dom0, one that is not bound, and some that are. */
static int setup_of(enum rings_flavour before)
{
	uint64_t gfn = before == O ? GFN : 0;
	void *page;

	was = (struct bridge){ .state = BRIDGE_AWAKE, .flavour = before, .adopt = { .fd = -1 } };
	assert_int_equal(rings_create(&was.rings, before), 0);
	introduce(&was, 0, 0);
	introduce(&was, CLAIMED, gfn);
	introduce(&was, UNCLAIMED, gfn);
	assert_int_equal(attach_map(&was, MAPPED, gfn, &page), 0);
	rings_header(&was.rings)->pid = 1;
	calls = lines = 0;
	memset(rings_of, 0, sizeof(rings_of));
	return 0;
}

static int setup_c(void **state)
{
	(void)state;
	return setup_of(C);
}

static int setup_o(void **state)
{
	(void)state;
	return setup_of(O);
}

static int teardown(void **state)
{
	(void)state;
	rings_close(&was.rings);
	rings_close(&is.rings);
	return 0;
}

static void ask(enum rings_flavour flavour, const char *value)
{
	is = (struct bridge){ .flavour = flavour, .rings = RINGS_NULL, .adopt = { .fd = -1 } };
	if (value)
		assert_int_equal(setenv(START_RINGS_ENV, value, 1), 0);
	adopt_ask(&is);
	assert_null(getenv(START_RINGS_ENV));
}

static void adopt(enum rings_flavour flavour)
{
	char value[16];

	snprintf(value, sizeof(value), "%d", dup(was.rings.arena.fd));
	ask(flavour, value);
	assert_true(adopt_open(&is));
	is.state = BRIDGE_AWAKE;
}

static void map(uint32_t domid, uint64_t gfn, int octet)
{
	uint8_t *page;

	assert_int_equal(attach_map(&is, domid, gfn, (void **)&page), 0);
	assert_ptr_equal(page, rings_ring(&is.rings, domid));
	assert_int_equal(page[0], octet);
	assert_int_equal(page[ARENA_PAGE - 1], octet);
}

static void expect_gens(uint32_t domid, uint32_t map_gen, uint32_t bind_gen, bool mapped)
{
	assert_int_equal(atomic_load(&at(domid)->map_gen), map_gen);
	assert_int_equal(atomic_load(&at(domid)->bind_gen), bind_gen);
	assert_int_equal(attach_is_mapped(&is, domid), mapped);
	assert_int_equal(attach_is_bound(&is, domid), bind_gen & 1);
}

/* --- asking and opening */

static void nobody_asks(void **state)
{
	(void)state;
	ask(C, NULL);
	assert_false(is.adopt.asked);
	assert_false(adopt_open(&is));
	assert_int_equal(lines, 0);
}

static void what_is_no_descriptor_is_said(void **state)
{
	static const char *const values[] = { "",	    "x",      "-1",
					      "3 ",	    "0x3",    "99999999999999999999",
					      "4294967299", "1000000" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		ask(C, values[i]);
		assert_true(is.adopt.asked);
		assert_false(adopt_open(&is));
		assert_int_equal(lines, i + 1);
	}
}

static void what_is_no_rings_is_closed(void **state)
{
	int fd = memfd_create("other", 0);
	char value[16];

	(void)state;
	snprintf(value, sizeof(value), "%d", fd);
	ask(C, value);
	assert_false(adopt_open(&is));
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void rings_get_our_name(void **state)
{
	const struct rings_header *header;

	(void)state;
	adopt(O);
	header = rings_header(&is.rings);
	assert_int_equal(header->id, rings_header(&was.rings)->id);
	assert_int_equal(header->flavour, O);
	assert_int_equal(header->pid, getpid());
	assert_int_equal(fcntl(is.rings.arena.fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(lines, 0);
}

static void dom0_is_relayed_as_it_was(void **state)
{
	(void)state;
	adopt(C);
	assert_true(is.relay_dom0);
	rings_close(&is.rings);
	attach_unmap(&was, 0);
	adopt(C);
	assert_false(is.relay_dom0);
}

/* --- claims */

static void a_claim_moves_nothing(void **state)
{
	(void)state;
	adopt(O);
	map(CLAIMED, GFN, FILL);
	assert_int_equal(attach_bind(&is, CLAIMED, PORT), 0);
	expect_gens(CLAIMED, 1, 1, true);
	expect_gfn(CLAIMED, GFN);
	assert_int_equal(calls, 0);
}

/* The frame that the daemon before has named stays. */
static void a_claim_without_a_frame(void **state)
{
	(void)state;
	adopt(C);
	map(CLAIMED, 0, FILL);
	expect_gens(CLAIMED, 1, 1, true);
	expect_gfn(CLAIMED, GFN);
}

static void another_frame_is_no_claim(void **state)
{
	(void)state;
	adopt(O);
	map(CLAIMED, GFN + 1, 0);
	expect_gens(CLAIMED, 3, 2, true);
	expect_gfn(CLAIMED, GFN + 1);
	assert_int_equal(calls, 3); /* unbind, unmap, map */
	adopt_finish(&is);
	expect_gens(CLAIMED, 3, 2, true);
}

static void another_port_is_no_claim(void **state)
{
	(void)state;
	adopt(O);
	map(CLAIMED, GFN, FILL);
	assert_int_equal(attach_bind(&is, CLAIMED, PORT + 1), 0);
	expect_gens(CLAIMED, 1, 3, true);
	assert_int_equal(atomic_load(&at(CLAIMED)->remote_port), PORT + 1);
	assert_int_equal(calls, 2); /* unbind, bind */
}

/* Its bind failed before; it fails anew, and oxenstored forgets it without munmap(). */
static void what_was_not_bound(void **state)
{
	(void)state;
	adopt(O);
	map(MAPPED, GFN, 0);
	expect_gens(MAPPED, 1, 0, true);
	assert_int_equal(attach_bind(&is, MAPPED, 0), -EINVAL);
	expect_gens(MAPPED, 2, 2, false);
}

static void what_was_not_mapped(void **state)
{
	(void)state;
	adopt(O);
	map(NOT_THERE, GFN, 0);
	assert_int_equal(attach_bind(&is, NOT_THERE, PORT), 0);
	expect_gens(NOT_THERE, 1, 1, true);
	assert_int_equal(calls, 2);
}

/* As the C daemon does when it finds out by itself, before it looks at its event channels. */
static void a_claimed_domain_is_dead(void **state)
{
	(void)state;
	adopt(C);
	map(CLAIMED, 0, FILL);
	attach_unbind(&is, CLAIMED);
	attach_unmap(&is, CLAIMED);
	expect_gens(CLAIMED, 2, 2, false);
	adopt_finish(&is);
	expect_gens(CLAIMED, 2, 2, false);
	assert_int_equal(rings_of[CLAIMED], 0);
}

/* --- the first look */

static void the_first_look(void **state)
{
	(void)state;
	adopt(C);
	map(0, 0, FILL);
	map(CLAIMED, 0, FILL);
	memset(rings_of, 0, sizeof(rings_of));
	assert_int_equal(adopt_finish(&is), -1);
	assert_false(is.adopt.underway);
	expect_gens(0, 1, 1, true);
	expect_gens(CLAIMED, 1, 1, true);
	expect_gens(UNCLAIMED, 2, 2, false);
	expect_gens(MAPPED, 2, 0, false);
	assert_int_equal(rings_of[0], 1);
	assert_int_equal(rings_of[CLAIMED], 1);
	assert_int_equal(rings_of[UNCLAIMED] + rings_of[MAPPED], 0);
	assert_int_equal(lines, 1);
	/* From now on there are no claims. */
	map(CLAIMED, GFN, 0);
	assert_int_equal(attach_bind(&is, CLAIMED, PORT), 0);
	expect_gens(CLAIMED, 3, 3, true);
	assert_int_equal(attach_bind(&is, CLAIMED, PORT), 0);
	expect_gens(CLAIMED, 3, 5, true);
}

static void the_virq_is_told(void **state)
{
	(void)state;
	adopt(C);
	is.adopt.virq_port = 5;
	assert_int_equal(adopt_finish(&is), 5);
}

/* Dom0's bind at the C daemon's start is not followed by its zeroes; each further one is. */
static void dom0_counts_as_bound(void **state)
{
	(void)state;
	adopt(C);
	map(0, 0, FILL);
	adopt_finish(&is);
	attach_ring(&is, 0)->connection = 0;
	assert_int_equal(attach_bind(&is, 0, PORT), 0);
	assert_int_equal(attach_ring(&is, 0)->connection, 1);
}

/* The bridge before was killed between the bit and the number. */
static void a_number_without_its_bit(void **state)
{
	(void)state;
	attach_unmap(&was, CLAIMED);
	atomic_store(&rings_attach(&was.rings, CLAIMED)->map_gen, 3);
	adopt(C);
	map(CLAIMED, 0, 0);
	expect_gens(CLAIMED, 5, 2, true);
	attach_unmap(&is, CLAIMED);
	expect_gens(CLAIMED, 6, 2, false);
}

#define TEST_C(test) cmocka_unit_test_setup_teardown(test, setup_c, teardown)
#define TEST_O(test) cmocka_unit_test_setup_teardown(test, setup_o, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_C(nobody_asks),
		TEST_C(what_is_no_descriptor_is_said),
		TEST_C(what_is_no_rings_is_closed),
		TEST_C(rings_get_our_name),
		TEST_C(dom0_is_relayed_as_it_was),
		TEST_C(a_claim_moves_nothing),
		TEST_O(a_claim_moves_nothing),
		TEST_O(a_claim_without_a_frame),
		TEST_O(another_frame_is_no_claim),
		TEST_C(another_port_is_no_claim),
		TEST_O(what_was_not_bound),
		TEST_C(what_was_not_mapped),
		TEST_O(a_claimed_domain_is_dead),
		TEST_O(the_first_look),
		TEST_C(the_virq_is_told),
		TEST_C(dom0_counts_as_bound),
		TEST_C(a_number_without_its_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
