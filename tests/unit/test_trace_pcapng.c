// SPDX-License-Identifier: MIT
/*
 * test_trace_pcapng - frames as blocks of a pcapng file.
 */
#include "tests/unit/trace_bed.h"

#include "trace/pcapng.h"

static uint32_t u32(const struct outbuf *out, size_t at)
{
	uint32_t value;

	assert_true(at + sizeof(value) <= out->len);
	memcpy(&value, out->data + at, sizeof(value));
	return value;
}

/* Check the block at @at for its frame; returns where the next one begins. */
static size_t block(const struct outbuf *out, size_t at, uint32_t type)
{
	uint32_t len = u32(out, at + 4);

	assert_int_equal(u32(out, at), type);
	assert_int_equal(len % 4, 0);
	assert_true(at + len <= out->len);
	assert_int_equal(u32(out, at + len - 4), len);
	return at + len;
}

static void blocks_of_a_file(void **state)
{
	struct view request = bed_request(1, XS_READ, STRING("data"));
	struct view reply = bed_reply(1, XS_READ, TEXT("1"));
	struct view lost = bed_view(FRAME_LOST, 12, 0, NULL, 0);
	struct outbuf out = { 0 };
	struct pcapng pcapng;
	size_t at, packet;

	(void)state;
	pcapng_begin(&pcapng, &out, "test", 4096, 1);
	at = block(&out, 0, 0x0a0d0d0a);
	assert_int_equal(u32(&out, 8), 0x1a2b3c4d);
	packet = block(&out, at, 1);
	assert_int_equal(u32(&out, at + 8), 147);
	assert_int_equal(packet, out.len);

	request.msg.len = 4000000000; /* a guest may claim anything */
	pcapng_frame(&pcapng, &out, &request);
	at = block(&out, packet, 6);
	assert_int_equal((uint64_t)u32(&out, packet + 12) << 32 | u32(&out, packet + 16), BED_TIME);
	assert_int_equal(u32(&out, packet + 20), 48 + 16 + 5);
	assert_int_equal(u32(&out, packet + 24), FRAME_MAX);
	assert_memory_equal(out.data + packet + 28, &request.frame, 48);
	assert_memory_equal(out.data + packet + 28 + 48, &request.msg, 16);
	assert_string_equal(out.data + packet + 28 + 64, "data");
	assert_int_equal(u32(&out, packet + 28 + 72), 2 | 4 << 16); /* epb_flags, of 4 octets */
	assert_int_equal(u32(&out, packet + 28 + 76), 1);	    /* inbound */

	packet = at;
	pcapng_frame(&pcapng, &out, &reply);
	at = block(&out, packet, 6);
	assert_int_equal(u32(&out, packet + 24), 48 + 16 + 1);
	assert_int_equal(u32(&out, packet + 28 + 72), 2); /* outbound */

	pcapng_frame(&pcapng, &out, &lost);
	at = block(&out, at, 6);
	assert_int_equal(block(&out, at, 5), out.len);
	assert_int_equal(pcapng.frames, 2);
	assert_int_equal(pcapng.lost, 12);
	outbuf_free(&out);
	bed_free(&request);
	bed_free(&reply);
	bed_free(&lost);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_of_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
