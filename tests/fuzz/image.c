// SPDX-License-Identifier: MIT
/*
 * An image of `xl save`, some octets at a time: its pieces, one behind the other, are the image,
 * and END is the last of them; or it is refused, with a place in it, and they are how it begins.
 */
#include <errno.h>

#include "migration/format/libxl_image.h"
#include "tests/fuzz/fuzz.h"

struct source {
	struct tape tape;
	size_t step;
};

static ssize_t read_source(void *arg, void *data, size_t size)
{
	struct source *source = arg;
	const uint8_t *octets;
	size_t n = tape_take(&source->tape, source->step < size ? source->step : size, &octets);

	memcpy(data, octets, n);
	return (ssize_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source source = { .tape = { data, data + size } };
	struct record_fault fault = { .offset = UINT64_MAX };
	struct libxl_image_piece piece = { 0 };
	struct libxl_image *image;
	size_t at = 0;
	int r;

	source.step = (size_t)tape_u8(&source.tape) + 1;
	data = source.tape.at;
	size = tape_left(&source.tape);
	CHECK(!libxl_image_new(&image, read_source, &source));
	while ((r = libxl_image_next(image, &piece, &fault)) > 0) {
		CHECK(piece.len && piece.len <= size - at);
		CHECK(!memcmp(piece.data, data + at, piece.len));
		at += piece.len;
		CHECK(piece.kind != LIBXL_IMAGE_END || at == size);
	}
	CHECK(!r || r == -EBADMSG);
	if (r)
		CHECK(fault.offset <= size && fault.reason[0] && piece.kind != LIBXL_IMAGE_END);
	else
		CHECK(at == size && piece.kind == LIBXL_IMAGE_END);
	libxl_image_free(image);
	return 0;
}
