// SPDX-License-Identifier: MIT
/* Shared memory: that it is what arena.h and rings.h promise, and that strangers are refused. */
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

#include "link/rings.h"

static int setup(void **state)
{
	static struct rings rings;

	assert_int_equal(rings_create(&rings, RINGS_FLAVOUR_C), 0);
	*state = &rings;
	return 0;
}

static int teardown(void **state)
{
	rings_close(*state);
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
	assert_int_equal(rings_ring_off(0), 0);
	assert_true(rings_ring_off(ARENA_DOMIDS - 1) + ARENA_PAGE <= RINGS_HEADER_OFF);
	assert_true(RINGS_HEADER_OFF + sizeof(struct rings_header) <= RINGS_ATTACH_OFF);
	assert_int_equal(RINGS_ATTACH_OFF + ARENA_DOMIDS * RINGS_ATTACH_SIZE, RINGS_SIZE);
	assert_int_equal(ARENA_PAGE % RINGS_ATTACH_SIZE, 0); /* none lies in two pages */
}

static void header_identifies_the_maker(void **state)
{
	struct rings *rings = *state, other;
	struct rings_header *header = rings_header(rings);

	assert_int_equal(header->magic, RINGS_MAGIC);
	assert_int_equal(header->version, RINGS_VERSION);
	assert_int_equal(header->flavour, RINGS_FLAVOUR_C);
	assert_int_equal(header->pid, getpid());
	assert_false(bells_any(&header->to_proxy));
	assert_false(bells_any(&header->to_stored));
	assert_int_equal(rings_create(&other, RINGS_FLAVOUR_C), 0);
	assert_true(header->id && rings_header(&other)->id != header->id);
	rings_close(&other);
}

static void size_is_sealed(void **state)
{
	struct arena *arena = &((struct rings *)*state)->arena;

	assert_int_equal(ftruncate(arena->fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(arena->fd, (off_t)RINGS_SIZE * 2), -1);
	assert_int_equal(fcntl(arena->fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(fcntl(arena->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

static void both_ends_see_the_same(void **state)
{
	struct rings *maker = *state, other;

	assert_int_equal(rings_open(&other, dup(maker->arena.fd)), 0);
	assert_int_equal(rings_reserve(maker, 7), 0);
	memcpy(rings_ring(maker, 7), "octets", 7);
	assert_string_equal((char *)rings_ring(&other, 7), "octets");
	atomic_store(&rings_attach(&other, 7)->map_gen, 3);
	assert_int_equal(atomic_load(&rings_attach(maker, 7)->map_gen), 3);
	rings_close(&other);
	assert_null(other.arena.base);
	assert_int_equal(other.arena.fd, -1);
}

static void dom0_page_is_the_start_of_the_file(void **state)
{
	struct arena *arena = &((struct rings *)*state)->arena;
	uint8_t *page;

	page = mmap(NULL, ARENA_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, arena->fd, 0);
	assert_ptr_not_equal(page, MAP_FAILED);
	page[5] = 0x5a;
	assert_int_equal(arena->base[rings_ring_off(0) + 5], 0x5a);
	munmap(page, ARENA_PAGE);
}

static void reserve_and_discard(void **state)
{
	struct arena *arena = &((struct rings *)*state)->arena;
	uint64_t off = rings_ring_off(ARENA_DOMIDS - 1);
	long long before = blocks_of(arena->fd);

	assert_int_equal(before * 512, RINGS_HEADER_SIZE);
	assert_int_equal(arena_reserve(arena, off, ARENA_PAGE), 0);
	assert_int_equal((blocks_of(arena->fd) - before) * 512, ARENA_PAGE);
	arena->base[off] = 1;
	assert_int_equal(arena_reserve(arena, off, ARENA_PAGE),
			 0); /* a second time keeps the content */
	assert_int_equal(arena->base[off], 1);

	arena_discard(arena, off);
	assert_int_equal(blocks_of(arena->fd), before);
	assert_int_equal(arena_reserve(arena, off, ARENA_PAGE), 0);
	assert_int_equal(arena->base[off], 0);
	assert_int_equal(arena_reserve(arena, RINGS_SIZE, ARENA_PAGE),
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
	struct rings rings;

	assert_int_equal(rings_open(&rings, fd), error);
	assert_null(rings.arena.base);
	assert_int_equal(rings.arena.fd, -1);
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
	assert_refused(memfd_of(RINGS_SIZE, 0), -EPROTO);
	assert_refused(memfd_of(RINGS_SIZE, F_SEAL_GROW | F_SEAL_SEAL), -EPROTO);
	assert_refused(memfd_of(RINGS_SIZE, F_SEAL_GROW | F_SEAL_SHRINK), -EPROTO);
	assert_refused(memfd_of(RINGS_SIZE - ARENA_PAGE, seals), -EPROTO);
	assert_refused(memfd_of(RINGS_SIZE, seals), -EPROTO); /* no magic */
}

static void open_refuses_other_versions(void **state)
{
	struct rings *rings = *state;

	rings_header(rings)->version = RINGS_VERSION + 1;
	assert_refused(dup(rings->arena.fd), -EPROTONOSUPPORT);
	rings_header(rings)->magic = 1;
	assert_refused(dup(rings->arena.fd), -EPROTO);
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
