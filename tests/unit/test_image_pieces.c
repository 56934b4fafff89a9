// SPDX-License-Identifier: MIT
/*
 * test_image_pieces - what `xl save` writes, taken apart: all octets come out again, whatever
 * pieces they come in; every refusal with its place and reason; lengths of 4 GiB without memory for
 * them.
 */
#include "tests/unit/golden/records.h"

#include "tests/unit/golden/image.h"

#include <errno.h>

#include "migration/format/libxl_image.h"

#define GIANT UINT32_MAX /* the longest body; with its padding it is one octet more */

struct source {
	const char *octets;
	size_t len;
	size_t step; /* what it gives at a time */
	size_t at;
	int error; /* at the end, instead of the end */
};

static ssize_t read_source(void *arg, void *data, size_t size)
{
	struct source *source = arg;
	size_t n = source->len - source->at;

	if (!n)
		return source->error;
	if (n > size)
		n = size;
	if (n > source->step)
		n = source->step;
	memcpy(data, source->octets + source->at, n);
	source->at += n;
	return (ssize_t)n;
}

struct taken {
	char octets[3][GOLDEN_IMAGE_SIZE]; /* by kind */
	size_t len[3];
	size_t ends;
};

/* Return: what the last libxl_image_next() returned. */
static int take(struct source *source, struct taken *taken, struct record_fault *fault)
{
	struct libxl_image_piece piece;
	struct libxl_image *image;
	int r;

	*taken = (struct taken){ 0 };
	assert_int_equal(libxl_image_new(&image, read_source, source), 0);
	while ((r = libxl_image_next(image, &piece, fault)) > 0) {
		size_t *len = &taken->len[piece.kind];

		assert_true(piece.len && *len + piece.len <= GOLDEN_IMAGE_SIZE);
		memcpy(taken->octets[piece.kind] + *len, piece.data, piece.len);
		*len += piece.len;
		taken->ends += piece.kind == LIBXL_IMAGE_END;
	}
	if (!r)
		assert_int_equal(libxl_image_next(image, &piece, fault), 0);
	libxl_image_free(image);
	return r;
}

/* --- what comes out */

static void assert_golden(const struct taken *taken)
{
	const char *xenstore = taken->octets[LIBXL_IMAGE_XENSTORE];
	const char *other = taken->octets[LIBXL_IMAGE_OTHER];
	const size_t first = GOLDEN_IMAGE_FIRST_END - GOLDEN_IMAGE_FIRST;
	const size_t between = GOLDEN_IMAGE_SECOND - GOLDEN_IMAGE_FIRST_END;

	assert_int_equal(taken->len[LIBXL_IMAGE_XENSTORE],
			 first + GOLDEN_IMAGE_END - GOLDEN_IMAGE_SECOND);
	assert_memory_equal(xenstore, golden_image + GOLDEN_IMAGE_FIRST, first);
	assert_memory_equal(xenstore + first, golden_image + GOLDEN_IMAGE_SECOND,
			    GOLDEN_IMAGE_END - GOLDEN_IMAGE_SECOND);
	assert_int_equal(taken->len[LIBXL_IMAGE_OTHER], GOLDEN_IMAGE_FIRST + between);
	assert_memory_equal(other, golden_image, GOLDEN_IMAGE_FIRST);
	assert_memory_equal(other + GOLDEN_IMAGE_FIRST, golden_image + GOLDEN_IMAGE_FIRST_END,
			    between);
	assert_int_equal(taken->ends, 1);
	assert_octets_equal(taken->octets[LIBXL_IMAGE_END], taken->len[LIBXL_IMAGE_END],
			    golden_image + GOLDEN_IMAGE_END, 8);
}

static void test_golden(void **state)
{
	(void)state;
	for (size_t step = 1; step <= GOLDEN_IMAGE_SIZE; step++) {
		struct source source = { golden_image, GOLDEN_IMAGE_SIZE, step, 0, 0 };
		struct record_fault fault;
		struct taken taken;

		assert_int_equal(take(&source, &taken, &fault), 0);
		assert_golden(&taken);
	}
}

/* Without optional data, and with libxc's stream of Xen before 4.14. */
static void test_older(void **state)
{
	char octets[GOLDEN_IMAGE_SIZE];
	struct source source = { octets, GOLDEN_IMAGE_SIZE - 5, sizeof(octets), 0, 0 };
	struct record_fault fault;
	struct taken taken;

	(void)state;
	memcpy(octets, golden_image, 48);
	memcpy(octets + 48, golden_image + 53, GOLDEN_IMAGE_SIZE - 53);
	octets[44] = 0;
	octets[92 - 5] = 2;
	assert_int_equal(take(&source, &taken, &fault), 0);
	assert_int_equal(taken.len[LIBXL_IMAGE_OTHER], source.len - 16 - 16 - 8);
}

/* --- refusals */

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(image_refusals); i++) {
		const struct image_refusal *refusal = &image_refusals[i];
		char octets[GOLDEN_IMAGE_SIZE + 1];
		struct source source = { octets, GOLDEN_IMAGE_SIZE, sizeof(octets), 0, 0 };
		struct record_fault fault = { 0 };
		struct taken taken;

		memcpy(octets, golden_image, GOLDEN_IMAGE_SIZE);
		memcpy(octets + refusal->at, refusal->patch, refusal->patch_len);
		if (refusal->at + refusal->patch_len > source.len)
			source.len = refusal->at + refusal->patch_len;
		assert_int_equal(take(&source, &taken, &fault), -EBADMSG);
		assert_fault(&fault, refusal->record, refusal->offset, refusal->reason);
		assert_int_equal(taken.ends, 0);
	}
}

static void test_every_truncation(void **state)
{
	(void)state;
	for (size_t len = 0; len < GOLDEN_IMAGE_SIZE; len++) {
		struct source source = { golden_image, len, 7, 0, 0 };
		struct record_fault fault = { 0 };
		struct taken taken;

		assert_int_equal(take(&source, &taken, &fault), -EBADMSG);
		assert_int_equal(fault.offset, len);
		assert_memory_equal(fault.reason, "the image ends ", 15);
		assert_int_equal(taken.ends, 0);
	}
}

/* Reading that fails is no end. */
static void test_every_failure(void **state)
{
	(void)state;
	for (size_t len = 0; len <= GOLDEN_IMAGE_SIZE; len++) {
		struct source source = { golden_image, len, 7, 0, -EIO };
		struct record_fault fault;
		struct taken taken;

		assert_int_equal(take(&source, &taken, &fault), -EIO);
		assert_int_equal(taken.ends, 0);
	}
}

/* --- 4 GiB in a record */

struct giant {
	const char *before, *behind;
	size_t before_len, behind_len;
	uint64_t left; /* octets of the body that are yet to come */
	bool padded;
};

static size_t give(const char **from, size_t *len, void *data, size_t size)
{
	size_t n = *len < size ? *len : size;

	memcpy(data, *from, n);
	*from += n;
	*len -= n;
	return n;
}

/* Of the body it only says how much there is. */
static ssize_t read_giant(void *arg, void *data, size_t size)
{
	struct giant *giant = arg;

	if (giant->before_len)
		return (ssize_t)give(&giant->before, &giant->before_len, data, size);
	if (giant->left) {
		size_t n = giant->left < size ? (size_t)giant->left : size;

		giant->left -= n;
		return (ssize_t)n;
	}
	if (!giant->padded) {
		giant->padded = true;
		*(char *)data = 0;
		return 1;
	}
	return (ssize_t)give(&giant->behind, &giant->behind_len, data, size);
}

/* The record at @at, which ends at @next, is as long as a record can be. */
static void assert_giant(size_t at, size_t next, enum libxl_image_kind kind)
{
	char before[GOLDEN_IMAGE_SIZE];
	struct giant giant = { .before = before,
			       .before_len = at + 8,
			       .behind = golden_image + next,
			       .behind_len = GOLDEN_IMAGE_SIZE - next,
			       .left = GIANT };
	struct libxl_image_piece piece;
	struct record_fault fault;
	uint64_t len[3] = { 0 };
	struct libxl_image *image;
	int r;

	memcpy(before, golden_image, sizeof(before));
	memset(before + at + 4, 0xff, 4);
	assert_int_equal(libxl_image_new(&image, read_giant, &giant), 0);
	while ((r = libxl_image_next(image, &piece, &fault)) > 0)
		len[piece.kind] += piece.len;
	assert_int_equal(r, 0);
	assert_int_equal(len[LIBXL_IMAGE_OTHER] + len[LIBXL_IMAGE_XENSTORE] + len[LIBXL_IMAGE_END],
			 GOLDEN_IMAGE_SIZE - (next - at) + 8 + (uint64_t)GIANT + 1);
	assert_true(len[kind] > GIANT);
	libxl_image_free(image);
}

static void test_giants(void **state)
{
	(void)state;
	assert_giant(125, 149, LIBXL_IMAGE_OTHER);
	assert_giant(197, 213, LIBXL_IMAGE_XENSTORE);
	assert_giant(213, 237, LIBXL_IMAGE_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),	      cmocka_unit_test(test_older),
		cmocka_unit_test(test_refusals),      cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_failure), cmocka_unit_test(test_giants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
