// SPDX-License-Identifier: MIT
/*
 * test_spool - input that is kept, and a memfd that needs no keeping.
 */
#include "tests/unit/golden/records.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "migration/format/spool.h"

#define ALL (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int sealed(const char *text, int seals)
{
	int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* Whether it is read where it is. */
static bool is_same(const struct spool *spool, int fd)
{
	struct stat a, b;

	assert_int_equal(fstat(spool_fd(spool), &a), 0);
	assert_int_equal(fstat(fd, &b), 0);
	return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static void assert_reads(struct spool *spool, const char *want)
{
	char got[16];

	assert_int_equal(spool_left(spool), strlen(want));
	assert_int_equal(spool_get(spool, got, strlen(want)), 0);
	assert_memory_equal(got, want, strlen(want));
}

/* From its start, wherever it stands, and as often as it is opened. */
static void test_sealed_memory(void **state)
{
	int fd = sealed("abcdef", ALL);
	struct spool *spool;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(spool_new(&spool, fd, 100), 0);
		assert_false(spool_cut(spool));
		assert_true(is_same(spool, fd));
		assert_reads(spool, "abcdef");
		assert_int_equal(spool_rewind(spool), 0);
		assert_reads(spool, "abcdef");
		spool_free(spool);
	}
	close(fd);
}

static void test_sealed_memory_that_is_too_long(void **state)
{
	int fd = sealed("abcdef", ALL);
	struct spool *spool;

	(void)state;
	assert_int_equal(spool_new(&spool, fd, 4), 0);
	assert_true(spool_cut(spool));
	assert_reads(spool, "abcd");
	spool_free(spool);
	assert_int_equal(spool_new(&spool, fd, 6), 0);
	assert_false(spool_cut(spool));
	spool_free(spool);
	close(fd);
}

/* What could change under the reader is copied. */
static void test_memory_that_can_change(void **state)
{
	int fd = sealed("abcdef", F_SEAL_SHRINK | F_SEAL_GROW);
	struct spool *spool;

	(void)state;
	assert_int_equal(lseek(fd, 2, SEEK_SET), 2);
	assert_int_equal(spool_new(&spool, fd, 100), 0);
	assert_false(is_same(spool, fd));
	assert_int_equal(pwrite(fd, "xxxxxx", 6, 0), 6);
	assert_reads(spool, "cdef");
	spool_free(spool);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sealed_memory),
		cmocka_unit_test(test_sealed_memory_that_is_too_long),
		cmocka_unit_test(test_memory_that_can_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
