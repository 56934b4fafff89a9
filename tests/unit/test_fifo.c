// SPDX-License-Identifier: MIT
/*
 * What waits for the front: octets come out as they went in, across page and 2^32 boundaries, in
 * pieces and whole; clearing, filtering, notes on events; the next process finds the same; and a
 * page is taken with its first octet and given back with its last.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "tests/unit/colliding.h"
#include "tests/unit/fifo_bed.h"

/* Where arithmetic may go wrong: page ends, the end of the page table, 2^32. */
static const uint32_t starts[] = { 0,	      POOL_PAGE - 1, POOL_PAGE - 16, FIFO_SIZE - 20,
				   FIFO_SIZE, 0u - 20,	     0u - POOL_PAGE, 0u - FIFO_SIZE / 2 };

#define NR_STARTS (sizeof(starts) / sizeof(starts[0]))

static void messages_come_out_as_they_went_in(void **state)
{
	struct bed *bed = *state;

	for (size_t i = 0; i < NR_STARTS; i++) {
		struct message msg;
		struct fifo fifo;

		fifo_at(bed, &fifo, starts[i]);
		for (uint32_t n = 0; n < 12; n++) {
			make_message(&msg, XS_READ, n * 370, n);
			assert_int_equal(put(bed, &fifo, &msg), 0);
		}
		for (uint32_t n = 0; n < 12; n++) {
			make_message(&msg, XS_READ, n * 370, n);
			assert_next(bed, &fifo, &msg);
		}
		assert_int_equal(fifo_used(&fifo), 0);
		assert_int_equal(fifo.pages, 0);
	}
	assert_int_equal(bed_pages_used(bed->pool), 0);
}

static void pages_follow_the_octets(void **state)
{
	struct bed *bed = *state;
	struct message msg;
	uint8_t octets[POOL_PAGE];
	struct fifo fifo;

	fifo_at(bed, &fifo, 5 * POOL_PAGE - 10);
	assert_int_equal(fifo.pages, 0);
	make_message(&msg, XS_READ, 0, 1);
	put(bed, &fifo, &msg);
	assert_int_equal(fifo.pages, 2);
	take(bed, &fifo, octets, 9);
	assert_int_equal(fifo.pages, 2);
	take(bed, &fifo, octets, 1);
	assert_int_equal(fifo.pages, 1);
	take(bed, &fifo, octets, 6);
	assert_int_equal(fifo.pages, 0);

	/* What was reserved and not used goes back too. */
	assert_int_equal(fifo_reserve(&fifo, 0, 3 * POOL_PAGE), 0);
	assert_int_equal(fifo.pages, 4);
	fifo_trim(&fifo);
	assert_int_equal(fifo.pages, 0);
	assert_int_equal(bed_pages_used(bed->pool), 0);
}

static void full_to_the_last_octet(void **state)
{
	struct bed *bed = *state;

	for (size_t i = 0; i < NR_STARTS; i++) {
		uint32_t room, n = 0, size = 1016;
		struct message msg;
		struct fifo fifo;

		fifo_at(bed, &fifo, starts[i]);
		room = fifo_room(&fifo);
		assert_int_equal(room, FIFO_SIZE - starts[i] % POOL_PAGE);
		assert_int_equal(fifo_reserve(&fifo, 0, room + 1), -ENOBUFS);
		while (room % size < MESSAGE_HEADER)
			size++; /* what is left must be a message */
		make_message(&msg, XS_READ, size - MESSAGE_HEADER, 3);
		while (!put(bed, &fifo, &msg))
			n++;
		assert_int_equal(n, room / size);
		assert_int_equal(fifo_room(&fifo), room % size);
		make_message(&msg, XS_WRITE, room % size - MESSAGE_HEADER, 4);
		assert_int_equal(put(bed, &fifo, &msg), 0);
		assert_int_equal(fifo_room(&fifo), 0);
		assert_int_equal(fifo_reserve(&fifo, 0, 1), -ENOBUFS);
		assert_int_equal(fifo.pages, FIFO_PAGES);

		make_message(&msg, XS_READ, size - MESSAGE_HEADER, 3);
		while (n--)
			assert_next(bed, &fifo, &msg);
		make_message(&msg, XS_WRITE, room % size - MESSAGE_HEADER, 4);
		assert_next(bed, &fifo, &msg);
		assert_int_equal(fifo.pages, 0);
	}
}

static void no_memory_is_no_room(void **state)
{
	struct bed *bed = *state;
	struct message msg;
	struct fifo fifo;
	uint32_t last;

	bed_bound(bed, 1);
	fifo_at(bed, &fifo, 0);
	make_message(&msg, XS_READ, 4000, 1);
	assert_int_equal(put(bed, &fifo, &msg), 0);
	last = bed_exhaust(bed, account_alloc_vital);
	assert_int_equal(put(bed, &fifo, &msg), -ENOMEM);
	assert_int_equal(fifo_used(&fifo), 4016);
	account_release(&bed->account, last);
	assert_int_equal(put(bed, &fifo, &msg), 0);
	assert_next(bed, &fifo, &msg);
	assert_next(bed, &fifo, &msg);
	assert_int_equal(fifo.pages, 0);
}

/* A message that upstream delivers in pieces grows beyond the tail. */
static void a_message_in_pieces(void **state)
{
	struct bed *bed = *state;
	struct message msg, got;
	struct fifo fifo;

	fifo_at(bed, &fifo, 0u - 2000);
	make_message(&msg, XS_READ, 10, 1);
	put(bed, &fifo, &msg);
	make_message(&msg, XS_READ, 4000, 2);
	assert_int_equal(fifo_reserve(&fifo, 0, 4016), 0);
	for (uint32_t fill = 0; fill < 4016; fill += 251) {
		struct commit commit;

		assert_int_equal(word_get(&bed->ledger->fifo_fill), fill);
		assert_int_equal(fifo_reserve(&fifo, 0, 4016), 0);
		fifo_write(&fifo, fill, (uint8_t *)&msg + fill, 251);
		commit_begin(&commit, &bed->place);
		commit_set(&commit, &bed->ledger->fifo_fill, fill + 251);
		commit_end(&commit);
		fifo_trim(&fifo);
		assert_int_equal(fifo_used(&fifo), 26);
	}
	fifo_read(&fifo, fifo_used(&fifo), &got, 4016);
	assert_memory_equal(&got, &msg, 4016);
	/* It becomes a whole one, here under another id. */
	msg.hdr.req_id = 99;
	assert_int_equal(put(bed, &fifo, &msg), 0);
	assert_int_equal(word_get(&bed->ledger->fifo_fill), 0);
	make_message(&got, XS_READ, 10, 1);
	assert_next(bed, &fifo, &got);
	assert_next(bed, &fifo, &msg);
	assert_int_equal(fifo.pages, 0);
}

static void clearing(void **state)
{
	struct bed *bed = *state;
	struct commit commit;
	struct message msg;
	struct fifo fifo;

	fifo_at(bed, &fifo, 100);
	make_message(&msg, XS_READ, 4000, 1);
	for (int i = 0; i < 5; i++)
		put(bed, &fifo, &msg);
	take(bed, &fifo, &msg, 1000);
	atomic_store(&bed->ledger->fifo_left, 3016);
	commit_begin(&commit, &bed->place);
	fifo_clear(&fifo, &commit);
	assert_int_equal(fifo_used(&fifo), 5 * 4016 - 1000);
	commit_end(&commit);
	fifo_trim(&fifo);
	assert_int_equal(fifo_used(&fifo), 0);
	assert_int_equal(word_get(&bed->ledger->fifo_left), 0);
	assert_int_equal(fifo.pages, 0);
	put(bed, &fifo, &msg);
	fifo_fini(&fifo);
	assert_int_equal(fifo.pages, 0);
	assert_int_equal(bed_pages_used(bed->pool), 0);
}

/* --- notes on events */

static bool has(struct fifo *fifo, const char *payload)
{
	struct message msg = { .hdr.type = XS_WATCH_EVENT };

	message_set_text(&msg, payload, (uint32_t)strlen(payload) + 1);
	return fifo_has_event(fifo, &msg);
}

static void put_text(struct bed *bed, struct fifo *fifo, uint32_t type, const char *payload)
{
	struct message msg = { .hdr.type = type };

	message_set_text(&msg, payload, (uint32_t)strlen(payload) + 1);
	assert_int_equal(put(bed, fifo, &msg), 0);
}

static void identical_events_are_known(void **state)
{
	struct bed *bed = *state;
	struct fifo fifo;

	fifo_at(bed, &fifo, 0);
	assert_false(has(&fifo, "a"));
	assert_true(has(&fifo, "a"));
	assert_false(has(&fifo, "ab"));
	assert_false(has(&fifo, ""));
	assert_true(has(&fifo, ""));
	fifo_forget_events(&fifo);
	assert_false(has(&fifo, "a"));
	fifo_fini(&fifo);
}

static void notes_are_made_of_what_waits(void **state)
{
	struct bed *bed = *state;
	uint8_t octets[10];
	struct fifo fifo;

	fifo_at(bed, &fifo, POOL_PAGE - 40);
	put_text(bed, &fifo, XS_WATCH_EVENT, "the front has got a part of this");
	put_text(bed, &fifo, XS_WATCH_EVENT, "a");
	put_text(bed, &fifo, XS_READ, "b");
	put_text(bed, &fifo, XS_WATCH_EVENT, "c");
	take(bed, &fifo, octets, 10);
	atomic_store(&bed->ledger->fifo_left, 16 + 33 - 10);
	has(&fifo, "stale");
	fifo_note_events(&fifo);
	assert_true(fifo_note_some(&fifo));
	assert_false(has(&fifo, "stale"));
	assert_true(has(&fifo, "a"));
	assert_false(has(&fifo, "b"));
	assert_true(has(&fifo, "c"));
	assert_false(has(&fifo, "the front has got a part of this"));
	fifo_fini(&fifo);
}

/* One turn never has all of the longest fifo to note. */
static void notes_are_made_some_at_a_time(void **state)
{
	struct bed *bed = *state;
	struct fifo fifo;
	char text[64];
	uint32_t turns;

	fifo_at(bed, &fifo, 0);
	for (uint32_t i = 0; i < 5000; i++) {
		sprintf(text, "%060u", i);
		put_text(bed, &fifo, XS_WATCH_EVENT, text);
	}
	fifo_note_events(&fifo);
	for (turns = 1; !fifo_note_some(&fifo); turns++)
		;
	assert_in_range(turns, 10, 20);
	assert_true(fifo_note_some(&fifo));
	for (uint32_t i = 0; i < 5000; i++) {
		sprintf(text, "%060u", i);
		assert_true(has(&fifo, text));
	}
	fifo_fini(&fifo);
}

static void notes_are_bounded(void **state)
{
	struct bed *bed = *state;
	struct fifo fifo;
	char text[16];

	fifo_at(bed, &fifo, 0);
	for (uint32_t i = 0; i < FIFO_NOTES; i++) {
		sprintf(text, "%u", i);
		assert_false(has(&fifo, text));
		put_text(bed, &fifo, XS_WATCH_EVENT, text);
	}
	assert_false(has(&fifo, "one more"));
	assert_false(has(&fifo, "one more"));
	assert_true(has(&fifo, text));
	/* The next process makes do with as many. */
	put_text(bed, &fifo, XS_WATCH_EVENT, "one more");
	fifo_note_events(&fifo);
	while (!fifo_note_some(&fifo))
		;
	assert_true(has(&fifo, text));
	assert_false(has(&fifo, "one more"));
	fifo_fini(&fifo);
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* How long it takes to note as many events as may be, of names that a guest has chosen or not. */
static uint64_t noting(struct fifo *fifo, bool chosen)
{
	static struct message msgs[FIFO_NOTES];
	uint64_t next = 0, before;

	for (uint32_t i = 0; i < FIFO_NOTES; i++) {
		msgs[i].hdr.len = COLLIDING_LEN;
		colliding_name((char *)msgs[i].payload, &next);
		if (!chosen)
			memcpy(msgs[i].payload, &i, sizeof(i));
	}
	before = cpu_ns();
	for (uint32_t i = 0; i < FIFO_NOTES; i++)
		assert_false(fifo_has_event(fifo, &msgs[i]));
	before = cpu_ns() - before;
	fifo_forget_events(fifo);
	return before;
}

/* With uthash's own function such names cost each event a walk of all before it. */
static void chosen_names_cost_no_more(void **state)
{
	struct bed *bed = *state;
	struct fifo fifo;
	uint64_t any;

	fifo_at(bed, &fifo, 0);
	any = noting(&fifo, false);
	assert_in_range(noting(&fifo, true), 1, 5 * any);
	fifo_fini(&fifo);
}

/* --- filtering */

static bool keep_even(void *arg, const struct message *msg)
{
	++*(uint32_t *)arg;
	return msg->hdr.req_id % 2 == 0;
}

static void filtering_keeps_order_and_the_rest_of_a_message(void **state)
{
	struct bed *bed = *state;

	for (size_t i = 0; i < NR_STARTS; i++) {
		uint32_t seen = 0;
		struct message msg, got;
		struct fifo fifo;

		fifo_at(bed, &fifo, starts[i]);
		for (uint32_t n = 1; n <= 20; n++) {
			make_message(&msg, n % 4 ? XS_WATCH_EVENT : XS_READ, n * 190, n);
			assert_int_equal(put(bed, &fifo, &msg), 0);
		}
		/* Of the first one, which would be dropped, the front has got 100 octets. */
		take(bed, &fifo, &got, 100);
		assert_int_equal(fifo_filter(&fifo, &bed->place, keep_even, &seen), 0);
		assert_int_equal(seen, 19);
		assert_int_equal(word_get(&bed->ledger->fifo_left), 106);
		assert_true(fifo.part_is_event);
		assert_int_equal(fifo.waiting.events, 1 + 5);
		assert_int_equal(fifo.waiting.replies, 5);
		take(bed, &fifo, &got, 106);
		make_message(&msg, XS_WATCH_EVENT, 190, 1);
		assert_memory_equal(&got, (uint8_t *)&msg + 100, 106);
		for (uint32_t n = 2; n <= 20; n += 2) {
			make_message(&msg, n % 4 ? XS_WATCH_EVENT : XS_READ, n * 190, n);
			assert_next(bed, &fifo, &msg);
		}
		assert_int_equal(fifo_used(&fifo), 0);
		assert_int_equal(fifo.waiting.events | fifo.waiting.replies, 0);
		assert_int_equal(fifo.pages, 0);
	}
	assert_int_equal(bed_pages_used(bed->pool), 0);
}

static void filtering_without_room_changes_nothing(void **state)
{
	struct bed *bed = *state;
	uint32_t seen = 0, n = 0;
	struct message msg;
	struct fifo fifo;

	fifo_at(bed, &fifo, 777);
	for (make_message(&msg, XS_READ, 4000, 0); !put(bed, &fifo, &msg);
	     make_message(&msg, XS_READ, 4000, n))
		n += 2;
	assert_int_equal(fifo_filter(&fifo, &bed->place, keep_even, &seen), -ENOMEM);
	for (uint32_t i = 0; i < n; i += 2) {
		make_message(&msg, XS_READ, 4000, i);
		assert_next(bed, &fifo, &msg);
	}
	assert_int_equal(fifo.pages, 0);
}

/* When others have taken all there is, the longest message still passes, one at a time. */
static void one_message_always_fits(void **state)
{
	struct bed *bed = *state;
	struct message msg;
	struct fifo fifo;
	uint32_t page;

	/* Claimed pages need no memory. */
	for (uint32_t i = POOL_SHARED - 1; (page = pool_alloc(bed->pool)); i--) {
		pool_release(bed->pool, page);
		assert_int_equal(pool_claim(bed->pool, i), 0);
	}
	for (uint32_t n = 0; n < 3; n++) {
		fifo_at(bed, &fifo, POOL_PAGE - 6);
		make_message(&msg, XS_READ, XENSTORE_PAYLOAD_MAX, n);
		assert_int_equal(put(bed, &fifo, &msg), 0);
		assert_int_equal(fifo.pages, 3);
		assert_int_equal(put(bed, &fifo, &msg), -ENOMEM);
		assert_next(bed, &fifo, &msg);
		assert_int_equal(fifo.pages, 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		BED_TEST(messages_come_out_as_they_went_in),
		BED_TEST(pages_follow_the_octets),
		BED_TEST(full_to_the_last_octet),
		BED_TEST(no_memory_is_no_room),
		BED_TEST(a_message_in_pieces),
		BED_TEST(clearing),
		BED_TEST(identical_events_are_known),
		BED_TEST(notes_are_made_of_what_waits),
		BED_TEST(notes_are_made_some_at_a_time),
		BED_TEST(notes_are_bounded),
		BED_TEST(chosen_names_cost_no_more),
		BED_TEST(filtering_keeps_order_and_the_rest_of_a_message),
		BED_TEST(filtering_without_room_changes_nothing),
		BED_TEST(one_message_always_fits),
	};

	return cmocka_run_group_tests_name("fifo", tests, NULL, NULL);
}
