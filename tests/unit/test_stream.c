// SPDX-License-Identifier: MIT
/*
 * test_stream - whole streams: octets written by hand in both directions, every refusal with its
 * place and reason, pipes, limits, ten million records in bounded memory.
 */
#include "tests/unit/golden/children.h"
#include "tests/unit/golden/records.h"
#include "tests/unit/golden/refusals.h"
#include "tests/unit/golden/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>

#include "migration/format/libxl_stream.h"

/* --- octets written by hand */

static void test_golden_write(void **state)
{
	struct written written;

	(void)state;
	written_start(&written);
	for (size_t i = 0; i < ARRAY_LEN(golden_records); i++)
		written_add(&written, &golden_records[i].rec);
	written_finish(&written);
	assert_octets_equal(written.octets, written.len, golden_full, sizeof(golden_full));
	free(written.octets);

	written_start(&written);
	written_finish(&written);
	assert_octets_equal(written.octets, written.len, golden_empty, sizeof(golden_empty));
	free(written.octets);
}

static void assert_golden_records(struct libxl_reader *reader)
{
	struct record_fault place;
	struct record rec;

	for (size_t i = 0; i < ARRAY_LEN(golden_records); i++) {
		assert_int_equal(libxl_reader_next(reader, &rec), 1);
		assert_record_equal(&rec, &golden_records[i].rec);
		libxl_reader_locate(reader, &place);
		assert_int_equal(place.record, i + 1);
		assert_int_equal(place.offset, golden_records[i].body - 8);
	}
	assert_int_equal(libxl_reader_next(reader, &rec), 0);
	assert_int_equal(libxl_reader_next(reader, &rec), 0); /* END stays END */
	libxl_reader_locate(reader, &place);
	assert_int_equal(place.record, ARRAY_LEN(golden_records) + 1);
	assert_int_equal(place.offset, sizeof(golden_full) - 8);
}

static void test_golden_read(void **state)
{
	struct libxl_reader *reader;

	(void)state;
	assert_int_equal(open_octets(&reader, golden_full, sizeof(golden_full),
				     LIBXL_STREAM_MAX_DEFAULT, NULL),
			 0);
	assert_golden_records(reader);
	assert_int_equal(libxl_reader_rewind(reader), 0);
	assert_golden_records(reader);
	libxl_reader_free(reader);
}

static void test_rewind_halfway(void **state)
{
	struct libxl_reader *reader;
	struct record rec;

	(void)state;
	assert_int_equal(open_octets(&reader, golden_full, sizeof(golden_full),
				     LIBXL_STREAM_MAX_DEFAULT, NULL),
			 0);
	assert_int_equal(libxl_reader_next(reader, &rec), 1);
	assert_int_equal(libxl_reader_next(reader, &rec), 1);
	assert_int_equal(libxl_reader_rewind(reader), 0);
	assert_golden_records(reader);
	libxl_reader_free(reader);
}

static void test_empty(void **state)
{
	struct libxl_reader *reader;
	struct record rec;

	(void)state;
	assert_int_equal(open_octets(&reader, golden_empty, sizeof(golden_empty),
				     LIBXL_STREAM_MAX_DEFAULT, NULL),
			 0);
	assert_int_equal(libxl_reader_next(reader, &rec), 0);
	libxl_reader_free(reader);
}

static void test_optional_skipped(void **state)
{
	struct libxl_reader *reader;
	struct record_fault place;
	struct record rec;

	(void)state;
	assert_int_equal(open_octets(&reader, golden_optional, sizeof(golden_optional),
				     LIBXL_STREAM_MAX_DEFAULT, NULL),
			 0);
	assert_int_equal(libxl_reader_next(reader, &rec), 1);
	assert_int_equal(rec.kind, RECORD_TRANSACTION);
	assert_int_equal(rec.transaction.tx_id, 1);
	libxl_reader_locate(reader, &place);
	assert_int_equal(place.record, 2);
	assert_int_equal(place.offset, 32);
	assert_int_equal(libxl_reader_next(reader, &rec), 0);
	libxl_reader_locate(reader, &place);
	assert_int_equal(place.record, 4);
	libxl_reader_free(reader);
}

/* --- refusals */

static void assert_refused(const void *octets, size_t len, uint64_t max, uint64_t record,
			   uint64_t offset, const char *reason)
{
	struct libxl_reader *reader = NULL;
	struct record_fault fault = { 0 };

	assert_int_equal(open_octets(&reader, octets, len, max, &fault), -EBADMSG);
	assert_null(reader);
	assert_fault(&fault, record, offset, reason);
	assert_int_equal(open_octets(&reader, octets, len, max, NULL), -EBADMSG);
}

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		const struct refusal *refusal = &refusals[i];
		uint8_t octets[sizeof(golden_full) + 16];
		size_t len = sizeof(golden_full);

		memcpy(octets, golden_full, len);
		memcpy(octets + refusal->at, refusal->patch, refusal->patch_len);
		if (refusal->at + refusal->patch_len > len)
			len = refusal->at + refusal->patch_len;
		if (refusal->len)
			len = refusal->len;
		assert_refused(octets, len, LIBXL_STREAM_MAX_DEFAULT, refusal->record,
			       refusal->offset, refusal->reason);
	}
	assert_refused("", 0, LIBXL_STREAM_MAX_DEFAULT, 0, 0, "the stream ends inside the header");
	print_message("%zu refusals\n", ARRAY_LEN(refusals) + 1);
}

static void test_refuse_optional_padding(void **state)
{
	uint8_t octets[sizeof(golden_optional)];

	(void)state;
	memcpy(octets, golden_optional, sizeof(octets));
	octets[31] = 1;
	assert_refused(octets, sizeof(octets), LIBXL_STREAM_MAX_DEFAULT, 1, 31,
		       "non-zero padding after a record");
}

static void test_every_truncation(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(golden_full); len++) {
		struct libxl_reader *reader = NULL;
		struct record_fault fault;

		assert_int_equal(
			open_octets(&reader, golden_full, len, LIBXL_STREAM_MAX_DEFAULT, &fault),
			-EBADMSG);
		assert_int_equal(fault.offset, len);
	}
}

static void assert_duplicate(const struct record *first, const struct record *second,
			     uint64_t offset, const char *reason)
{
	struct record between = { .kind = RECORD_TRANSACTION, .transaction = { 99 } };
	struct written written;

	written_start(&written);
	written_add(&written, first);
	written_add(&written, &between);
	written_add(&written, second);
	written_finish(&written);
	assert_refused(written.octets, written.len, LIBXL_STREAM_MAX_DEFAULT, 3, offset, reason);
	free(written.octets);
}

static void test_duplicates(void **state)
{
	struct record node = golden_records[0].rec;
	struct record watch = golden_records[1].rec;
	struct record transaction = golden_records[2].rec;

	(void)state;
	node.node.perms = golden_perms_4; /* the path alone identifies a node */
	node.node.nr_perms = 1;
	node.node.value_len = 0;
	assert_duplicate(&golden_records[0].rec, &node, 96,
			 "this node was given before, at octet 16");
	assert_duplicate(&golden_records[1].rec, &watch, 72,
			 "this watch was given before, at octet 16");
	assert_duplicate(&golden_records[2].rec, &transaction, 48,
			 "this transaction was given before, at octet 16");
}

static void test_no_duplicates(void **state)
{
	struct record watch = golden_records[1].rec;
	struct record transaction = golden_records[2].rec;
	struct record node = golden_records[0].rec;
	struct libxl_reader *reader;
	struct written written;

	(void)state;
	written_start(&written);
	for (size_t i = 0; i < ARRAY_LEN(golden_records); i++)
		written_add(&written, &golden_records[i].rec);
	watch.watch.token_len = 1; /* the same path */
	written_add(&written, &watch);
	watch.watch.path = "control/shutdowN"; /* the same token */
	written_add(&written, &watch);
	watch.watch.path_len = 7; /* what one loses the other gains: control + /shutdowNk */
	watch.watch.token = "/shutdowNk";
	watch.watch.token_len = 10;
	written_add(&written, &watch);
	node.node.path_len--;
	written_add(&written, &node);
	transaction.transaction.tx_id++;
	written_add(&written, &transaction);
	written_finish(&written);
	assert_int_equal(
		open_octets(&reader, written.octets, written.len, LIBXL_STREAM_MAX_DEFAULT, NULL),
		0);
	libxl_reader_free(reader);
	free(written.octets);
}

/* A key is compared with what lies in the spool, in pieces. */
static void test_long_duplicates(void **state)
{
	static char path[3072], token[8000];
	struct record rec = { .kind = RECORD_WATCH,
			      .watch = { path, sizeof(path), token, sizeof(token) } };
	struct libxl_reader *reader;
	struct written written;

	(void)state;
	memset(path, 'p', sizeof(path));
	memset(token, 't', sizeof(token));
	assert_duplicate(&rec, &rec, 16 + 8 + 11088 + 16,
			 "this watch was given before, at octet 16");
	written_start(&written);
	written_add(&written, &rec);
	token[sizeof(token) - 1] = 'u';
	written_add(&written, &rec);
	written_finish(&written);
	assert_int_equal(
		open_octets(&reader, written.octets, written.len, LIBXL_STREAM_MAX_DEFAULT, NULL),
		0);
	libxl_reader_free(reader);
	free(written.octets);
}

/* --- limits */

static void test_max_stream(void **state)
{
	struct libxl_reader *reader;
	size_t len = sizeof(golden_full);

	(void)state;
	assert_int_equal(open_octets(&reader, golden_full, len, len, NULL), 0);
	libxl_reader_free(reader);
	assert_refused(golden_full, len, len - 1, 6, len - 1,
		       "the stream is longer than 231 octets");
	assert_refused(golden_full, len, 100, 2, 100, "the stream is longer than 100 octets");
	assert_refused(golden_full, len, 10, 0, 10, "the stream is longer than 10 octets");
	assert_refused(golden_full, len, 0, 0, 0, "the stream is longer than 0 octets");
	assert_int_equal(open_octets(&reader, golden_full, len, (uint64_t)1 << 40, NULL), -EINVAL);
}

/* A reader must not wait for the end of what it is not going to take. */
static void test_endless_input(void **state)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct libxl_reader *reader;
	struct record_fault fault;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(libxl_reader_open(&reader, fd, LIBXL_STREAM_MAX_DEFAULT, &fault),
			 -EBADMSG);
	assert_fault(&fault, 0, 0, "not a libxl stream: ident 0x0000000000000000");
	close(fd);
}

static void test_bad_input(void **state)
{
	int fd = open("/", O_RDONLY | O_CLOEXEC);
	struct libxl_reader *reader;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(libxl_reader_open(&reader, fd, LIBXL_STREAM_MAX_DEFAULT, NULL), -EISDIR);
	close(fd);
	assert_int_equal(libxl_reader_open(&reader, -1, LIBXL_STREAM_MAX_DEFAULT, NULL), -EBADF);
}

static void test_huge_value(void **state)
{
	size_t len = 3 << 20;
	char *value = calloc(1, len);
	struct record rec = golden_records[0].rec, got;
	struct libxl_reader *reader;
	struct written written;

	(void)state;
	assert_non_null(value);
	value[len - 1] = 'x';
	rec.node.value = value;
	rec.node.value_len = len;
	written_start(&written);
	written_add(&written, &rec);
	written_finish(&written);
	assert_int_equal(
		open_octets(&reader, written.octets, written.len, LIBXL_STREAM_MAX_DEFAULT, NULL),
		0);
	assert_int_equal(libxl_reader_next(reader, &got), 1);
	assert_record_equal(&got, &rec);
	libxl_reader_free(reader);
	free(written.octets);
	free(value);
}

/* --- pipes and many records */

static void test_pipe(void **state)
{
	struct libxl_reader *reader;
	pid_t pid;
	int fd = start_child(&pid, write_octet_by_octet, sizeof(golden_full));

	(void)state;
	assert_int_equal(libxl_reader_open(&reader, fd, LIBXL_STREAM_MAX_DEFAULT, NULL), 0);
	close(fd);
	wait_child(pid);
	assert_golden_records(reader);
	libxl_reader_free(reader);
}

/* Limits on memory, and many records, are not for valgrind. */
static void skip_memcheck(void)
{
	if (getenv("XSPROXY_MEMCHECK"))
		skip();
}

static void test_ten_million_records(void **state)
{
	(void)state;
	skip_memcheck();
	assert_read_within(write_transactions, 10000000, 10000000, 160000024, (rlim_t)256 << 20);
}

/* As many records as the default limit allows: of the shortest kind, and of those not kept. */
static void test_full_stream(void **state)
{
	uint64_t room = LIBXL_STREAM_MAX_DEFAULT - sizeof(golden_empty);

	(void)state;
	skip_memcheck();
	assert_read_within(write_transactions, room / 16, room / 16, LIBXL_STREAM_MAX_DEFAULT,
			   (rlim_t)128 << 20);
	assert_read_within(write_empty_optionals, room / 8, 0, LIBXL_STREAM_MAX_DEFAULT,
			   (rlim_t)16 << 20);
}

/* --- the writer's errors */

static void test_writer_refuses(void **state)
{
	struct record bad = { .kind = RECORD_TRANSACTION };
	struct record_fault fault;
	struct libxl_reader *reader;
	struct written written;

	(void)state;
	written_start(&written);
	written_add(&written, &golden_records[0].rec);
	assert_int_equal(libxl_writer_append(written.writer, &bad, &fault), -EBADMSG);
	assert_fault(&fault, 2, 80 + 8 + 4, "tx_id is 0");
	assert_int_equal(libxl_writer_append(written.writer, &golden_records[1].rec, NULL),
			 -EBADMSG);
	assert_int_equal(libxl_writer_finish(written.writer), -EBADMSG);
	libxl_writer_free(written.writer);
	fclose(written.file);
	assert_octets_equal(written.octets, written.len, golden_full, 80);
	assert_int_equal(
		open_octets(&reader, written.octets, written.len, LIBXL_STREAM_MAX_DEFAULT, NULL),
		-EBADMSG);
	free(written.octets);

	written_start(&written);
	bad = golden_records[0].rec;
	bad.node.value_len = (size_t)UINT32_MAX + 1;
	assert_int_equal(libxl_writer_append(written.writer, &bad, NULL), -EMSGSIZE);
	assert_int_equal(libxl_writer_append(written.writer, &(struct record){ 0 }, NULL),
			 -EMSGSIZE);
	libxl_writer_free(written.writer);
	fclose(written.file);
	free(written.octets);

	written_start(&written);
	assert_int_equal(libxl_writer_append(written.writer, &(struct record){ 0 }, &fault),
			 -EBADMSG);
	assert_fault(&fault, 1, 24, "unknown sub-type 0");
	libxl_writer_free(written.writer);
	fclose(written.file);
	free(written.octets);
	libxl_writer_free(NULL);
	libxl_reader_free(NULL);
}

static void test_writer_full_disk(void **state)
{
	FILE *file = fopen("/dev/full", "we");
	struct libxl_writer *writer = NULL;

	(void)state;
	assert_non_null(file);
	assert_int_equal(libxl_writer_new(&writer, file), 0); /* still buffered */
	assert_int_equal(libxl_writer_finish(writer), -ENOSPC);
	assert_int_equal(libxl_writer_finish(writer), -ENOSPC);
	libxl_writer_free(writer);
	setvbuf(file, NULL, _IONBF, 0);
	assert_int_equal(libxl_writer_new(&writer, file), -ENOSPC);
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden_write),
		cmocka_unit_test(test_golden_read),
		cmocka_unit_test(test_rewind_halfway),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_optional_skipped),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_refuse_optional_padding),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_no_duplicates),
		cmocka_unit_test(test_long_duplicates),
		cmocka_unit_test(test_max_stream),
		cmocka_unit_test(test_endless_input),
		cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_huge_value),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_ten_million_records),
		cmocka_unit_test(test_full_stream),
		cmocka_unit_test(test_writer_refuses),
		cmocka_unit_test(test_writer_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
