// SPDX-License-Identifier: MIT
/*
 * test_stream_random - random streams come back as they were written, and of damaged ones whatever
 * is accepted says just what its octets say.
 */
#include "tests/unit/golden/children.h"
#include "tests/unit/golden/records.h"
#include "tests/unit/golden/streams.h"

#include <sys/wait.h>
#include <unistd.h>

#include "migration/format/libxl_stream.h"

#define SEED	   20200327
#define VERIFY	   XEN_DIR "/bin/verify-stream-v2"
#define VERIFY_LIB XEN_DIR "/lib/python"

static void round_trip(unsigned int seed, unsigned int count)
{
	struct random_record *random = calloc(count, sizeof(*random));
	struct libxl_reader *reader;
	struct written written;
	struct record rec;

	assert_non_null(random);
	written_start(&written);
	for (unsigned int i = 0; i < count; i++) {
		random_record(&seed, &random[i]);
		written_add(&written, &random[i].rec);
	}
	written_finish(&written);
	assert_int_equal(
		open_octets(&reader, written.octets, written.len, LIBXL_STREAM_MAX_DEFAULT, NULL),
		0);
	for (unsigned int i = 0; i < count; i++) {
		assert_int_equal(libxl_reader_next(reader, &rec), 1);
		assert_record_equal(&rec, &random[i].rec);
	}
	assert_int_equal(libxl_reader_next(reader, &rec), 0);
	libxl_reader_free(reader);
	free(written.octets);
	free(random);
}

static void test_round_trip(void **state)
{
	(void)state;
	round_trip(SEED, 200);
}

/* Rewriting what a damaged stream still says must give the same octets. */
static void assert_canonical(struct libxl_reader *reader, const uint8_t *octets, size_t len)
{
	struct written written;
	struct record_fault end;
	struct record rec;
	uint64_t records = 0;

	written_start(&written);
	while (libxl_reader_next(reader, &rec) > 0) {
		written_add(&written, &rec);
		records++;
	}
	written_finish(&written);
	libxl_reader_locate(reader, &end);
	if (end.record == records + 1) /* otherwise damage made a record optional */
		assert_octets_equal(written.octets, written.len, octets, len);
	free(written.octets);
}

static void damage(unsigned int seed, unsigned int count)
{
	unsigned int accepted = 0;

	for (unsigned int i = 0; i < count; i++) {
		uint8_t octets[sizeof(golden_full)];
		struct record_fault fault = { 0 };
		struct libxl_reader *reader;

		memcpy(octets, golden_full, sizeof(octets));
		for (unsigned int n = 1 + random_below(&seed, 2); n; n--)
			octets[random_below(&seed, sizeof(octets))] =
				(uint8_t)random_below(&seed, 256);
		if (open_octets(&reader, octets, sizeof(octets), LIBXL_STREAM_MAX_DEFAULT,
				&fault)) {
			assert_true(fault.reason[0] && fault.offset <= sizeof(octets));
			continue;
		}
		accepted++;
		assert_canonical(reader, octets, sizeof(octets));
		libxl_reader_free(reader);
	}
	print_message("%u of %u accepted\n", accepted, count);
}

static void test_damage(void **state)
{
	(void)state;
	damage(SEED, 5000);
}

/* --- xen's own verifier knows our framing, though not record type 7 */

static void test_verify_stream(void **state)
{
	struct written written;
	int fd, status;
	pid_t pid;

	(void)state;
	if (access(VERIFY, X_OK))
		skip();
	written_start(&written);
	written_finish(&written);
	fd = input_fd(written.octets, written.len);
	free(written.octets);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		setenv("PYTHONPATH", VERIFY_LIB, 1);
		unsetenv("LD_PRELOAD");
		if (dup2(fd, 0) == 0)
			execl(VERIFY, VERIFY, "--format", "libxl", (char *)NULL);
		_exit(126);
	}
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_verify_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
