// SPDX-License-Identifier: MIT
/*
 * The byte queue: room and used near 2^32, copies over the end of the data, and that indexes which
 * cannot be are refused, whoever wrote them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ring/ring.h"

#define SIZE  64u
#define GUARD 16u

struct queue {
	struct ring ring;
	_Atomic uint32_t prod, cons;
	uint8_t memory[GUARD + SIZE + GUARD]; /* guards show writes outside of the data */
};

static void queue_init(struct queue *q, uint32_t cons, uint32_t prod)
{
	memset(q->memory, 0xee, sizeof(q->memory));
	atomic_init(&q->prod, prod);
	atomic_init(&q->cons, cons);
	q->ring = (struct ring){
		.data = q->memory + GUARD, .size = SIZE, .prod = &q->prod, .cons = &q->cons
	};
}

static void assert_guards(const struct queue *q)
{
	for (uint32_t i = 0; i < GUARD; i++) {
		assert_int_equal(q->memory[i], 0xee);
		assert_int_equal(q->memory[GUARD + SIZE + i], 0xee);
	}
}

/* Places of the indexes where arithmetic may go wrong. */
static const uint32_t starts[] = {
	0,	   1,	   SIZE - 1,	  SIZE,	     0x7fffffff, 0x80000000, 0u - SIZE - 1,
	0u - SIZE, 0u - 1, 0u - SIZE / 2, 0x7fffffe0
};

#define NR_STARTS (sizeof(starts) / sizeof(starts[0]))

static void used_and_room_everywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < NR_STARTS; i++) {
		for (uint32_t n = 0; n <= SIZE; n++) {
			struct ring_view view;
			struct queue q;

			queue_init(&q, starts[i], starts[i] + n);
			assert_int_equal(ring_load(&q.ring, &view), 0);
			assert_int_equal(ring_used(&view), n);
			assert_int_equal(ring_room(&q.ring, &view), SIZE - n);
		}
	}
}

static void impossible_indexes_are_refused(void **state)
{
	static const uint32_t apart[] = { SIZE + 1,   2 * SIZE,	 0x7fffffff,
					  0x80000000, 0u - SIZE, 0u - 1 };

	(void)state;
	for (size_t i = 0; i < NR_STARTS; i++) {
		for (size_t j = 0; j < sizeof(apart) / sizeof(apart[0]); j++) {
			struct ring_view view;
			struct queue q;

			queue_init(&q, starts[i], starts[i] + apart[j]);
			assert_int_equal(ring_load(&q.ring, &view), -EIO);
		}
	}
}

static void a_view_does_not_follow_the_words(void **state)
{
	struct ring_view view;
	struct queue q;

	(void)state;
	queue_init(&q, 10, 30);
	assert_int_equal(ring_load(&q.ring, &view), 0);
	atomic_store(&q.prod, 0xdeadbeef);
	atomic_store(&q.cons, 0x1234);
	assert_int_equal(ring_used(&view), 20);
	assert_int_equal(ring_room(&q.ring, &view), SIZE - 20);
}

/* Every start and length: what was written is read back, and nothing else has changed. */
static void copies_wrap_at_the_end_of_the_data(void **state)
{
	(void)state;
	for (uint32_t off = 0; off < SIZE; off++) {
		uint32_t pos = 0u - SIZE + off; /* also passes 2^32 */

		for (uint32_t len = 0; len <= SIZE; len++) {
			uint8_t in[SIZE], out[SIZE + 1];
			struct queue q;

			queue_init(&q, 0, 0);
			for (uint32_t i = 0; i < len; i++)
				in[i] = (uint8_t)(i * 7 + off);
			ring_write(&q.ring, pos, in, len);
			for (uint32_t i = 0; i < SIZE; i++) {
				uint32_t at = (i - off) % SIZE;

				assert_int_equal(q.ring.data[i], at < len ? in[at] : 0xee);
			}
			memset(out, 0x55, sizeof(out));
			ring_read(&q.ring, pos, out, len);
			assert_memory_equal(out, in, len);
			assert_int_equal(out[len], 0x55);
			assert_guards(&q);
		}
	}
}

/* A long stream in pieces of any size, the indexes of which pass 2^32. */
static void a_stream_keeps_its_octets(void **state)
{
	uint32_t produced = 0, consumed = 0;
	struct ring_view view;
	struct queue q;

	(void)state;
	srand(1);
	queue_init(&q, 0u - 5000, 0u - 5000);
	while (consumed < 10000) {
		uint8_t octets[SIZE];
		uint32_t n;

		assert_int_equal(ring_load(&q.ring, &view), 0);
		n = (uint32_t)rand() % (ring_room(&q.ring, &view) + 1);
		for (uint32_t i = 0; i < n; i++)
			octets[i] = (uint8_t)((produced + i) * 31 >> 3);
		ring_write(&q.ring, view.prod, octets, n);
		atomic_store(&q.prod, view.prod + n);
		produced += n;

		assert_int_equal(ring_load(&q.ring, &view), 0);
		assert_int_equal(ring_used(&view), produced - consumed);
		n = (uint32_t)rand() % (ring_used(&view) + 1);
		ring_read(&q.ring, view.cons, octets, n);
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(octets[i], (uint8_t)((consumed + i) * 31 >> 3));
		atomic_store(&q.cons, view.cons + n);
		consumed += n;
	}
	assert_true(atomic_load(&q.cons) < 10000);
	assert_guards(&q);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(used_and_room_everywhere),
		cmocka_unit_test(impossible_indexes_are_refused),
		cmocka_unit_test(a_view_does_not_follow_the_words),
		cmocka_unit_test(copies_wrap_at_the_end_of_the_data),
		cmocka_unit_test(a_stream_keeps_its_octets),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
