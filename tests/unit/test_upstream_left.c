// SPDX-License-Identifier: MIT
/*
 * What the keeper has of domains: taken up without a bridge if it is whole, of this version and of
 * one kind; else left alone, and no descriptor is lost or closed twice.
 */
#include <dirent.h>
#include <event2/event.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "proxy/daemon.h"
#include "proxy/host/domain.h"
#include "proxy/host/memory.h"
#include "proxy/host/upstream.h"
#include "proxy/log.h"
#include "proxy/loop.h"
#include "proxy/session/ledger.h"
#include "tests/unit/kept_bed.h"

struct bed {
	struct daemon daemon;
	struct keeper keeper;
	int kept[2];
	struct rings rings; /* of the xenstored before */
	struct ledgers ledgers;
};

static uint32_t descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint32_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int setup(void **state)
{
	static struct bed bed;

	memset(&bed, 0, sizeof(bed));
	log_set_level(-1);
	bed.keeper = (struct keeper)KEEPER_NULL;
	bed.kept[0] = bed.kept[1] = -1;
	bed.keeper.domains = bed.kept;
	bed.daemon.keeper = &bed.keeper;
	config_defaults(&bed.daemon.config);
	strcpy(bed.daemon.config.run_dir, "/nonexistent");
	bed.daemon.base = event_base_new();
	assert_int_equal(loop_new(&bed.daemon.loop, bed.daemon.base, &(struct loop_hooks){ 0 }), 0);
	assert_int_equal(domains_new(&bed.daemon.domains, &bed.daemon), 0);
	assert_int_equal(rings_create(&bed.rings, RINGS_FLAVOUR_OCAML), 0);
	assert_int_equal(ledgers_create(&bed.ledgers, rings_header(&bed.rings)->id), 0);
	*state = &bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	bed->daemon.upstream = upstream_free(bed->daemon.upstream);
	domains_free(bed->daemon.domains);
	loop_free(bed->daemon.loop);
	event_base_free(bed->daemon.base);
	ledgers_close(&bed->ledgers);
	rings_close(&bed->rings);
	for (int i = 0; i < 2; i++)
		if (bed->kept[i] >= 0)
			close(bed->kept[i]);
	return 0;
}

/* An xsproxyd that finds these. */
static void start(struct bed *bed, int ledgers, int rings)
{
	const int fds[] = { ledgers, rings };

	for (int i = 0; i < 2; i++) {
		if (bed->kept[i] >= 0)
			close(bed->kept[i]);
		bed->kept[i] = fds[i] < 0 ? -1 : dup(fds[i]);
	}
	bed->daemon.upstream = upstream_free(bed->daemon.upstream);
	assert_int_equal(upstream_new(&bed->daemon.upstream, &bed->daemon), 0);
}

static bool is_left(struct bed *bed)
{
	struct ledgers left;
	bool is = upstream_left(bed->daemon.upstream, &left);

	if (is)
		ledgers_close(&left);
	return is;
}

static void all_that_is_needed(void **state)
{
	struct bed *bed = *state;
	struct ledgers left;
	uint32_t before;

	atomic_store(&ledgers_exchange(&bed->ledgers)->stage, 4);
	start(bed, bed->ledgers.arena.fd, bed->rings.arena.fd);
	before = descriptors();
	assert_true(upstream_left(bed->daemon.upstream, &left));
	assert_int_equal(ledgers_exchange(&left)->stage, 4);
	ledgers_close(&left);
	assert_int_equal(descriptors(), before);

	assert_null(upstream_memory(bed->daemon.upstream));
	assert_int_equal(upstream_restore(bed->daemon.upstream), 0);
	assert_non_null(upstream_memory(bed->daemon.upstream));
	assert_non_null(upstream_pool(bed->daemon.upstream));
	assert_false(upstream_serves(bed->daemon.upstream));
	assert_int_equal(bed->daemon.flavour, RINGS_FLAVOUR_OCAML);
	assert_int_equal(ledgers_exchange(&upstream_memory(bed->daemon.upstream)->ledgers)->stage,
			 4);
	/* Once; and all of it is given up again. */
	assert_false(is_left(bed));
	assert_int_equal(descriptors(), before);
	upstream_give_up(bed->daemon.upstream);
	assert_null(upstream_memory(bed->daemon.upstream));
	assert_int_equal(bed->daemon.flavour, 0);
	assert_int_equal(descriptors(), before - 2);
}

/* Return: what upstream_restore() says; no descriptor is lost, or closed that is another's. */
static int refused(struct bed *bed, int ledgers, int rings)
{
	uint32_t before;
	int err;

	start(bed, ledgers, rings);
	before = descriptors();
	err = upstream_restore(bed->daemon.upstream);
	assert_true(err < 0);
	assert_null(upstream_memory(bed->daemon.upstream));
	assert_true(descriptors() <= before);
	assert_int_equal(bed->daemon.flavour, 0);
	return err;
}

static int garbage(void)
{
	int fd = memfd_create("garbage", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)LEDGERS_SIZE), 0);
	return fd;
}

static void nothing_or_a_part(void **state)
{
	struct bed *bed = *state;
	const int some[] = { -1, bed->ledgers.arena.fd, bed->rings.arena.fd };

	for (int i = 0; i < 3; i++) {
		for (int j = 0; j < 3; j++) {
			if (i == 1 && j == 2)
				continue;
			start(bed, some[i], some[j]);
			assert_true(!is_left(bed) || (i == 1 && j == 1));
			refused(bed, some[i], some[j]);
		}
	}
}

static void what_is_none(void **state)
{
	struct bed *bed = *state;
	int fd = garbage();

	start(bed, fd, bed->rings.arena.fd);
	assert_false(is_left(bed));
	refused(bed, fd, bed->rings.arena.fd);
	refused(bed, bed->ledgers.arena.fd, fd);
	close(fd);
}

static void of_other_rings(void **state)
{
	struct bed *bed = *state;
	struct rings others;

	assert_int_equal(rings_create(&others, RINGS_FLAVOUR_C), 0);
	assert_int_equal(refused(bed, bed->ledgers.arena.fd, others.arena.fd), -ESTALE);
	rings_close(&others);
}

static void of_another_version(void **state)
{
	struct bed *bed = *state;
	struct ledgers_header *header = (struct ledgers_header *)bed->ledgers.arena.base;

	header->ledger++;
	start(bed, bed->ledgers.arena.fd, bed->rings.arena.fd);
	assert_false(is_left(bed));
	header->ledger--;
	header->version++;
	start(bed, bed->ledgers.arena.fd, bed->rings.arena.fd);
	assert_false(is_left(bed));
	assert_int_equal(refused(bed, bed->ledgers.arena.fd, bed->rings.arena.fd),
			 -EPROTONOSUPPORT);
}

/* What was not taken over stays the caller's, whatever failed. */
static void no_descriptors_for_new_ledgers(void **state)
{
	struct bed *bed = *state;
	struct memory memory = MEMORY_NULL;
	int kept = dup(bed->ledgers.arena.fd);
	struct rlimit limit, none;
	bool made;

	assert_int_equal(rings_create(&memory.rings, RINGS_FLAVOUR_C), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ 0, limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_true(memory_adopt(&memory, kept, &made) < 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(fcntl(kept, F_GETFD) >= 0);
	/* And taken over if it is not what goes with these rings. */
	assert_int_equal(memory_adopt(&memory, kept, &made), 0);
	assert_true(made);
	assert_int_equal(fcntl(kept, F_GETFD), -1);
	memory_close(&memory);
}

/* A keeper that is new gets both. */
static void kept_anew(void **state)
{
	struct bed *bed = *state;
	struct ledgers left;

	start(bed, bed->ledgers.arena.fd, bed->rings.arena.fd);
	assert_int_equal(upstream_restore(bed->daemon.upstream), 0);
	for (int i = 0; i < 2; i++) {
		close(bed->kept[i]);
		bed->kept[i] = -1;
	}
	upstream_keep(bed->daemon.upstream);
	assert_true(bed->kept[0] >= 0 && bed->kept[1] >= 0);
	assert_int_equal(ledgers_open(&left, dup(bed->kept[0])), 0);
	assert_int_equal(ledgers_rings(&left), rings_header(&bed->rings)->id);
	ledgers_close(&left);
	upstream_keep(NULL);
}

#define LEFT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		LEFT_TEST(all_that_is_needed), LEFT_TEST(nothing_or_a_part),
		LEFT_TEST(what_is_none),       LEFT_TEST(of_other_rings),
		LEFT_TEST(of_another_version), LEFT_TEST(no_descriptors_for_new_ledgers),
		LEFT_TEST(kept_anew),
	};

	return cmocka_run_group_tests_name("upstream, left", tests, NULL, NULL);
}
