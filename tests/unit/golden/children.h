/* SPDX-License-Identifier: MIT */
/*
 * children - processes that write streams into a pipe, or read one under a limit on their memory.
 */
#ifndef XSPROXY_TESTS_GOLDEN_CHILDREN_H
#define XSPROXY_TESTS_GOLDEN_CHILDREN_H

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "migration/format/libxl_stream.h"
#include "tests/unit/golden/records.h"
#include "tests/unit/golden/streams.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* A child that runs write_child() into a pipe; returns the other end. */
static inline int start_child(pid_t *pid, void (*write_child)(int fd, uint64_t count),
			      uint64_t count)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	*pid = fork();
	assert_true(*pid >= 0);
	if (!*pid) {
		close(fds[0]);
		write_child(fds[1], count);
		_exit(0);
	}
	close(fds[1]);
	return fds[0];
}

static inline void wait_child(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static inline void write_octet_by_octet(int fd, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		if (write(fd, golden_full + i, 1) != 1)
			_exit(1);
}

static inline void write_transactions(int fd, uint64_t count)
{
	FILE *file = fdopen(fd, "w");
	struct record rec = { .kind = RECORD_TRANSACTION };
	struct libxl_writer *writer;

	if (!file || libxl_writer_new(&writer, file))
		_exit(1);
	for (uint64_t i = 1; i <= count; i++) {
		rec.transaction.tx_id = (uint32_t)i;
		if (libxl_writer_append(writer, &rec, NULL))
			_exit(2);
	}
	_exit(libxl_writer_finish(writer) ? 3 : 0);
}

static inline void write_empty_optionals(int fd, uint64_t count)
{
	static const uint8_t optional[8] = { 1, 0, 0, 0x80 };
	FILE *file = fdopen(fd, "w");

	if (!file || fwrite(golden_empty, 1, 16, file) != 16)
		_exit(1);
	for (uint64_t i = 0; i < count; i++)
		if (fwrite(optional, 1, sizeof(optional), file) != sizeof(optional))
			_exit(2);
	_exit(fwrite(golden_empty + 16, 1, 8, file) != 8 || fflush(file) ? 3 : 0);
}

/* Reads twice under a limit on all memory; the exit status is the number of a failed step. */
static inline void read_within(int fd, uint64_t max_stream, uint64_t want, rlim_t memory)
{
	struct rlimit limit = { memory, memory };
	struct libxl_reader *reader;
	struct record rec;
	uint64_t got = 0;

	if (!SANITIZED && setrlimit(RLIMIT_AS, &limit)) /* ASan maps terabytes */
		_exit(1);
	if (libxl_reader_open(&reader, fd, max_stream, NULL))
		_exit(2);
	while (libxl_reader_next(reader, &rec) > 0)
		if (rec.transaction.tx_id != ++got)
			_exit(3);
	libxl_reader_free(reader);
	_exit(got == want ? 0 : 4);
}

static inline void assert_read_within(void (*write_child)(int fd, uint64_t count), uint64_t count,
				      uint64_t want, uint64_t max_stream, rlim_t memory)
{
	pid_t writer, reader;
	int fd = start_child(&writer, write_child, count);

	reader = fork();
	assert_true(reader >= 0);
	if (!reader)
		read_within(fd, max_stream, want, memory);
	close(fd);
	wait_child(reader);
	wait_child(writer);
}

#endif
