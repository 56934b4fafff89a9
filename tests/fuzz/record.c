// SPDX-License-Identifier: MIT
/*
 * The body of a migration record: what is decoded encodes to the very same octets, a refusal names
 * a place inside the body, and nothing outside of the body is read.
 */
#include <errno.h>

#include "migration/format/libxl_record.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Blocks of the heap, of just this size, so that ASan sees the octet behind them. */
	uint8_t *body = malloc(size + !size), *again = malloc(size + !size);
	struct record_fault fault = { .offset = UINT64_MAX };
	struct record rec;
	int r;

	memcpy(body, data, size);
	r = libxl_record_decode(&rec, body, size, &fault);
	CHECK(!r || r == -EBADMSG);
	if (r) {
		CHECK(fault.offset <= size);
		CHECK(memchr(fault.reason, 0, sizeof(fault.reason)) && fault.reason[0]);
	} else {
		CHECK(libxl_record_size(&rec) == size);
		CHECK(libxl_record_key_size(&rec) <= size);
		CHECK(!libxl_record_encode(&rec, again, size, &fault));
		CHECK(!memcmp(again, body, size));
	}
	free(again);
	free(body);
	return 0;
}
