// SPDX-License-Identifier: MIT
/*
 * The fifo of a process that died: what waited waits, whatever was reserved is free again, and a
 * ledger that cannot be is refused.
 */
#include <errno.h>

#include "tests/unit/fifo_bed.h"

static void assert_next_process(struct bed *bed, const struct fifo *fifo, uint32_t mapped)
{
	uint32_t used = fifo_used(fifo);
	static uint8_t want[FIFO_SIZE], got[FIFO_SIZE];
	struct bed other;
	struct fifo again;

	bed_reopen(bed, &other);
	fifo_init(&again, other.ledger, &other.account);
	assert_int_equal(fifo_recover(&again, false), 0);
	assert_int_equal(fifo_used(&again), used);
	assert_int_equal(again.waiting.events, fifo->waiting.events);
	assert_int_equal(again.waiting.replies, fifo->waiting.replies);
	if (word_get(&bed->ledger->fifo_left))
		assert_int_equal(again.part_is_event, fifo->part_is_event);
	fifo_read(fifo, 0, want, used);
	fifo_read(&again, 0, got, used);
	assert_memory_equal(got, want, used);
	assert_int_equal(bed_pages_used(other.pool), mapped);
	bed_reclose(&other);
}

static void random_steps_survive_the_process(void **state)
{
	static uint8_t stream[1 << 20], octets[MESSAGE_MAX];
	uint32_t put_at = 0, got_at = 0;
	struct bed *bed = *state;
	struct fifo fifo;

	srand(7);
	fifo_at(bed, &fifo, 0u - 300000);
	for (int step = 0; put_at + MESSAGE_MAX < sizeof(stream); step++) {
		struct message msg;
		uint32_t n;

		make_message(&msg, step % 3 ? XS_WATCH_EVENT : XS_READ,
			     (uint32_t)rand() % (rand() % 3 ? 200 : 4097), (uint32_t)step);
		if (rand() % 100 < 60 && !put(bed, &fifo, &msg)) {
			memcpy(stream + put_at, &msg, message_size(&msg.hdr));
			put_at += message_size(&msg.hdr);
		} else {
			n = (uint32_t)rand() % (MESSAGE_MAX + 1);
			n = n < fifo_used(&fifo) ? n : fifo_used(&fifo);
			take(bed, &fifo, octets, n);
			assert_memory_equal(octets, stream + got_at, n);
			got_at += n;
		}
		assert_int_equal(fifo_used(&fifo), put_at - got_at);
		if (step % 16 == 0) {
			fifo_trim(&fifo); /* of what was reserved in vain */
			assert_next_process(bed, &fifo, fifo.pages + (fifo.pages != 0));
		}
	}
	assert_true(word_get(&bed->ledger->fifo_head) < 1 << 20);
	fifo_fini(&fifo);
	assert_int_equal(bed_pages_used(bed->pool), 0);
}

static void reserved_pages_are_free_for_the_next_process(void **state)
{
	struct bed *bed = *state, other;
	struct fifo fifo, again;
	struct message msg;

	fifo_at(bed, &fifo, 10);
	make_message(&msg, XS_READ, 20, 1);
	put(bed, &fifo, &msg);
	assert_int_equal(fifo_reserve(&fifo, 0, 5 * POOL_PAGE), 0);
	bed_reopen(bed, &other);
	fifo_init(&again, other.ledger, &other.account);
	assert_int_equal(fifo_recover(&again, false), 0);
	assert_int_equal(again.pages, 1);
	assert_int_equal(fifo_reserve(&again, 0, 5 * POOL_PAGE), 0);
	assert_next(&other, &again, &msg);
	assert_int_equal(again.pages, 0);
	bed_reclose(&other);
}

static void impossible_ledgers_are_refused(void **state)
{
	struct bed *bed = *state, other;
	struct fifo fifo, again;
	struct message msg;

	fifo_at(bed, &fifo, 0);
	make_message(&msg, XS_READ, 20, 1);
	put(bed, &fifo, &msg);
	for (int i = 0; i < 6; i++) {
		bed_reopen(bed, &other);
		fifo_init(&again, other.ledger, &other.account);
		if (i == 0)
			atomic_store(&bed->ledger->fifo_left, 21); /* a header is not all there */
		else if (i == 1)
			atomic_store(&bed->ledger->fifo_left, 37); /* more than there is */
		else if (i == 2)
			atomic_store(&bed->ledger->fifo_left, 8); /* no length that can be */
		else if (i == 3)
			bed->ledger->fifo_directory = 0;
		else if (i == 4)
			bed->ledger->fifo_directory = POOL_SHARED;
		else
			atomic_store(&bed->ledger->fifo_tail, FIFO_SIZE + 1);
		assert_int_equal(fifo_recover(&again, false), -EINVAL);
		bed_reclose(&other);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BED_TEST(random_steps_survive_the_process),
		BED_TEST(reserved_pages_are_free_for_the_next_process),
		BED_TEST(impossible_ledgers_are_refused),
	};

	return cmocka_run_group_tests_name("fifo, recovery", tests, NULL, NULL);
}
