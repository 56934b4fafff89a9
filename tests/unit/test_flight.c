// SPDX-License-Identifier: MIT
/*
 * test_flight - the flight recorder keeps the last messages, whole but for long payloads, in order,
 * within its bounds.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/observe/flight.h"

#define MANY  3000
#define FIRST 512 /* octets that it takes for any maximum but 0 */

/* Message number @i, as it is given. */
static void give(struct flight *flight, uint32_t i, uint32_t len, uint32_t max)
{
	struct frame frame = { .kind = FRAME_REPLY, .flags = FRAME_OURS, .number = i };
	struct xsd_sockmsg hdr = { .type = XS_READ, .req_id = i, .tx_id = ~i, .len = len };
	uint8_t payload[512];

	frame.time = 1000000u + i;
	frame.took = 64u * i;
	frame.upstream = 64u * (i / 2);
	memset(payload, (int)(i & 0xff), sizeof(payload));
	flight_add(flight, &frame, &hdr, payload, len, max);
}

struct expect {
	uint32_t next; /* number of the message that must come */
	uint32_t lens[MANY];
	uint32_t count;
};

static void check(void *arg, const struct flight_frame *shown)
{
	struct expect *expect = arg;
	uint32_t i = expect->next++, len = expect->lens[i];
	uint32_t kept = len < FLIGHT_PAYLOAD ? len : FLIGHT_PAYLOAD;

	assert_int_equal(shown->frame.size, offsetof(struct flight_frame, payload) + kept);
	assert_int_equal(shown->frame.kind, FRAME_REPLY);
	assert_int_equal(shown->frame.flags, FRAME_OURS);
	assert_int_equal(shown->frame.domid, 7);
	assert_int_equal(shown->frame.session, 3);
	assert_int_equal(shown->frame.number, i);
	assert_int_equal(shown->frame.time, 1000000u + i);
	assert_int_equal(shown->frame.took, 64u * i);
	assert_int_equal(shown->frame.upstream, 64u * (i / 2));
	assert_int_equal(shown->hdr.req_id, i);
	assert_int_equal(shown->hdr.tx_id, ~i);
	assert_int_equal(shown->hdr.len, len);
	for (uint32_t n = 0; n < kept; n++)
		assert_int_equal(shown->payload[n], i & 0xff);
	expect->count++;
}

static void keeps_the_last_ones_in_order(void **state)
{
	static struct expect expect;
	struct flight flight = { .data = NULL };

	(void)state;
	srand(7);
	for (uint32_t i = 0; i < MANY; i++) {
		expect.lens[i] = (uint32_t)rand() % 200;
		/* Few at first, so that it grows when the newest are before the oldest. */
		give(&flight, i, expect.lens[i], i < 500 ? 5 + i / 50 : 64);
		assert_true(flight.size <= 64 * FLIGHT_SHARE);
		assert_int_equal(flight.count + flight.dropped, i + 1);
		expect.next = i + 1 - flight.count;
		expect.count = 0;
		flight_each(&flight, 7, 3, check, &expect);
		assert_int_equal(expect.count, flight.count);
		assert_int_equal(expect.next, i + 1);
	}
	/* The octets bound it here: 64 long ones do not fit. */
	assert_true(flight.count >= 64 * FLIGHT_SHARE / 104 - 2 && flight.count < 64);
	flight_fini(&flight);
}

static void keeps_as_many_as_asked_for(void **state)
{
	struct flight flight = { .data = NULL };

	(void)state;
	for (uint32_t i = 0; i < 200; i++)
		give(&flight, i, 3, 64);
	assert_int_equal(flight.count, 64);
	assert_int_equal(flight.dropped, 200 - 64);
	/* More, then fewer from now on (SIGHUP) */
	for (uint32_t i = 0; i < 1500; i++)
		give(&flight, i, 3, 1000);
	assert_int_equal(flight.count, 1000);
	give(&flight, 200, 3, 10);
	assert_int_equal(flight.count, 10);
	flight_fini(&flight);
	assert_int_equal(flight.count, 0);
}

static void none_are_kept_when_none_are_wanted(void **state)
{
	struct flight flight = { .data = NULL };

	(void)state;
	give(&flight, 1, 3, 0);
	assert_null(flight.data);
	assert_int_equal(flight.count, 0);
	assert_int_equal(flight.dropped, 1);
	flight_fini(&flight);
}

static void fewer_are_kept_at_once(void **state)
{
	static struct expect expect;

	(void)state;
	srand(7);
	for (uint32_t max = 0; max < 64; max++) {
		struct flight flight = { .data = NULL };
		uint32_t n = 60 + (uint32_t)rand() % 60;

		for (uint32_t i = 0; i < n; i++) {
			expect.lens[i] = (uint32_t)rand() % 200;
			give(&flight, i, expect.lens[i], 64);
		}
		flight_trim(&flight, max);
		assert_true(flight.count <= max && (!max || flight.count));
		assert_true(!flight.data == !max);
		assert_true(flight.size <= FIRST || flight.size <= max * FLIGHT_SHARE);
		assert_int_equal(flight.count + flight.dropped, n);
		/* It goes on from there. */
		for (uint32_t i = n; i < n + 200; i++) {
			expect.next = i - flight.count;
			expect.count = 0;
			flight_each(&flight, 7, 3, check, &expect);
			assert_int_equal(expect.next, i);
			expect.lens[i] = (uint32_t)rand() % 200;
			give(&flight, i, expect.lens[i], max);
			assert_int_equal(flight.count + flight.dropped, i + 1);
		}
		flight_fini(&flight);
	}
}

static void no_more_are_dropped_than_must_be(void **state)
{
	struct flight flight = { .data = NULL };

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		give(&flight, i, 3, 64);
	flight_trim(&flight, 100);
	assert_int_equal(flight.count, 64);
	flight_trim(&flight, 20);
	assert_int_equal(flight.count, 20);
	flight_fini(&flight);
}

static void check_long(void *arg, const struct flight_frame *shown)
{
	*(uint64_t *)arg = shown->frame.took;
}

static void long_times_are_cut_off(void **state)
{
	struct frame frame = { .kind = FRAME_REPLY, .took = UINT64_MAX };
	struct xsd_sockmsg hdr = { .type = XS_READ };
	struct flight flight = { .data = NULL };
	uint64_t took = 0;

	(void)state;
	flight_add(&flight, &frame, &hdr, "", 0, 64);
	flight_each(&flight, 7, 3, check_long, &took);
	assert_true(took == (uint64_t)UINT32_MAX << 6);
	flight_fini(&flight);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_last_ones_in_order),
		cmocka_unit_test(keeps_as_many_as_asked_for),
		cmocka_unit_test(none_are_kept_when_none_are_wanted),
		cmocka_unit_test(fewer_are_kept_at_once),
		cmocka_unit_test(no_more_are_dropped_than_must_be),
		cmocka_unit_test(long_times_are_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
