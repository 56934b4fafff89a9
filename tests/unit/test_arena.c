/* SPDX-License-Identifier: MIT */
/* The arena: that it is what arena.h promises, and that arena_open() refuses everything else. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/arena.h"

static int setup(void **state)
{
	static struct arena arena;

	assert_int_equal(arena_create(&arena, ARENA_FLAVOUR_C), 0);
	*state = &arena;
	return 0;
}

static int teardown(void **state)
{
	arena_close(*state);
	return 0;
}

static long long blocks_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_blocks;
}

static void layout_has_no_overlaps(void **state)
{
	(void)state;
	assert_int_equal(arena_ring_off(0), 0);
	assert_true(arena_ring_off(ARENA_DOMIDS - 1) + ARENA_PAGE <= ARENA_HEADER_OFF);
	assert_true(ARENA_HEADER_OFF + sizeof(struct arena_header) <= arena_ledger_off(0));
	assert_true(arena_ledger_off(ARENA_DOMIDS - 1) + ARENA_PAGE <= arena_extent_off(0));
	assert_int_equal(arena_extent_off(ARENA_EXTENTS - 1) + ARENA_PAGE, ARENA_SIZE);
}

static void header_identifies_the_maker(void **state)
{
	struct arena *arena = *state;
	struct arena_header *header = arena_header(arena);

	assert_int_equal(header->magic, ARENA_MAGIC);
	assert_int_equal(header->version, ARENA_VERSION);
	assert_int_equal(header->flavour, ARENA_FLAVOUR_C);
	assert_int_equal(header->pid, getpid());
	assert_false(arena_bell_any(&header->to_proxy));
	assert_false(arena_bell_any(&header->to_stored));
}

static void size_is_sealed(void **state)
{
	struct arena *arena = *state;

	assert_int_equal(ftruncate(arena->fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(arena->fd, (off_t)ARENA_SIZE * 2), -1);
	assert_int_equal(fcntl(arena->fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(fcntl(arena->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

static void both_ends_see_the_same(void **state)
{
	struct arena *maker = *state, guest;

	assert_int_equal(arena_open(&guest, dup(maker->fd)), 0);
	assert_int_equal(arena_reserve(maker, arena_ring_off(7)), 0);
	assert_int_equal(arena_reserve(maker, arena_ledger_off(7)), 0);
	memcpy(maker->base + arena_ring_off(7), "octets", 7);
	assert_string_equal(guest.base + arena_ring_off(7), "octets");
	atomic_store(&arena_attach(&guest, 7)->map_gen, 3);
	assert_int_equal(atomic_load(&arena_attach(maker, 7)->map_gen), 3);
	arena_close(&guest);
	assert_null(guest.base);
	assert_int_equal(guest.fd, -1);
}

static void dom0_page_is_the_start_of_the_file(void **state)
{
	struct arena *arena = *state;
	uint8_t *page;

	page = mmap(NULL, ARENA_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, arena->fd, 0);
	assert_ptr_not_equal(page, MAP_FAILED);
	page[5] = 0x5a;
	assert_int_equal(arena->base[arena_ring_off(0) + 5], 0x5a);
	munmap(page, ARENA_PAGE);
}

static void reserve_and_discard(void **state)
{
	struct arena *arena = *state;
	uint64_t off = arena_extent_off(ARENA_EXTENTS - 1);
	long long before = blocks_of(arena->fd);

	assert_int_equal(before * 512, ARENA_HEADER_SIZE);
	assert_int_equal(arena_reserve(arena, off), 0);
	assert_int_equal((blocks_of(arena->fd) - before) * 512, ARENA_PAGE);
	arena->base[off] = 1;
	assert_int_equal(arena_reserve(arena, off), 0); /* a second time keeps the content */
	assert_int_equal(arena->base[off], 1);

	arena_discard(arena, off);
	assert_int_equal(blocks_of(arena->fd), before);
	assert_int_equal(arena_reserve(arena, off), 0);
	assert_int_equal(arena->base[off], 0);
	assert_int_equal(arena_reserve(arena, ARENA_SIZE),
			 -EPERM); /* the seal holds here as well */
}

static void close_is_harmless(void **state)
{
	struct arena none = ARENA_NULL;

	(void)state;
	arena_close(NULL);
	arena_close(&none);
	arena_close(&none);
}

static int memfd_of(off_t size, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* Opening @fd fails with @error, and leaves @fd open. */
static void assert_refused(int fd, int error)
{
	struct arena arena;

	assert_int_equal(arena_open(&arena, fd), error);
	assert_null(arena.base);
	assert_int_equal(arena.fd, -1);
	assert_int_equal(close(fd), 0);
}

static void open_refuses_strangers(void **state)
{
	const int seals = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	int pipefd[2];

	(void)state;
	assert_int_equal(pipe(pipefd), 0);
	close(pipefd[1]);
	assert_refused(pipefd[0], -EPROTO);
	assert_refused(memfd_of(ARENA_SIZE, 0), -EPROTO);
	assert_refused(memfd_of(ARENA_SIZE, F_SEAL_GROW | F_SEAL_SEAL), -EPROTO);
	assert_refused(memfd_of(ARENA_SIZE, F_SEAL_GROW | F_SEAL_SHRINK), -EPROTO);
	assert_refused(memfd_of(ARENA_SIZE - ARENA_PAGE, seals), -EPROTO);
	assert_refused(memfd_of(ARENA_SIZE, seals), -EPROTO); /* no magic */
}

static void open_refuses_other_versions(void **state)
{
	struct arena *arena = *state;

	arena_header(arena)->version = ARENA_VERSION + 1;
	assert_refused(dup(arena->fd), -EPROTONOSUPPORT);
	arena_header(arena)->magic = 1;
	assert_refused(dup(arena->fd), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout_has_no_overlaps),
		cmocka_unit_test_setup_teardown(header_identifies_the_maker, setup, teardown),
		cmocka_unit_test_setup_teardown(size_is_sealed, setup, teardown),
		cmocka_unit_test_setup_teardown(both_ends_see_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(dom0_page_is_the_start_of_the_file, setup,
						teardown),
		cmocka_unit_test_setup_teardown(reserve_and_discard, setup, teardown),
		cmocka_unit_test(close_is_harmless),
		cmocka_unit_test(open_refuses_strangers),
		cmocka_unit_test_setup_teardown(open_refuses_other_versions, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
